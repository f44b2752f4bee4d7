//! Variables of every program that reads vaults.

crate::variables! {
    /// Who a program is at Entra.
    pub IDENTITY:
    AUTH_TYPE, "", "how to authenticate: [identity.md](../identity.md). Default: `azureCloudConfig` for controller and env injector, `environment` for the wrapper, `environment-azidentity` for the CLI";
    AZURE_CLIENT_ID, "", "client id of the application or of the managed identity";
    AZURE_TENANT_ID, "", "tenant in which tokens are asked for";
    AZURE_CLIENT_SECRET, "", "client secret";
    AZURE_CLIENT_CERTIFICATE_PATH, "", "file with client certificate and private key, PFX or PEM";
    AZURE_CLIENT_CERTIFICATE_PASSWORD, "", "password of that file";
    AZURE_CLIENT_SEND_CERTIFICATE_CHAIN, "`false`", "`true` or `1`: the assertion has the certificate's whole chain, for trust by subject name and issuer";
    AZURE_CERTIFICATE_PATH, "", "akv2k8s' name of `AZURE_CLIENT_CERTIFICATE_PATH`, which counts where both are set";
    AZURE_CERTIFICATE_PASSWORD, "", "password of that file";
    AZURE_USERNAME, "", "user name";
    AZURE_PASSWORD, "", "its password";
    AZURE_FEDERATED_TOKEN_FILE, "", "workload identity: file with the ServiceAccount's token";
    AZURE_MANAGED_IDENTITY_RESOURCE_ID, "", "with `AUTH_TYPE=managedIdentity`: the identity, by its resource id";
    AZURE_MANAGED_IDENTITY_OBJECT_ID, "", "with `AUTH_TYPE=managedIdentity`: the identity, by its object id";
    AZURE_TOKEN_CREDENTIALS, "", "with `AUTH_TYPE=environment-azidentity`: `prod`, `dev`, or the one credential that is tried";
    AZURE_ADDITIONALLY_ALLOWED_TENANTS, "", "further tenants in which tokens may be asked for, separated by semicolons or commas; `*`: any. See [tokens.md](../tokens.md)";
    AZURE_AUXILIARY_TENANT_IDS, "", "akv2k8s' name of the same; both count";
    PATH, "", "with `AUTH_TYPE` `azureCli` or `environment-azidentity`: where `az` is looked for, in absolute folders only. The wrapper and `kubectl akv2k8s run` find the program in it that they start";
}

crate::variables! {
    /// What platforms set where managed identities are asked for elsewhere than at the node.
    pub PLATFORM:
    IDENTITY_ENDPOINT, "", "App Service, Functions, Container Apps: where tokens are asked for";
    IDENTITY_HEADER, "", "what proves the caller there";
    MSI_ENDPOINT, "", "App Service before 2019: the same";
    MSI_SECRET, "", "what proves the caller there";
    IMDS_ENDPOINT, "", "with `IDENTITY_ENDPOINT`: Azure Arc, which is refused";
    IDENTITY_SERVER_THUMBPRINT, "", "with `IDENTITY_ENDPOINT`: Service Fabric, which is refused";
    AZURE_KUBERNETES_TOKEN_PROXY, "", "AKS identity binding: the address that workload identity's exchange goes to";
    AZURE_KUBERNETES_SNI_NAME, "", "the name it is asked for by";
    AZURE_KUBERNETES_CA_FILE, "", "file with the authorities that vouch for it, PEM";
    AZURE_KUBERNETES_CA_DATA, "", "the same, in the variable itself";
}

crate::variables! {
    /// Which cloud.
    pub CLOUD:
    AZURE_ENVIRONMENT, "`AzurePublicCloud`", "also `AzureUSGovernmentCloud`, `AzureChinaCloud`, `AzureGermanCloud`, and `AzureStackCloud` for a file; case does not matter";
    AZURE_ENVIRONMENT_FILEPATH, "", "a JSON file that [describes the cloud](../controller.md#clouds); read when `AZURE_ENVIRONMENT` is unset or `AzureStackCloud`";
    AZURE_AUTHORITY_HOST, "the cloud's", "replaces Entra's address; not used with a file";
}

crate::variables! {
    /// The way to vaults and Entra.
    pub NETWORK:
    HTTPS_PROXY, "", "HTTP proxy for vaults and Entra; lower case works, too. Loopback and `169.254.169.254` are never proxied";
    ALL_PROXY, "", "the same, where `HTTPS_PROXY` is not set; lower case works, too";
    NO_PROXY, "", "names and addresses that are reached without it; lower case works, too";
    SSL_CERT_FILE, "the system's; if it has none, Mozilla's, which are compiled in", "file with the only certificate authorities that are believed";
    SSL_CERT_DIR, "", "folder with such files; with `SSL_CERT_FILE` both count";
}
