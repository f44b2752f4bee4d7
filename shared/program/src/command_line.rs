//! Flags as akv2k8s has them: Go's habits, and klog's flags.

use std::ffi::OsString;

use akv2k8s_shared::environment::parse_bool;
use clap::{Args as ClapArgs, ValueEnum};

/// `--logging-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// klog's remaining flags. Old manifests set them; where logs go is not ours to decide in a container.
#[derive(Debug, Clone, ClapArgs)]
pub struct KlogArgs {
    #[arg(long = "logtostderr", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _logtostderr: Option<bool>,
    #[arg(long = "alsologtostderr", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _alsologtostderr: Option<bool>,
    #[arg(long = "legacy_stderr_threshold_behavior", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _legacy_stderr_threshold_behavior: Option<bool>,
    #[arg(long = "skip_headers", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _skip_headers: Option<bool>,
    #[arg(long = "skip_log_headers", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _skip_log_headers: Option<bool>,
    #[arg(long = "add_dir_header", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _add_dir_header: Option<bool>,
    #[arg(long = "one_output", hide = true, value_parser = boolean, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    _one_output: Option<bool>,
    #[arg(long = "stderrthreshold", hide = true)]
    _stderrthreshold: Option<String>,
    #[arg(long = "vmodule", hide = true)]
    _vmodule: Option<String>,
    #[arg(long = "log_dir", hide = true)]
    _log_dir: Option<String>,
    #[arg(long = "log_file", hide = true)]
    _log_file: Option<String>,
    #[arg(long = "log_file_max_size", hide = true)]
    _log_file_max_size: Option<u64>,
    #[arg(long = "log_backtrace_at", hide = true)]
    _log_backtrace_at: Option<String>,
}

/// A boolean as Go spells it, for flags.
///
/// # Errors
/// It is none.
pub fn boolean(text: &str) -> Result<bool, &'static str> {
    parse_bool(text).ok_or("write true or false (1, t, T, TRUE, True, 0, f, F, FALSE and False are understood, too)")
}

/// `-name` and `-name=value` → `--name…`; `-v=2`, `-h` and everything else stay as they are.
pub fn two_dashes(argument: OsString) -> OsString {
    let Some(text) = argument.to_str() else { return argument };
    let name = text.strip_prefix('-').and_then(|rest| rest.split('=').next());
    match name {
        Some(name) if name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            format!("-{text}").into()
        }
        _ => argument,
    }
}

/// A namespace's name: an RFC 1123 label.
///
/// # Errors
/// The text is none; what to write.
pub fn namespace(text: &str) -> Result<String, String> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let legal =
        (1..=63).contains(&text.len()) && text.bytes().all(inside) && !text.starts_with('-') && !text.ends_with('-');
    legal.then(|| text.to_owned()).ok_or_else(|| {
        "that is no namespace's name: write lower-case letters, digits and dashes, and a comma between names".to_owned()
    })
}
