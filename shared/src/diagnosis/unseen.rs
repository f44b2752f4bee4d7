//! What nobody can observe from outside an application, and what to look at instead.

/// A failure of an application's own identity that shows neither in the cluster nor in any answer that this software gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unseen {
    /// Its name, as a heading.
    pub title: &'static str,
    /// How it looks to the application's users.
    pub symptom: &'static str,
    /// Why.
    pub cause: &'static str,
    /// What to look at, and what to change.
    pub fix: &'static str,
}

/// The list, for `doctor` to print when everything it can see is well, and for the documentation.
pub const UNSEEN: &[Unseen] = &[
    Unseen {
        title: "An old SDK in the application",
        symptom: "Label, annotation, variables and token file are right, and the application says that no credential was found; or \
                  it works once and fails when its first token ends.",
        cause: "The application's Azure Identity library is older than workload identity, or renews its tokens badly.",
        fix: "Update it: .NET Azure.Identity 1.9, Python azure-identity 1.14, Java azure-identity 1.10, JavaScript @azure/identity \
              3.3, Go azidentity 1.4, or newer.",
    },
    Unseen {
        title: "A credential built in code",
        symptom: "The application asks Entra as somebody else than the variables say, or with a secret that is in no variable.",
        cause: "The code makes a ClientSecretCredential, or names a client id, by itself; the environment is never asked.",
        fix: "Use DefaultAzureCredential or WorkloadIdentityCredential without arguments.",
    },
    Unseen {
        title: "A role on the wrong scope",
        symptom: "`ForbiddenByRbac`, although a role was assigned.",
        cause: "The assignment is on another vault, another resource group or a single object, or the role is too small (Key Vault Reader \
                reads no values). The vault gives the same answer as to somebody without any role.",
        fix: "List the assignments with their scopes: `az role assignment list --assignee CLIENT_ID --all --output table`. Then run the \
              command in the message: its scope is the vault.",
    },
    Unseen {
        title: "The wrong subscription",
        symptom: "Tokens are issued, and the application finds no resource, or is told that it has no authorization for one that \
                  exists.",
        cause: "A token is for a tenant, not for a subscription: management libraries take the subscription from code, \
                configuration or the login of the Azure CLI.",
        fix: "Name the subscription in the application: AZURE_SUBSCRIPTION_ID, or the client's own argument. Vaults do not need it.",
    },
];
