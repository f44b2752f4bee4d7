//! Key Vault.

section! {
    VaultNotFound, ErrAzureVault, "slowly" {
        "DNS knows no such vault.",
        "The vault's name is wrong, the vault is of another cloud or was deleted, or its private DNS zone is not linked to this network.",
        "Check the name: `az keyvault show --name {vault}`";
    }
    VaultUnavailable, ErrAzureVault, "soon; slowly if the certificate is not trusted" {
        "5xx, no answer, a broken connection, or no trusted certificate.",
        "The service has a problem of its own, or firewall or proxy are in the way; the message says which.",
        "Nothing to do if it passes: it is tried again. Else check firewall and proxy between this pod and the vault.";
        VaultFails: "The service has a problem of its own.",
            "Nothing to do: it is tried again. Azure's state: https://status.azure.com";
        VaultNotTrusted { error }: "{error}.",
            "If a proxy inspects TLS here, name its certificate authority in SSL_CERT_FILE.";
        VaultNotReached { host, error }: "{host}: {error}.";
        VaultTooSlow { deadline }: "There was no answer within {deadline}.";
        NobodyWaits: "Whoever asked for it gave up.";
        RequestFails { error }: "{error}.";
        ReadLost: "The task that read it ended early: the program was stopped, or has a bug.";
        BrokerTooSlow { seconds }: "Vault, Entra or the API server did not answer within {seconds} s.",
            "Nothing to do if it passes: it is tried again.";
        VaultNotInTime: "The first attempt was not answered before the time for the start was over.",
            "Raise ENV_INJECTOR_START_BUDGET (seconds), or look at what is slow between this pod and what it asks.";
    }
    VaultResponseInvalid, ErrAzureVault, "soon; slowly if the object itself is incomplete" {
        "The answer is not one of Key Vault's; or an object lacks what its type has.",
        "What answers is not a vault, or something in between changes its answers.",
        "Check the cloud's vault suffix (AZURE_ENVIRONMENT), proxies and DNS.";
        AnswerUnexpected: "What answers is not a vault, or something in between changes its answers.",
            "Check proxies and DNS between this pod and the vault.";
        AnswerNotOfVault: "What answers is not a vault.";
        AnswerMalformed { flaw }: "What is wrong: {flaw}.",
            "Check proxies between this pod and the vault; it is tried again.";
        KindNotOfSpec: "The vault gave an object of another kind than spec.vault.object.type asks for.",
            "Check spec.vault.object.type; if it is right, please report this as a bug.";
        KindNotAsked: "The vault gave an object of another kind than was asked for.",
            "Please report this as a bug.";
        KeyIncomplete { missing }: "The vault's answer shows no {missing} for this key.",
            "Look at the key with `az keyvault key show`; if it is complete there, please report this as a bug.";
    }
    ChallengeRefused, ErrAzureVault, "slowly" {
        "A server asked for a token that it must not have, or pointed elsewhere; no token was sent.",
        "What answers is not a vault of the cloud in AZURE_ENVIRONMENT.",
        "Check that the vault is one of the cloud that AZURE_ENVIRONMENT names, and that DNS leads to it.";
        ChallengeWithoutResource: "Its challenge names no resource.";
        ChallengeForOthers { wanted, cloud, audience }: "It wants one for '{wanted}', but vaults of {cloud} take tokens for '{audience}'.";
        NextPageElsewhere { host }: "It names {host} for its next page.",
            "What answers is not a vault: check DNS and proxies between this pod and the vault.";
    }
    WrongAudience, ErrAzureVault, "slowly" {
        "401 `AKV10022`: the token is for another cloud.",
        "Vault and identity are of different clouds.",
        "Set AZURE_ENVIRONMENT to the vault's cloud.";
    }
    WrongTenant, ErrAzureVault, "slowly" {
        "401 `AKV10032`: vault and identity are of different tenants; the message names both where it can.",
        "The vault belongs to another tenant than the identity.",
        "Use an identity of the vault's tenant (AZURE_TENANT_ID). An application that exists in both tenants may be allowed to use the vault's: AZURE_ADDITIONALLY_ALLOWED_TENANTS={vault_tenant}. A managed identity cannot leave its tenant.";
        TenantsDiffer { tenant, vault_tenant }: "The identity is of tenant {tenant}, the vault belongs to tenant {vault_tenant}.";
        VaultOfAnotherTenant { vault_tenant }: "The vault belongs to tenant {vault_tenant}, the identity to another.";
    }
    Throttled, ErrAzureVault, "soon" {
        "429: the vault or its subscription is over its limit.",
        "This vault, or all vaults of its subscription together, are over the service's limit.",
        "Nothing to do: this client slows down by itself. If it stays, lower --vault-requests-per-10s, or split the objects over several vaults.";
    }
    ForbiddenByFirewall, ErrAzureVault, "slowly" {
        "403 `ForbiddenByFirewall`, `ForbiddenByConnection`: the vault's network rules do not admit this client.",
        "Requests arrive from an address or network that no rule of the vault admits, or the vault is open to private endpoints only.",
        "Admit the address in the message, or connect by private endpoint: `az keyvault network-rule add --name {vault} --ip-address {address}`";
        AddressNotAdmitted { address, vault }: "Requests arrive from address {address}, which no rule of the vault admits.",
            "`az keyvault network-rule add --name {vault} --ip-address {address}`";
        NetworkNotAdmitted { vault }: "The vault is open to private endpoints only, or to chosen networks.",
            "Connect the cluster by a private endpoint, or admit its network: `az keyvault network-rule add --name {vault} --subnet ID`";
    }
    ForbiddenByRbac, ErrAzureVault, "slowly" {
        "403 `ForbiddenByRbac`: no role on this vault allows it.",
        "{caller} lacks {action} on this vault: it has no role, or one that is assigned on another scope, or one too small. A role assigned within the last 10 minutes may not work yet.",
        "`az role assignment create --role \"{role}\" --assignee {assignee} --scope {scope}`";
    }
    ForbiddenByPolicy, ErrAzureVault, "slowly" {
        "403 `AccessDenied`, `ForbiddenByPolicy`: the vault uses access policies, and none allows it.",
        "{caller} lacks the permission {permission}.",
        "`az keyvault set-policy --name {vault} --object-id {object_id} --{kind}-permissions get list`";
    }
    WrongPermissionKind, ErrAzureVault, "slowly" {
        "403 on the secret behind a certificate: the certificate may be read, but not the secret that holds its private key.",
        "A certificate with its key takes secrets/get besides certificates/get. {caller} lacks the former.",
        "`az role assignment create --role \"{role}\" --assignee {assignee} --scope {scope}`, or with access policies give secrets/get too";
    }
    Forbidden, ErrAzureVault, "slowly" {
        "403 for a reason that this version does not know; the message has the vault's words.",
        "The vault gives no reason that is known.",
        "Do what the vault's own words say.";
    }
    ObjectNotFound, ErrAzureVault, "slowly" {
        "404 `SecretNotFound` (`CertificateNotFound`, `KeyNotFound`): no such object or version, or it was deleted.",
        "The name or the version is wrong, or it was deleted (deleted objects can be recovered for a while).",
        "`az keyvault {kind} list --vault-name {vault}`; deleted ones: `az keyvault {kind} list-deleted --vault-name {vault}`";
        VersionNotFound: "The vault has an object of this name, but not this version of it.",
            "Correct the version, or leave it out to get the newest one.";
        NameMisspelt { near, fix }: "The name or the version is wrong, or it was deleted (deleted objects can be recovered for a while).",
            "Did you mean '{near}'? Else look it up: {fix}";
    }
    ObjectDisabled, ErrAzureVault, "slowly" {
        "403 `SecretDisabled` and the like: the version is disabled.",
        "The newest version counts, even when an older one is enabled.",
        "Enable it, or pin a version in the reference.";
    }
    ObjectNotYetValid, ErrAzureVault, "slowly" {
        "Its activation date lies ahead, and the vault does not give it out.",
        "Its activation date (nbf) lies in the future.",
        "Change the activation date, or wait for it.";
        NotYetValidButSynced { from }: "Its activation date (nbf) is {from}; Key Vault already gives it out.",
            "Wait for the activation date, or change it.";
    }
    ObjectExpired, ErrAzureVault, "slowly" {
        "Its expiration date has passed, and the vault does not give it out.",
        "Its expiration date (exp) has passed.",
        "Make a new version, or change the expiration date.";
        ExpiredButSynced { expired }: "Its expiration date (exp) was {expired}; Key Vault still gives it out.";
    }
    NotExportable, ErrAzureVault, "slowly" {
        "The certificate's policy keeps its private key in the vault.",
        "Its policy says that the key is not exportable.",
        "Issue a new version with an exportable key (key_props.exportable: true), or take the certificate without its key: an output of no type.";
        SecretNeedsKey: "This Secret type needs the certificate's private key, and its policy does not let the key leave the vault.",
            "Create or import the certificate with an exportable key (key_props.exportable: true), or leave spec.output.secret.type out to write the public certificate only.";
        VariableNeedsKey: "Its policy does not let the private key leave the vault.",
            "Issue a new version with an exportable key (key_props.exportable: true).";
    }
}
