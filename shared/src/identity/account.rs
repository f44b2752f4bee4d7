//! The tokens of one identity, and the process' table of them.
//!
//! Equal identities share one [`Account`], however often and wherever they are made: one exchange per audience and lifetime
//! for the whole process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::credential::Exchange;
use super::token::Slot;
use super::{Cloud, IdentityInfo};

/// What makes two identities equal: they would send the same requests to the same endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AccountKey {
    cloud: Cloud,
    info: IdentityInfo,
    /// Tells credentials of one application apart: what one cannot have says nothing about the other.
    credential: [u8; 32],
    /// The HTTP client: another one may trust and reach other hosts.
    client: u64,
}

impl AccountKey {
    fn of(exchange: &Exchange) -> Self {
        Self {
            cloud: exchange.cloud.clone(),
            info: exchange.info.clone(),
            credential: exchange.credential.mark(),
            client: exchange.http.id(),
        }
    }
}

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    /// `None` = the identity's own.
    tenant: Option<String>,
    audience: String,
}

/// Somebody, with what is needed to ask for tokens, and the tokens.
pub(super) struct Account {
    pub(super) key: AccountKey,
    pub(super) exchange: Arc<Exchange>,
    /// `None`: it is closed.
    slots: Mutex<Option<HashMap<Wanted, Slot>>>,
}

impl Account {
    /// The place of the token for `audience`, of a tenant other than the identity's own if one is given; `None`: it is closed.
    pub(super) fn slot(&self, tenant: Option<String>, audience: &str) -> Option<Slot> {
        let wanted = Wanted {
            tenant,
            audience: audience.to_owned(),
        };
        let mut slots = self.slots();
        let slot = slots
            .as_mut()?
            .entry(wanted)
            .or_insert_with_key(|wanted| self.place(wanted));
        Some(slot.clone())
    }

    /// Whether its tokens are gone for good.
    pub(super) fn is_closed(&self) -> bool {
        self.slots().is_none()
    }

    /// Drops all tokens, and asks for none any more.
    fn shut(&self) {
        let slots = self.slots().take();
        for slot in slots.iter().flat_map(HashMap::values) {
            slot.close();
        }
    }

    fn place(&self, wanted: &Wanted) -> Slot {
        let exchange = match &wanted.tenant {
            Some(tenant) => Arc::new(self.exchange.in_tenant(tenant)),
            None => self.exchange.clone(),
        };
        let audience = wanted.audience.clone();
        Slot::new(move || exchange.clone().token(audience.clone()))
    }

    fn is_spent(&self) -> bool {
        self.slots().iter().flat_map(HashMap::values).all(Slot::is_spent)
    }

    fn slots(&self) -> MutexGuard<'_, Option<HashMap<Wanted, Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The accounts of a process.
#[derive(Default)]
struct Table(Mutex<HashMap<AccountKey, Arc<Account>>>);

impl Table {
    /// The account of whoever `exchange` makes of us: the one there is, or a new one. Those that nobody holds any more and
    /// whose tokens are spent are dropped on the way.
    fn open(&self, exchange: Exchange) -> Arc<Account> {
        let key = AccountKey::of(&exchange);
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, account| {
            let is_of_use = Arc::strong_count(account) > 1 || !account.is_spent();
            is_of_use && !account.is_closed()
        });
        let new = || {
            Arc::new(Account {
                key: key.clone(),
                exchange: Arc::new(exchange),
                slots: Mutex::new(Some(HashMap::new())),
            })
        };
        accounts.entry(key.clone()).or_insert_with(new).clone()
    }

    /// Closes `account`. Whoever opens an equal one gets a new one, without tokens.
    fn close(&self, account: &Arc<Account>) {
        account.shut();
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.get(&account.key).is_some_and(|it| Arc::ptr_eq(it, account)) {
            accounts.remove(&account.key);
        }
    }
}

static ACCOUNTS: LazyLock<Table> = LazyLock::new(Table::default);

/// The account of whoever `exchange` makes of us.
pub(super) fn open(exchange: Exchange) -> Arc<Account> {
    ACCOUNTS.open(exchange)
}

/// Closes an account that [`open`] gave.
pub(super) fn close(account: &Arc<Account>) {
    ACCOUNTS.close(account);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::environment::Environment;
    use crate::http::{HttpClient, Limits};
    use crate::identity::Method;
    use crate::identity::credential::Credential;

    fn http() -> HttpClient {
        HttpClient::from_environment(&Environment::default(), Limits::default()).unwrap()
    }

    fn exchange(http: &HttpClient, client_id: &str, secret: &str) -> Exchange {
        Exchange {
            // A port at which nothing listens: whatever is asked for fails at once.
            cloud: Cloud {
                authority_host: "https://127.0.0.1:1/".parse().unwrap(),
                ..Cloud::named("AzurePublicCloud").unwrap()
            },
            info: IdentityInfo {
                method: Method::ClientSecret,
                client_id: Some(client_id.to_owned()),
                tenant_id: Some("t".to_owned()),
                subject: None,
            },
            credential: Arc::new(Credential::Secret(secret.into())),
            caveat: crate::identity::caveat::Caveat::default(),
            http: http.clone(),
        }
    }

    #[test]
    fn equal_identities_share_an_account_and_no_others_do() {
        let (table, http) = (Table::default(), http());
        let first = table.open(exchange(&http, "c", "s"));
        assert!(Arc::ptr_eq(&first, &table.open(exchange(&http, "c", "s"))));
        for other in [
            exchange(&http, "d", "s"),
            exchange(&http, "c", "another secret"),
            exchange(&self::http(), "c", "s"),
        ] {
            assert!(!Arc::ptr_eq(&first, &table.open(other)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_that_nobody_holds_are_kept_while_they_spare_a_question_and_dropped_then() {
        let (table, http) = (Table::default(), http());
        let count = |table: &Table| table.0.lock().unwrap().len();
        let held = table.open(exchange(&http, "held", "s"));
        let slot = table
            .open(exchange(&http, "used", "s"))
            .slot(None, "https://vault")
            .unwrap();
        tokio::time::resume();
        assert!(slot.get().await.is_err());
        tokio::time::pause();
        table.open(exchange(&http, "unused", "s"));
        assert_eq!(count(&table), 3, "the failure of `used` still answers for a while");
        tokio::time::advance(Duration::from_mins(10)).await;
        table.open(exchange(&http, "new", "s"));
        assert_eq!(count(&table), 2, "`held` and `new`");
        assert!(Arc::ptr_eq(&held, &table.open(exchange(&http, "held", "s"))));
    }

    #[tokio::test]
    async fn a_closed_account_gives_no_token_and_whoever_opens_an_equal_one_starts_anew() {
        let (table, http) = (Table::default(), http());
        let (old, other) = (
            table.open(exchange(&http, "c", "s")),
            table.open(exchange(&http, "d", "s")),
        );
        let slot = old.slot(None, "https://vault").unwrap();
        table.close(&old);
        assert!(old.is_closed() && old.slot(None, "https://vault").is_none());
        let refused = slot.get().await.unwrap_err();
        assert!(
            refused.diagnosis.what.contains("given up"),
            "whoever held the place: {refused}"
        );
        let new = table.open(exchange(&http, "c", "s"));
        assert!(!new.is_closed() && new.slot(None, "https://vault").is_some());
        // A late farewell to the old one does not take the new one away.
        table.close(&old);
        assert!(Arc::ptr_eq(&new, &table.open(exchange(&http, "c", "s"))));
        assert!(!other.is_closed());
    }
}
