//! Log lines: one per change, `text` for people or `json` for machines, verbosity as klog counts it.

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::command_line::LogFormat;
use crate::traces::Traces;

/// Installs the process-wide subscriber; `verbosity` as klog counts it, `program` is the crate of the program. Text goes to stderr; of JSON, errors do and all else goes to stdout, as upstream
/// has it. `RUST_LOG`-style directives are not read. Spans go to `traces`.
pub fn init(program: &str, format: LogFormat, verbosity: u8, traces: &Traces) {
    subscriber(program, format, verbosity, traces).init();
}

fn subscriber(
    program: &str,
    format: LogFormat,
    verbosity: u8,
    traces: &Traces,
) -> impl Subscriber + Send + Sync + use<> {
    let layer = fmt::layer().with_target(verbosity >= 4);
    let lines = match format {
        LogFormat::Text => layer.with_ansi(false).with_writer(std::io::stderr).boxed(),
        LogFormat::Json => layer
            .json()
            .with_writer(std::io::stderr.with_max_level(Level::ERROR).or_else(std::io::stdout))
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
    };
    let lines = lines.with_filter(filter(program, verbosity)).boxed();
    // Not a layer that may be absent: an absent one has no filter, and so all would pass.
    let layers: Vec<_> = traces.layer().map(Layer::boxed).into_iter().chain([lines]).collect();
    registry().with(layers)
}

/// Our own crates get the level that was asked for; libraries stay one quieter, so that a trace stays readable; 9 is everything.
///
/// Except what kube's client says of answers: it quotes them whole, and an admission policy's refusal may quote a value.
fn filter(program: &str, verbosity: u8) -> Targets {
    let (libraries, own) = match verbosity {
        0..=3 => (Level::WARN, Level::INFO),
        4..=5 => (Level::INFO, Level::DEBUG),
        6..=8 => (Level::DEBUG, Level::TRACE),
        _ => (Level::TRACE, Level::TRACE),
    };
    Targets::new()
        .with_default(libraries)
        .with_target(program, own)
        .with_target("akv2k8s_shared", own)
        // This crate: it says on which port a program listens.
        .with_target(env!("CARGO_CRATE_NAME"), own)
        // Spans are for traces; in lines they would only repeat what is there.
        .with_target(akv2k8s_shared::span::TARGET, LevelFilter::OFF)
        .with_target("kube_client::client", LevelFilter::OFF)
        .with_target("kube_client::client::builder", libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spans_are_made_only_where_traces_are_sent() {
        const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        for (variables, made) in [(&[][..], false), (&[ENDPOINT][..], true)] {
            let traces = Traces::from_environment(&variables.iter().copied().collect(), "p", "1");
            let subscriber = subscriber("akv2k8s_controller", LogFormat::Text, 4, &traces);
            tracing::subscriber::with_default(subscriber, || {
                assert_eq!(!akv2k8s_shared::span!("work").is_disabled(), made, "{variables:?}");
                assert!(
                    tracing::enabled!(target: "akv2k8s_controller", Level::DEBUG),
                    "lines are as ever"
                );
                assert!(!tracing::enabled!(target: "hyper", Level::TRACE), "{variables:?}");
            });
        }
    }

    #[test]
    fn our_lines_are_one_level_ahead_of_libraries_and_answers_are_never_quoted() {
        for (verbosity, own, library) in [
            (0, Level::INFO, Level::WARN),
            (2, Level::INFO, Level::WARN),
            (4, Level::DEBUG, Level::INFO),
            (6, Level::TRACE, Level::DEBUG),
            (9, Level::TRACE, Level::TRACE),
            (255, Level::TRACE, Level::TRACE),
        ] {
            let filter = filter("akv2k8s_controller", verbosity);
            let most = |target: &str| {
                let levels = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
                levels.into_iter().find(|level| filter.would_enable(target, level))
            };
            assert_eq!(most("akv2k8s_controller::poll"), Some(own), "{verbosity}");
            assert_eq!(most("akv2k8s_shared::http"), Some(own), "{verbosity}");
            assert_eq!(most(concat!(module_path!(), "::listen")), Some(own), "{verbosity}");
            assert_eq!(most("rustls::client"), Some(library), "{verbosity}");
            assert_eq!(most("kube_client::client"), None, "{verbosity}");
            assert_eq!(most(akv2k8s_shared::span::TARGET), None, "{verbosity}");
            assert_eq!(most("kube_client::client::builder"), Some(library), "{verbosity}");
        }
    }
}
