//! How often tokens were asked for, in the whole process: identities share their tokens there, too.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Method, Token, TokenError};

type Counts = BTreeMap<(&'static str, &'static str), u64>;

static COUNTS: Mutex<Counts> = Mutex::new(Counts::new());

/// How many exchanges of one kind there were; one whose answer does not come may be tried three times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// How the token was asked for: [`Method::as_str`].
    pub method: &'static str,
    /// `ok`, or the code of the failure.
    pub outcome: &'static str,
    /// How many, since the process started.
    pub count: u64,
}

/// All exchanges of this process so far. A token that was kept costs none.
pub fn token_counts() -> Vec<TokenCount> {
    let all = counts();
    let all = all.iter().map(|((method, outcome), count)| TokenCount {
        method,
        outcome,
        count: *count,
    });
    all.collect()
}

/// An exchange ended.
pub(super) fn count(method: Method, outcome: &Result<Token, TokenError>) {
    let outcome = outcome
        .as_ref()
        .err()
        .map_or("ok", |error| error.diagnosis.code.as_str());
    *counts().entry((method.as_str(), outcome)).or_default() += 1;
}

fn counts() -> MutexGuard<'static, Counts> {
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn exchanges_are_counted_by_method_and_outcome() {
        let closed = crate::identity::closed();
        let code = closed.diagnosis.code.as_str();
        let of = |outcome: &str| {
            let found = token_counts();
            let found = found
                .iter()
                .find(|it| (it.method, it.outcome) == ("usernamePassword", outcome));
            found.map_or(0, |it| it.count)
        };
        let (good, lost) = (of("ok"), of(code));
        let token = || Ok(Token::new("t".into(), Duration::from_mins(1)));
        count(Method::UsernamePassword, &token());
        count(Method::UsernamePassword, &token());
        count(Method::UsernamePassword, &Err(closed));
        assert_eq!((of("ok"), of(code)), (good + 2, lost + 1));
    }
}
