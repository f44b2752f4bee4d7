//! By what names an emulator is reached.

/// The names of vaults and Entra.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Names {
    /// Below `.localhost`, which everybody resolves to loopback, with the port in every address.
    #[default]
    Localhost,
    /// Those of the public cloud, without a port: `NAME.vault.azure.net` and `login.microsoftonline.com`. Only where a DNS zone
    /// of the tests answers for them, and the emulator listens on port 443.
    Public,
    /// Those of Services in the namespace `vault` of any cluster, without a port: `NAME.vault.svc.cluster.local` and
    /// `login.vault.svc.cluster.local`.
    Cluster,
}

impl Names {
    /// Entra's host, without a port.
    pub(crate) fn login(self) -> &'static str {
        match self {
            Self::Localhost => "login.localhost",
            Self::Public => "login.microsoftonline.com",
            Self::Cluster => "login.vault.svc.cluster.local",
        }
    }

    /// What follows `NAME.` in the host of a vault, without a port.
    pub(crate) fn vaults(self) -> &'static str {
        match self {
            Self::Localhost => "vault.localhost",
            Self::Public => "vault.azure.net",
            Self::Cluster => "vault.svc.cluster.local",
        }
    }

    /// A host as it is written in an address.
    pub(crate) fn with_port(self, host: &str, port: u16) -> String {
        match self {
            Self::Localhost => format!("{host}:{port}"),
            Self::Public | Self::Cluster => host.to_owned(),
        }
    }

    /// All hosts that the certificate must be for.
    pub(crate) fn certificate(self) -> Vec<String> {
        let own = [self.login().to_owned(), format!("*.{}", self.vaults())];
        let always = ["admin.localhost", "localhost", "127.0.0.1"].map(str::to_owned);
        own.into_iter().chain(always).collect()
    }
}
