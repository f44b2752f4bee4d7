//! Log lines: one per change, `text` for people or `json` for machines, verbosity as klog counts it.

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::MakeWriterExt;

use crate::args::{Args, LogFormat};

/// Installs the process-wide subscriber. Text goes to stderr; of JSON, errors do and all else goes to stdout, as upstream
/// has it. `RUST_LOG`-style directives are not read.
pub fn init(args: &Args) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(args.verbosity)))
        .with_writer(std::io::stderr)
        .with_target(args.verbosity >= 4);
    match args.logging_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder
            .json()
            .with_writer(std::io::stderr.with_max_level(Level::ERROR).or_else(std::io::stdout))
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
}

/// Our own crates get the level that was asked for; libraries stay one quieter, so that a trace stays readable; 9 is everything.
///
/// Except what kube's client says of answers: it quotes them whole, and an admission policy's refusal may quote a value.
fn filter(verbosity: u8) -> String {
    let (libraries, own) = match verbosity {
        0..=3 => ("warn", "info"),
        4..=5 => ("info", "debug"),
        6..=8 => ("debug", "trace"),
        _ => ("trace", "trace"),
    };
    format!(
        "{libraries},akv2k8s_controller={own},akv2k8s_shared={own},kube_client::client=off,\
         kube_client::client::builder={libraries}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_valid_filter() {
        for verbosity in [0, 2, 4, 6, 9, 255] {
            assert!(EnvFilter::try_new(filter(verbosity)).is_ok(), "{verbosity}");
        }
    }
}
