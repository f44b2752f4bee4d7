//! Whoever is logged in to the Azure CLI: for programs that run on a person's computer.
//!
//! Command: <https://learn.microsoft.com/cli/azure/account#az-account-get-access-token>.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::token::{Token, TokenError};
use crate::diagnosis::{Diagnosis, Explanation, Retry, case, tidy};
use crate::secret::SecretBytes;

/// How long `az` may take; it is a Python program that may have to ask Entra.
const LIMIT: Duration = Duration::from_secs(10);

/// What a token is good for when an old `az` (before 2.54) does not say so in UTC. It gives none that ends sooner.
const UNKNOWN_LIFETIME: Duration = Duration::from_mins(5);

/// The program `az` in the first folder of `path` (a `PATH` variable) that has it. Folders that are not absolute are passed
/// over: what lies in the folder somebody happens to be in is not to be run.
pub(super) fn find(path: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("az"))
        .find(|program| is_executable(program))
}

#[cfg(unix)]
fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(program).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(program: &Path) -> bool {
    program.is_file()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    access_token: String,
    /// Unix seconds; since 2.54. `expiresOn` besides it is in local time.
    #[serde(rename = "expires_on")]
    expires_on: Option<i64>,
}

/// Runs `program` for a token for `audience`.
pub(super) async fn token(program: &Path, tenant: Option<&str>, audience: &str) -> Result<Token, TokenError> {
    let mut command = Command::new(program);
    command
        .args([
            "account",
            "get-access-token",
            "--output",
            "json",
            "--resource",
            audience,
        ])
        .args(tenant.map(|tenant| ["--tenant", tenant]).iter().flatten())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let output = match tokio::time::timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => {
            return Err(failed(case::CliNotRun {
                program: &program.display(),
                error: &error,
            }));
        }
        Err(_) => {
            return Err(failed(case::CliTooSlow {
                seconds: &LIMIT.as_secs(),
            }));
        }
    };
    let answer = SecretBytes::new(output.stdout);
    if !output.status.success() {
        return Err(refused(&String::from_utf8_lossy(&output.stderr)));
    }
    parse(&answer, jiff::Timestamp::now().as_second()).ok_or_else(|| failed(case::CliWithoutToken))
}

fn parse(text: &SecretBytes, now: i64) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(text.expose()).ok()?;
    let lifetime = match answer.expires_on {
        Some(until) => Duration::from_secs(u64::try_from(until - now).ok()?),
        None => UNKNOWN_LIFETIME,
    };
    (!answer.access_token.is_empty()).then(|| Token::new(answer.access_token.into(), lifetime))
}

/// By what `az` printed on its standard error.
fn refused(said: &str) -> TokenError {
    // Refresh tokens that ended: of age, of disuse, by a policy, by a new password, revoked.
    const EXPIRED: [&str; 5] = [
        "AADSTS70043",
        "AADSTS700082",
        "AADSTS50173",
        "AADSTS70008",
        "AADSTS50078",
    ];
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    // Ids and times differ from call to call, and would make each failure news.
    let line = tidy(
        line.split("Trace ID")
            .next()
            .unwrap_or_default()
            .trim_start_matches("ERROR:")
            .trim(),
    );
    let logged_out = said.contains("az login") || EXPIRED.iter().any(|code| said.contains(code));
    if logged_out {
        failed(case::CliAsksForLogin { message: &line })
    } else {
        failed(case::CliSays { message: &line })
    }
}

fn failed(why: impl Into<Explanation>) -> TokenError {
    TokenError {
        diagnosis: Diagnosis::case(why, "The Azure CLI gave no token."),
        retry: Retry::Slowly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Code;

    #[test]
    fn answers_of_new_and_old_versions_are_read() {
        let now = 1_700_000_000;
        for (text, ok) in [
            (
                r#"{"accessToken": "t", "expiresOn": "2023-11-14 23:13:20.000000", "expires_on": 1700003600,
                    "subscription": "s", "tenant": "t", "tokenType": "Bearer"}"#,
                true,
            ),
            (
                r#"{"accessToken": "t", "expiresOn": "2023-11-14 23:13:20.000000", "tokenType": "Bearer"}"#,
                true,
            ),
            (r#"{"accessToken": "t", "expires_on": 1600000000}"#, false),
            (r#"{"accessToken": ""}"#, false),
            ("WARNING: something", false),
        ] {
            assert_eq!(parse(&text.into(), now).is_some(), ok, "{text}");
        }
    }

    #[test]
    fn being_logged_out_is_told_from_other_failures() {
        for (said, code) in [
            (
                "ERROR: Please run 'az login' to setup account.\n",
                Code::AzureCliLoggedOut,
            ),
            (
                "ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in frequency checks by conditional \
                 access. The token was issued on 2025-02-20T05:53:09.5071163Z and the maximum allowed lifetime for this request \
                 is 43200. Trace ID: 5cb9 Correlation ID: 239f Timestamp: 2025-03-11 21:26:54Z\nInteractive authentication is \
                 needed. Please run:\naz login --scope https://vault.azure.net/.default\n",
                Code::AzureCliLoggedOut,
            ),
            (
                "ERROR: AADSTS700082: The refresh token has expired due to inactivity.",
                Code::AzureCliLoggedOut,
            ),
            (
                "ERROR: AADSTS500011: The resource principal named https://x was not found.",
                Code::AzureCliFailed,
            ),
            ("", Code::AzureCliFailed),
        ] {
            let error = refused(said);
            assert_eq!(error.diagnosis.code, code, "{said}");
            assert!(!error.diagnosis.cause.contains("Trace ID"), "{}", error.diagnosis.cause);
        }
    }

    #[test]
    fn only_absolute_folders_of_the_path_are_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("az");
        std::fs::write(&program, "#!/bin/sh\n").unwrap();
        let path = format!(".::{}", folder.path().display());
        assert_eq!(find(&path), None, "it cannot be executed");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(find(&path).as_deref(), Some(program.as_path()));
        assert_eq!(find("relative:"), None);
    }
}
