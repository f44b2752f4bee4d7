//! What is measured of the program as a whole; webhook and broker have counters of their own.

use std::fmt;
use std::sync::Arc;

use akv2k8s_shared::diagnosis::Code;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;

use crate::pki::{Directory, Pki};

/// The label of what is counted by code of the failure catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ByCode {
    code: &'static str,
}

impl From<Code> for ByCode {
    fn from(code: Code) -> Self {
        Self { code: code.as_str() }
    }
}

/// The certificates that are served: until when they are valid is read when it is asked for.
pub(crate) struct Certificates {
    /// Our own, on the broker's port and, without a folder, on the webhook's.
    pub(crate) pki: Option<Arc<Pki>>,
    /// Somebody else's, on the webhook's port.
    pub(crate) directory: Option<Arc<Directory>>,
    /// Whether there is a broker.
    pub(crate) broker: bool,
}

impl Certificates {
    fn valid_until(&self) -> [(&'static str, Option<i64>); 2] {
        let own = self.pki.as_ref().and_then(|pki| pki.valid_until());
        let webhook = match &self.directory {
            Some(directory) => directory.valid_until(),
            None => own,
        };
        [("webhook", webhook), ("broker", own.filter(|_| self.broker))]
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificates")
    }
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Until when the certificate of a port is valid.";
        let mut family =
            encoder.encode_descriptor("certificate_expiry_timestamp_seconds", help, None, MetricType::Gauge)?;
        for (port, end) in self.valid_until() {
            if let Some(end) = end {
                family.encode_family(&[("port", port)])?.encode_gauge(&end)?;
            }
        }
        Ok(())
    }
}
