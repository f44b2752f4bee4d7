//! The env injector.

section! {
    InjectionImpossible, Itself, "" {
        "A pod asks for injection and cannot be prepared: it runs on Windows, a name or place that the injector needs is taken, or nothing says what a container starts.",
        "The message says which.",
        "Change that in the pod.";
    }
    InjectionSettingInvalid, Itself, "" {
        "A variable by which a container tells the env injector something has a value that means nothing.",
        "`ENV_INJECTOR_DISABLE_AUTH_SERVICE` is a boolean, and written as a `value`.",
        "Correct the variable, or remove it.";
    }
    ReferenceInvalid, Itself, "" {
        "The value of a variable begins with `azurekeyvault://` and is no reference, or one that the broker does not resolve.",
        "The grammar is broken, or the container gets its values from the broker, which gives those of AzureKeyVaultSecrets only.",
        "Correct the value; or name an AzureKeyVaultSecret: `NAME@azurekeyvault`.";
    }
    AkvsNotFound, Itself, "" {
        "A reference names an AzureKeyVaultSecret that the pod's namespace does not have.",
        "The name is misspelt, the object is in another namespace, or was not created yet.",
        "Create it, or correct the name: `kubectl get akvs --namespace {namespace}`";
    }
}
