//! Secrets and ConfigMaps in the cluster.

section! {
    ApiServerUnavailable, Itself, "soon" {
        "The API server does not answer, or is busy.",
        "The API server does not answer, or is busy.",
        "Nothing to do: it is tried again.";
        ApiServerSilent { error }: "The API server did not answer: {error}.";
        ApiServerBusy { status, reason }: "The API server answered {status} {reason}.";
        TokenAnswerEmpty: "Its answer holds no token.";
        LabelsOutdated { minutes }: "The watch of namespaces has failed for {minutes} minutes.",
            "See the log for what fails; for rights, examples/install/namespace-labels-rbac.yaml. It is tried again by itself.";
        NamespaceNotTold { error }: "{error}.",
            "Create the pod again.";
        AkvsNotTold { error }: "{error}.",
            "Create the pod again.";
        ApiServerOutOfReach { error }: "{error}.",
            "Check network policies and the API server's address from this pod.";
        LeaseNamespaceMissing { message }: "{message}.",
            "Create the namespace, or name another with --lease-namespace.";
        LeaseOutOfReach { error }: "{error}.";
        NamespacesNotWatched { error }: "{error}.",
            "Nothing to do if it passes: it is tried again. Else give the controller the right to list and watch namespaces: examples/install/namespace-labels-rbac.yaml";
        InjectorNotAnswered { error }: "{error}.",
            "Nothing to do if it passes: it is tried again.";
        ApiServerHidden { error }: "It does not answer: {error}.",
            "Check that network policies let this pod reach the API server.";
        ApiServerStatus { status }: "It answers with status {status}.",
            "Check that network policies let this pod reach the API server.";
    }
    ApiServerForbidden, Itself, "slowly" {
        "The controller lacks a right.",
        "No Role gives the controller's ServiceAccount the right that the message names.",
        "Grant it; all rights: [controller-rbac.yaml](../examples/install/controller-rbac.yaml)";
        RightsMissing { manifests }: "The Role or ClusterRole of the controller lacks them, or is not bound to its ServiceAccount.",
            "`kubectl apply {manifests}`";
        WatchForbidden { error, resource, place }: "{error}.",
            "Grant list and watch on {resource} {place} to the controller's ServiceAccount, as examples/install does. It is tried again by itself.";
        LeaseForbidden { message, namespace }: "{message}.",
            "Grant get, create and update on leases.coordination.k8s.io in namespace {namespace} to the controller's service account, as examples/install does; or name another namespace with --lease-namespace.";
        ControllerTokenRefused { verbs, resource, namespace }: "The API server does not accept the controller's token.",
            "Grant {verbs} on {resource} in namespace {namespace} to the controller's ServiceAccount.";
        OutputForbidden { verbs, resource, namespace }: "Its ServiceAccount lacks the right.",
            "Grant {verbs} on {resource} in namespace {namespace} to the controller's ServiceAccount.";
        NamespaceForbidden { error }: "{error}.",
            "Give the injector's ServiceAccount the right to get namespaces.";
        NamespacesForbidden { error }: "{error}.",
            "Give the controller the right to list and watch namespaces: examples/install/namespace-labels-rbac.yaml";
        InjectorForbidden { error, right }: "{error}.",
            "Give the injector's ServiceAccount the right to {right}.";
        PodMayNotReadAkvs { namespace }: "No Role in the namespace gives it the right to get azurekeyvaultsecrets.",
            "`kubectl create role akvs-reader --namespace {namespace} --verb get --resource azurekeyvaultsecrets.spv.no`, and bind it to the pod's ServiceAccount";
    }
    OutputTypeRefused, Itself, "slowly" {
        "Secrets of that type give rights in the cluster and are never written.",
        "Secrets of this type give their holder rights in the cluster, so they are never made from a vault.",
        "Set spec.output.secret.type to another type, e.g. Opaque.";
    }
    OutputConflict, ErrResourceExists, "slowly, and when the other one goes; soon in the second case" {
        "An older AzureKeyVaultSecret has that key; or the output changed in the moment it was written.",
        "Another object claims the same key.",
        "Choose another key or name; in the second case nothing.";
        ChangedMeanwhile: "It was written in the same moment, or created, or deleted.",
            "Nothing to do: it is looked at and written again.";
        ChangedMeanwhileBy { managers }: "It was written by {managers} in the same moment, or created, or deleted.",
            "Nothing to do: it is looked at and written again.";
        KeyClaimedTwice: "Of two AzureKeyVaultSecrets that claim one key, the older keeps it.",
            "Choose another data key or another name in spec.output, or delete one of the two.";
    }
    OutputNotOwned, ErrResourceExists, "slowly; soon if it appeared in the moment of creation" {
        "The output, or the key, is somebody else's.",
        "Nobody's object is taken over silently.",
        "[Adopt it](azurekeyvaultsecret.md#adoption), delete it, or choose another name.";
        ObjectOfOthers { namespace, name, kind }: "An object that belongs to somebody else is never taken over silently; it would be deleted with the AzureKeyVaultSecret.",
            "To hand it over: `kubectl annotate azurekeyvaultsecret --namespace {namespace} {name} akv2k8s.spv.no/adopt=true` Or delete the {kind}, or choose another name.";
        KeyOfOthers { namespace, name }: "A key that somebody else wrote is never taken over silently.",
            "To hand it over: `kubectl annotate azurekeyvaultsecret --namespace {namespace} {name} akv2k8s.spv.no/adopt=true` Or choose another data key.";
    }
    OutputTypeImmutable, Itself, "slowly" {
        "The Secret has another type, and keys of others in it.",
        "Kubernetes does not let a Secret's type change.",
        "Choose another name, or delete the Secret.";
        OtherTypeKept { kind, namespace, name }: "It is not replaced, since it holds keys that this AzureKeyVaultSecret did not write.",
            "Choose another name in spec.output, or give it up: `kubectl delete {kind} --namespace {namespace} {name}`.";
    }
    OutputImmutable, Itself, "slowly" {
        "The output is marked immutable, and its value has changed.",
        "Kubernetes does not let an immutable object change.",
        "Delete it; it is created anew.";
        MarkedImmutable { kind, namespace, name }: "Somebody set `immutable: true`; Kubernetes lets nobody change its data, nor take the mark back.",
            "`kubectl delete {kind} --namespace {namespace} {name}`. It is created again at once, from the vault.";
    }
    OutputRejected, Itself, "slowly" {
        "The API server, a policy or a webhook refuses the output; the message has its words.",
        "Something in the cluster does not allow this object.",
        "Do what the message says.";
        RejectedWith { message }: "{message}",
            "Correct spec.output or what it is made from, as the message says.";
        RejectedWithValue: "Its message is withheld, since it holds a part of the value.",
            "Correct spec.output or what it is made from; to see the message, apply such an object by hand.";
    }
}
