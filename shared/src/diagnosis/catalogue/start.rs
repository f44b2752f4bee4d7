//! The start of a program.

section! {
    InjectionMisconfigured, Itself, "start" {
        "A variable of the wrapper's own (`ENV_INJECTOR_…`) is missing or has a value that cannot be; the message names it.",
        "The container does not have what the webhook gives it, or was set up by hand and not completely.",
        "Re-create the pod, so that the webhook sets the variables; without webhook set ENV_INJECTOR_USE_AUTH_SERVICE=false and the variables of an identity.";
        OwnTokenNotMounted: "AzureKeyVaultSecrets are read from the API server with the pod's ServiceAccount, and its token is not mounted.",
            "Set automountServiceAccountToken: true on the pod, or use direct references (azurekeyvault://VAULT/secrets/NAME).";
    }
    BrokerUnavailable, Itself, "soon, within the time for the start" {
        "The injector's value service does not answer, or not in the way it should, until the time for the start is over.",
        "The service is not running, or a network policy or a mesh keeps this pod from it.",
        "Look at its pods: `kubectl get pods --namespace {namespace}`; let this pod reach port 9443 there.";
        BrokerNotInTime: "The first attempt was not answered before the time for the start was over.",
            "Raise ENV_INJECTOR_START_BUDGET (seconds), or look at what is slow between this pod and what it asks.";
    }
    BrokerNotTrusted, Itself, "start" {
        "The certificate of the injector's value service is of neither authority that the pod was given when it was created.",
        "The pod is older than two of the injector's certificate authorities, its installation was replaced, or something in between ends TLS.",
        "Re-create the pod: `kubectl rollout restart {workload}`";
        AuthoritiesOutdated { recreate }: "The pod is older than two of the injector's certificate authorities, or its installation was replaced.",
            "{recreate}";
    }
    ValueNotForEnvironment, Itself, "start" {
        "A value has a NUL byte, which no environment variable can hold.",
        "The value is binary.",
        "Store it as text, or transform it: output.transform [base64encode].";
    }
    EnvironmentTooLarge, Itself, "start" {
        "Arguments and environment together are more than the kernel takes, or one variable is longer than 32 pages of memory: 131,071 bytes on most nodes.",
        "Linux limits what a program can be started with.",
        "Inject fewer or shorter values, or let the controller write a Secret and mount it as files.";
        SpecsTooLong { bytes, most }: "Without the broker, what AzureKeyVaultSecrets say is given to the container as one variable: it would have {bytes} bytes, and the kernel takes {most}.",
            "Refer to fewer or shorter ones in the container, or let the broker give it the values.";
        MoreThanBrokerTakes: "There are more of them here.",
            "Use fewer references; a multi-key-value-secret mounted as a file holds many values.";
    }
}
