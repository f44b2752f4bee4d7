//! Managed identity.

section! {
    ImdsUnreachable, ErrAzureVault, "soon" {
        "Nothing answers at the address of the instance metadata service.",
        "This is not an Azure node, or a network policy or aad-pod-identity blocks the address.",
        "On AKS use workload identity: label the pod azure.workload.identity/use=true and annotate its ServiceAccount with azure.workload.identity/client-id.";
        ImdsNotConnected { error }: "This is not an Azure node, or a network policy or aad-pod-identity blocks the address ({error}).";
        ManagedIdentityLeftOut: "Managed identity: left out by AZURE_TOKEN_CREDENTIALS.",
            "Set up one of the methods, and name it in AUTH_TYPE.";
    }
    ImdsGateway, ErrAzureVault, "soon" {
        "502 or 504: something answered in place of the instance metadata service.",
        "Something between this pod and the metadata service answered in its place, most often a proxy.",
        "Add 169.254.169.254 to NO_PROXY.";
        ImdsIntercepted { host }: "The answer is not a token response: something between this pod and the endpoint, most often a proxy, gave it.",
            "Check that nothing intercepts {host} on this node.";
    }
    PodIdentityNotReady, ErrAzureVault, "soon" {
        "aad-pod-identity says `no azure identity found for request clientID`.",
        "aad-pod-identity answers in place of the metadata service and has not assigned the identity to this pod yet (20 s, on scale sets 60 s), or the pod's label aadpodidbinding is not its binding's selector.",
        "Wait a minute; then compare: `kubectl get azureidentitybindings --all-namespaces --output custom-columns=NAME:.metadata.name,SELECTOR:.spec.selector`. To use the node's identity instead, add an AzurePodIdentityException for this pod.";
    }
    ImdsAmbiguousIdentity, ErrAzureVault, "slowly" {
        "400: the node has several managed identities, and none was named.",
        "Several managed identities are on this node, and none was named.",
        "Set AZURE_CLIENT_ID to the client id of the one that may read the vault.";
    }
    ImdsIdentityNotAssigned, ErrAzureVault, "slowly; soon for the first two minutes" {
        "400 `Identity not found`: the node has no such identity, or not yet, or it was deleted.",
        "No such identity is assigned to this node, or not yet, or it was deleted.",
        "Check AZURE_CLIENT_ID (the client id, not the object id), and assign the identity to the node pool: `az vmss identity assign --resource-group NODE_GROUP --name SCALE_SET --identities ID`";
    }
    ImdsThrottled, ErrAzureVault, "soon" {
        "429, or 5xx again and again: the metadata service asks to slow down, or is failing.",
        "Too many token requests on this node, or the metadata service has a problem of its own.",
        "Nothing to do: it is asked again with growing pauses.";
        ImdsUpdating: "The metadata service is being updated, which takes up to 70 seconds.";
        ImdsTooSlow { error }: "{error}.",
            "Nothing to do if it passes: it is asked again with growing pauses.";
    }
}
