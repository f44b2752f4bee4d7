//! The env injector.

section! {
    InjectionImpossible, Itself, "" {
        "A pod asks for injection and cannot be prepared: it runs on Windows, a name or place that the injector needs is taken, or nothing says what a container starts.",
        "The message says which.",
        "Change that in the pod.";
        WindowsPod: "The wrapper is a program for Linux.",
            "Take the references out, and use a Secret that an AzureKeyVaultSecret writes.";
        PlaceTaken: "The env injector needs that name or place for itself.",
            "Choose another one in the pod.";
        ProgramUnknown: "It has no command, and its image has neither ENTRYPOINT nor CMD.",
            "Set command in the container.";
        LookUpsOff: "Images' registries are not asked in this installation (IMAGE_LOOKUP).",
            "Set command in the container.";
    }
    InjectionSettingInvalid, Itself, "" {
        "A variable by which a container tells the env injector something has a value that means nothing.",
        "`ENV_INJECTOR_DISABLE_AUTH_SERVICE` is a boolean, and written as a `value`.",
        "Correct the variable, or remove it.";
        SwitchNotBoolean: "It has to be known when the pod is created, so its value cannot come from elsewhere, and it is a boolean.",
            "Write true or false, in quotes, as its value; or remove it.";
    }
    ReferenceInvalid, Itself, "" {
        "The value of a variable begins with `azurekeyvault://` and is no reference, or one that the broker does not resolve.",
        "The grammar is broken, or the container gets its values from the broker, which gives those of AzureKeyVaultSecrets only.",
        "Correct the value; or name an AzureKeyVaultSecret: `NAME@azurekeyvault`.";
        ReferenceBroken { error }: "Its value breaks the grammar: {error}.",
            "Correct the value.";
        DirectWithBroker { variable }: "The broker gives values of AzureKeyVaultSecrets only.",
            "Create an AzureKeyVaultSecret for the object and write NAME@azurekeyvault; or set {variable}: \"true\" on the container, which then needs an identity of its own.";
        DirectFromBroker: "This container gets its values from the broker, which gives only what an AzureKeyVaultSecret of the namespace names.",
            "Create an AzureKeyVaultSecret and write NAME@azurekeyvault, or set ENV_INJECTOR_DISABLE_AUTH_SERVICE=true and give the pod an identity.";
        VariableNotReference { error }: "What is wrong: {error}.",
            "Correct the variable, or name an AzureKeyVaultSecret: NAME@azurekeyvault";
    }
    AkvsNotFound, Itself, "" {
        "A reference names an AzureKeyVaultSecret that the pod's namespace does not have.",
        "The name is misspelt, the object is in another namespace, or was not created yet.",
        "Create it, or correct the name: `kubectl get akvs --namespace {namespace}`";
        AkvsNeededFirst { namespace }: "Without the broker, what an AzureKeyVaultSecret says is written into the pod, so it has to be there first.";
        AkvsNotKnown: "The API server does not know it.",
            "Apply it or correct the name, then re-create the pod: `kubectl get akvs`";
        AkvsNotThereThen: "It was not there when the pod was created.",
            "Apply it or correct the name, then re-create the pod: `kubectl get akvs`";
    }
}
