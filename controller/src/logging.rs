//! Log lines: one per change, `text` for people or `json` for machines, verbosity as klog counts it.

use tracing_subscriber::EnvFilter;

use crate::args::{Args, LogFormat};

/// Installs the process-wide subscriber. Lines go to stderr; `RUST_LOG`-style directives are not read.
pub fn init(args: &Args) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter(args.verbosity)))
        .with_writer(std::io::stderr)
        .with_target(args.verbosity >= 4);
    match args.logging_format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .init(),
    }
}

/// Our own crates get the level that was asked for; libraries stay one quieter, so that a trace stays readable.
fn filter(verbosity: u8) -> &'static str {
    match verbosity {
        0..=3 => "warn,akv2k8s_controller=info,akv2k8s_shared=info",
        4..=5 => "info,akv2k8s_controller=debug,akv2k8s_shared=debug",
        _ => "debug,akv2k8s_controller=trace,akv2k8s_shared=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_valid_filter() {
        for verbosity in [0, 2, 4, 6, 255] {
            assert!(EnvFilter::try_new(filter(verbosity)).is_ok(), "{verbosity}");
        }
    }
}
