//! Entra ID.

section! {
    TenantNotFound, ErrAzureVault, "slowly" {
        "`AADSTS90002`, `AADSTS900023`: no such tenant; or `AZURE_TENANT_ID` is no id.",
        "AZURE_TENANT_ID is {tenant_id}.",
        "Set AZURE_TENANT_ID to the tenant's id: `az account show --query tenantId`";
        TenantIdMalformed: "It holds characters other than letters, digits, hyphens and dots.";
    }
    ManagedIdentityNotFound, ErrAzureVault, "slowly" {
        "`AADSTS700016` after a ServiceAccount token was sent: nothing has that client id.",
        "The managed identity was deleted or never existed, the annotation has its object id in place of its client id, or the tenant is another.",
        "Look for it: `az identity list --query \"[?clientId=='{client_id}']\"`. If it is gone: create it anew, federate it, give it its role, and write its new client id into the annotation azure.workload.identity/client-id.";
    }
    AppNotFoundInTenant, ErrAzureVault, "slowly" {
        "`AADSTS700016`: no such application in that tenant.",
        "The client id or the tenant id is wrong, or a multi-tenant application was never added to this tenant.",
        "Check AZURE_CLIENT_ID and AZURE_TENANT_ID: `az ad sp show --id {client_id}`";
    }
    ClientSecretIsId, ErrAzureVault, "slowly" {
        "`AADSTS7000215`, and the secret has the form of a GUID: it is the secret's ID.",
        "What is configured as client secret is a GUID. The portal shows a secret's ID and its value side by side, and secrets have no such form: this is the ID.",
        "Use the secret's value. It is shown only once; if it is lost, make a new one: `az ad app credential reset --id {client_id} --append`";
    }
    ClientSecretEncodedTwice, ErrAzureVault, "slowly" {
        "`AADSTS7000215`, and the secret is base64 of readable text.",
        "The client secret was encoded in base64 by hand; Kubernetes encodes it once more by itself.",
        "Store the value as it is: `kubectl create secret generic NAME --from-literal=AZURE_CLIENT_SECRET='VALUE'`, or encode it exactly once under data:.";
    }
    ClientSecretExpired, ErrAzureVault, "slowly" {
        "`AADSTS7000222`: the client secret has expired.",
        "Client secrets end on a date that was chosen when they were made.",
        "Make a new one (`az ad app credential reset --id {client_id} --append`), or use workload identity, which needs none.";
    }
    ClientSecretInvalid, ErrAzureVault, "slowly" {
        "`AADSTS7000215`: the client secret is wrong.",
        "AZURE_CLIENT_SECRET is not this application's secret: another one's, an old one, or the secret's ID in place of its value.",
        "Use the secret's value, or make a new one: `az ad app credential reset --id {client_id} --append`";
    }
    AssertionSignatureInvalid, ErrAzureVault, "slowly" {
        "`AADSTS700027`: the signature of the client's assertion is not trusted.",
        "The certificate that signed it, thumbprint {thumbprint}, is not registered on the application, or not any more.",
        "Upload the certificate: `az ad app credential reset --id {client_id} --append --cert @cert.pem`";
    }
    UserPasswordInvalid, ErrAzureVault, "slowly" {
        "`AADSTS50126`: wrong user name or password.",
        "AZURE_USERNAME or AZURE_PASSWORD is wrong.",
        "Check both. Users with multi-factor authentication cannot sign in this way at all.";
    }
    AssertionOutsideValidity, ErrAzureVault, "slowly" {
        "`AADSTS700024`: the ServiceAccount token is expired or not yet valid.",
        "The token in the file is expired, or a clock is wrong.",
        "Check the clock of the node, and that the kubelet still renews the token file.";
        TokenTimes { issued, expires }: "The token in the file was issued at {issued} and ends at {expires}, and Entra's clock is outside of that.";
        TokenFileExpired: "The kubelet no longer renews the file, or the node's clock is wrong.",
            "Re-create the pod; if that does not help, check the node's clock and kubelet.";
    }
    FederatedIssuerMismatch, ErrAzureVault, "slowly" {
        "`AADSTS700211`: no federated credential of the identity has the token's issuer.",
        "The token's issuer is '{issuer}', and no federated credential has it: it was made for another cluster, or differs in a slash at the end.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
    }
    FederatedSubjectMismatch, ErrAzureVault, "slowly" {
        "`AADSTS700213`: no federated credential of this issuer has the token's subject.",
        "The token's subject is '{subject}', and no federated credential has it: another namespace, a Deployment's name in place of the ServiceAccount's, or blanks or quotes in the subject.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
        TokenOfAnother { own, subject }: "The pod runs as {own}, the token's subject is {subject}.",
            "Leave token and variables to the workload identity webhook, and re-create the pod.";
    }
    FederatedAudienceMismatch, ErrAzureVault, "slowly" {
        "`AADSTS700212`: the federated credential wants another audience than `api://AzureADTokenExchange`.",
        "The token's audience is '{audience}', as it should be; the federated credential for subject '{subject}' has another.",
        "`az identity federated-credential update --name NAME --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a change takes up to 5 minutes to work)";
    }
    NoFederatedCredential, ErrAzureVault, "slowly" {
        "`AADSTS70021`: the identity has no federated credential that matches the ServiceAccount token.",
        "The token says issuer '{issuer}', subject '{subject}', audience '{audience}'; all three must match.",
        "`az identity federated-credential create --name akv2k8s --identity-name IDENTITY --resource-group GROUP --issuer '{issuer}' --subject '{subject}' --audiences '{audience}'` (IDENTITY: the one with client id {client_id}; a new credential takes up to 5 minutes to work)";
    }
    NoMethodWorked, ErrAzureVault, "slowly" {
        "`AUTH_TYPE=environment-azidentity`: every method was tried; the message has each one's reason.",
        "None of the methods that are tried in turn gave a token.",
        "Repair the first one that is meant to work, and name it in AUTH_TYPE: then its reason stands alone.";
        MethodsPassedOver { passed_over, cause, fix }: "{passed_over} {cause}",
            "Set what is missing of the method that is meant. Else: {fix}";
    }
    TokenRequestFailed, ErrAzureVault, "soon if there was no answer, 429 or 5xx; else slowly" {
        "Any other refusal, no answer from Entra, or the vault does not accept the token.",
        "The message has Entra's words; DNS, firewall, proxy or the node's clock are the most frequent causes of silence.",
        "Look the AADSTS code up at https://login.microsoftonline.com/error";
        EntraSays { message }: "Entra says: {message}";
        EntraSaysNothing: "The answer says no more.";
        EntraSilent { host, error }: "{error}.",
            "Check DNS, firewall and proxy between this pod and {host}.";
        NotEntra: "The answer is not a token response.",
            "Check proxies between this pod and Entra.";
        ImdsSays { message }: "It says: {message}",
            "Check that 169.254.169.254 is Azure's metadata service, not something that intercepts it.";
        TokenNotAccepted: "The vault gives no reason that is known.",
            "Check the node's clock, and that identity and vault are of the same cloud and tenant.";
        TokenRequestLost: "This program was stopped, or it has a bug.",
            "It is tried again; if it stays, please report it.";
        IdentityGivenUp: "It may not be used any more, or nobody needed it; its tokens are dropped.",
            "Nothing: whether it may be used again is looked up with the next try.";
        RandomNumbersMissing: "The system gives no random numbers.",
            "Check that getrandom(2) is not blocked for this container.";
    }
}
