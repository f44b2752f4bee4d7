//! How failures are told: on standard error, which the program would have shared; as text, or as one line of JSON in the schema of
//! docs/logging.md. Nothing else is told.

use std::io::Write;

use akv2k8s_shared::environment::Environment;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::environment::Variable;
use crate::failure::{Failure, one_line};
use crate::settings::LogFormat;

/// Who tells, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    program: &'static str,
    format: LogFormat,
}

impl Voice {
    /// The voice of `program` as `variables` want it. Nobody knows yet which of them are references; none of those is a log format.
    pub(crate) fn of(program: &'static str, variables: &[Variable]) -> Self {
        let own = variables.iter().filter(|variable| variable.is_own());
        let own: Environment = own
            .filter_map(|variable| Some((variable.shown(), variable.text()?)))
            .collect();
        Self {
            program,
            format: LogFormat::of(&own),
        }
    }

    /// Tells a failure.
    pub(crate) fn tell(self, failure: &Failure) {
        self.say(&failure.text(), failure.message(), failure.fields());
    }

    /// Tells what has neither code nor fix: the program cannot be started, or the command line cannot be understood.
    pub(crate) fn complain(self, what: &str) {
        self.say(what, one_line(what), Map::new());
    }

    fn say(self, text: &str, message: String, fields: Map<String, Value>) {
        let said = match self.format {
            LogFormat::Text => format!("{}: {text}\n", self.program),
            LogFormat::Json => self.line(Timestamp::now(), message, fields),
        };
        // Nobody is left to be told when standard error is closed.
        let _ = std::io::stderr().write_all(said.as_bytes());
    }

    fn line(self, now: Timestamp, message: String, fields: Map<String, Value>) -> String {
        let every = [
            ("timestamp", format!("{now:.6}")),
            ("level", "ERROR".to_owned()),
            ("logger", self.program.to_owned()),
            ("message", message),
        ];
        let every = every.map(|(name, text)| (name.to_owned(), Value::from(text)));
        let line: Map<_, _> = every.into_iter().chain(fields).collect();
        format!("{}\n", Value::Object(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_json_has_the_fields_of_every_line_and_those_that_say_something() {
        let voice = Voice {
            program: "azure-keyvault-env",
            format: LogFormat::Json,
        };
        let now = Timestamp::UNIX_EPOCH;
        let more = Map::from_iter([("code".to_owned(), "AkvsNotFound".into())]);
        let line = voice.line(now, "Say \"no\".\n".to_owned(), more);
        let expected = serde_json::json!({
            "timestamp": "1970-01-01T00:00:00.000000Z", "level": "ERROR", "logger": "azure-keyvault-env",
            "message": "Say \"no\".\n", "code": "AkvsNotFound",
        });
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), expected);
        assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true), "{line:?}");
    }
}
