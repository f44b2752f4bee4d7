//! The catalogue of all failures: this list of codes, and one file of texts for each of its sections.
//!
//! **The order of the list is the order of causes**: what stands above explains what stands below (a missing pod label explains a
//! missing variable, which explains a refused token). [`super::first_cause`] relies on it.
//!
//! A row says what is seen, why, and what to do. Below it stand its [cases](case): causes that can be told more exactly, each with
//! its own fix or the row's. No cause and no fix is written anywhere else: a [`Text`] cannot be made outside of this folder. The
//! documentation is generated from the same texts: `cargo testbed docs`.
//!
//! In texts, `{names}` in braces are filled in, and commands stand in backticks, which are for the documentation only.

#[macro_use]
mod macros;

mod entra;
mod environment;
mod grants;
mod image;
mod injection;
mod injector;
mod installation;
mod key_vault;
mod managed_identity;
mod output;
mod specification;
mod start;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod workload_identity;

use std::fmt;

pub use text::{Explanation, Text};

/// The cases: what happened more exactly than a [`Code`] says, with the values that its texts name. Each becomes an
/// [`Explanation`]; [`super::Diagnosis::case`] ties it to an object.
pub mod case {
    pub use super::entra::case::*;
    pub use super::environment::case::*;
    pub use super::grants::case::*;
    pub use super::image::case::*;
    pub use super::injection::case::*;
    pub use super::injector::case::*;
    pub use super::installation::case::*;
    pub use super::key_vault::case::*;
    pub use super::managed_identity::case::*;
    pub use super::output::case::*;
    pub use super::specification::case::*;
    pub use super::start::case::*;
    pub use super::value::case::*;
    pub use super::workload_identity::case::*;
}

/// The reason of the Kubernetes event that tells a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventReason {
    /// `ErrAzureVault`, as akv2k8s says of everything on the way from the vault to the value.
    ErrAzureVault,
    /// `ErrResourceExists`, as akv2k8s says of outputs that belong to others.
    ErrResourceExists,
    /// The code itself: akv2k8s has no word for it.
    Itself,
}

/// A part of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its heading.
    pub title: &'static str,
    /// Its rows, in the order of causes.
    pub codes: &'static [Code],
}

/// What the catalogue says of a code. Markdown; `{name}` stands for what only an actual failure knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// By what it is recognised, and what that means.
    pub seen: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
    /// The event's reason.
    pub event: EventReason,
    /// When it is tried again: `soon`, `slowly`, `edit` or `start`; an empty text where nothing of ours tries.
    pub again: &'static str,
    /// Its cases.
    pub cases: &'static [Case],
}

/// A cause that can be told more exactly than the row does, and its fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// Its name in [`case`].
    pub name: &'static str,
    /// The names in its texts.
    pub names: &'static [&'static str],
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

codes! {
    "The installation", installation {
        CrdNotInstalled, CrdNotUpgraded, PodsRefusedByPodSecurity, ControllerNotRunning, InjectorNotRunning,
    }
    "The specification", specification {
        InvalidSpec, DataKeyMissing, DataKeyInvalid,
    }
    "The env injector", injector {
        ServingCertificateUnusable, WebhookConfigurationRefused, WebhookCallerUnknown, WrapperOutdated, PodTokenRefused,
        PodNotPrepared, InjectionNotEnabled, BrokerRequestInvalid, BrokerBusy,
    }
    "Grants", grants {
        VaultGrantsUnreadable, VaultNotGranted,
    }
    "Workload identity in the cluster", workload_identity {
        OidcIssuerNotEnabled, WorkloadIdentityWebhookMissing, ServiceAccountIdentitiesOff, ServiceAccountNotFound,
        ServiceAccountNotAnnotated, ServiceAccountForbidden, ServiceAccountTokenRefused, TokenRequestsUnrestricted,
        WorkloadIdentityLabelMissing, PodOlderThanSetUp, ClientIdMismatch,
    }
    "Environment and files", environment {
        TrustStoreUnreadable, AuthTypeUnknown, CloudUnknown, CloudConfigUnreadable, CloudConfigMsiPlaceholder,
        VariableMalformed, SecretShadowsWorkloadIdentity, WorkloadIdentityIncomplete, EnvironmentIncomplete,
        TokenFileUnreadable, FederatedAudienceWrong, ClientCertificateUnreadable, AuthMethodUnsupported,
        AppServiceIdentityMissing, AzureCliMissing, AzureCliLoggedOut, AzureCliFailed,
    }
    "Managed identity", managed_identity {
        ImdsUnreachable, ImdsGateway, PodIdentityNotReady, ImdsAmbiguousIdentity, ImdsIdentityNotAssigned,
        ImdsThrottled,
    }
    "Entra ID", entra {
        TenantNotFound, ManagedIdentityNotFound, AppNotFoundInTenant, ClientSecretIsId, ClientSecretEncodedTwice,
        ClientSecretExpired, ClientSecretInvalid, AssertionSignatureInvalid, UserPasswordInvalid,
        AssertionOutsideValidity, FederatedIssuerMismatch, FederatedSubjectMismatch, FederatedAudienceMismatch,
        NoFederatedCredential, NoMethodWorked, TokenRequestFailed,
    }
    "Key Vault", key_vault {
        VaultNotFound, VaultUnavailable, VaultResponseInvalid, ChallengeRefused, WrongAudience, WrongTenant, Throttled,
        ForbiddenByFirewall, ForbiddenByRbac, ForbiddenByPolicy, WrongPermissionKind, Forbidden, ObjectNotFound,
        ObjectDisabled, ObjectNotYetValid, ObjectExpired, NotExportable,
    }
    "The value", value {
        TransformFailed, ValueMalformed, ValueTooLarge, CertificateUnreadable, CertificatePasswordProtected,
        QueryInvalid,
    }
    "Secrets and ConfigMaps in the cluster", output {
        ApiServerUnavailable, ApiServerForbidden, OutputTypeRefused, OutputConflict, OutputNotOwned,
        OutputTypeImmutable, OutputImmutable, OutputRejected,
    }
    "The env injector", injection {
        InjectionImpossible, InjectionSettingInvalid, ReferenceInvalid, AkvsNotFound,
    }
    "Images of containers without `command`", image {
        ImageNameInvalid, ImageLookUpsExceeded, RegistryNotAllowed, ImagePullDenied, ImageNotFound, RegistryUnavailable,
        ImagePlatformUnclear, ImageUnusable,
    }
    "The start of a program", start {
        InjectionMisconfigured, BrokerUnavailable, BrokerNotTrusted, ValueNotForEnvironment, EnvironmentTooLarge,
    }
}

impl Code {
    /// Where the documentation explains it.
    pub fn link(self) -> String {
        const PAGE: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/troubleshooting.md#");
        format!("{PAGE}{}", self.as_str().to_ascii_lowercase())
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
