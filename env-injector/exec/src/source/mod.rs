//! Where values come from.

mod api_server;
mod broker;
mod direct;

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::{Explanation, case};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::injection::reference::Reference;
use akv2k8s_shared::secret::SecretBytes;

use self::broker::BrokerSource;
use self::direct::DirectSource;
use crate::failure::Failure;
use crate::settings::Mode;

/// Canonical text of a reference → its value.
pub(crate) type Values = BTreeMap<String, SecretBytes>;

/// Gives values for references.
pub(crate) enum Source {
    /// Asks the broker.
    Broker(Box<BrokerSource>),
    /// Asks the vault itself.
    Direct(Box<DirectSource>),
}

impl Source {
    /// Nothing is asked yet.
    pub(crate) fn new(mode: Mode, environment: &Environment) -> Result<Self, Failure> {
        match mode {
            Mode::Broker(broker) => BrokerSource::new(broker).map(|it| Self::Broker(Box::new(it))),
            Mode::Direct(direct) => DirectSource::new(direct, environment).map(|it| Self::Direct(Box::new(it))),
        }
    }

    /// What it means when nothing is answered.
    pub(crate) fn unanswered(&self) -> Explanation {
        match self {
            Self::Broker(_) => case::BrokerNotInTime.into(),
            Self::Direct(_) => case::VaultNotInTime.into(),
        }
    }

    /// The values of all `references`, or the first failure.
    pub(crate) async fn values(&self, references: &BTreeMap<&str, &Reference>) -> Result<Values, Failure> {
        match self {
            Self::Broker(broker) => broker.values(references).await,
            Self::Direct(direct) => direct.values(references).await,
        }
    }
}
