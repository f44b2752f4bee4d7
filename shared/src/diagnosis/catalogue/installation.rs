//! The installation.

section! {
    CrdNotInstalled, Itself, "" {
        "The cluster does not know the resource AzureKeyVaultSecret, or not in version v2beta1.",
        "Its definition was never applied, or is another program's.",
        "Apply the chart's file `crds/azurekeyvaultsecrets.spv.no.yaml`, or what the controller's pod prints: `kubectl exec -n NAMESPACE deployment/DEPLOYMENT -- akv2k8s-controller crd | kubectl apply --server-side -f -`";
        DefinitionMissing: "Its definition was never applied.";
        DefinitionForeign: "Its definition is from another program or time.";
        DefinitionCollides: "Its names collide with another resource's.";
    }
    CrdNotUpgraded, Itself, "soon" {
        "The cluster's definition of AzureKeyVaultSecret is older than the controller, which cannot replace it. Fields that it does not know are lost.",
        "The controller may not read and patch the definition, or the API server refuses the new one.",
        "Apply what the controller's pod prints: `kubectl exec -n NAMESPACE deployment/DEPLOYMENT -- akv2k8s-controller crd | kubectl apply --server-side --force-conflicts -f -`";
        DefinitionNotOurs: "The controller may not get or patch customresourcedefinitions/azurekeyvaultsecrets.spv.no.",
            "Give it the right (the chart does, with crds.upgrade=true), or set CRD_UPGRADE=false and apply the definition yourself: `kubectl exec -n NAMESPACE deployment/DEPLOYMENT -- akv2k8s-controller crd | kubectl apply --server-side --force-conflicts -f -`";
        DefinitionRefused { error }: "{error}";
    }
    PodsRefusedByPodSecurity, Itself, "" {
        "Pod Security Admission refuses the pods of controller or env injector, so their Deployment gets no new ones (`ReplicaFailure`); the message has its words.",
        "The pods ask for more than the Pod Security Standard that their namespace enforces.",
        "Take out of the values what is named (podSecurityContext, securityContext, extraVolumes). Or let it in: `kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=privileged`; then `kubectl rollout restart deployment/{deployment} -n {namespace}`";
        PodsReadHostFile { path, namespace, deployment }: "They read {path} of their node, which takes root and a hostPath volume, and the Pod Security Standard that namespace {namespace} enforces has no room for these.",
            "One of two. Use an identity that needs no file of the node: workloadIdentity.enabled=true and workloadIdentity.clientId=CLIENT_ID in the chart's values, or global.keyVaultAuth=environment and the credential's variables in a Secret that global.envFromSecret names. Or let the file in: `kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=privileged`; then `kubectl rollout restart deployment/{deployment} -n {namespace}`";
        PodsAskForMore { namespace, deployment }: "They ask for more than the Pod Security Standard that namespace {namespace} enforces.",
            "Take out of the values what is named (podSecurityContext, securityContext, extraVolumes). Or let it in: `kubectl label namespace {namespace} --overwrite pod-security.kubernetes.io/enforce=privileged`; then `kubectl rollout restart deployment/{deployment} -n {namespace}`";
    }
    ControllerNotRunning, Itself, "" {
        "No controller holds the Lease, its Deployment has no available replica, or nobody has worked on an object.",
        "No controller is running, or it does not watch that namespace or label.",
        "Look at its pods and their logs: `kubectl get pods --namespace {namespace}`";
        ControllerMissing { namespace }: "Namespace {namespace} has no Deployment with the chart's labels, and there is no Lease of a controller.",
            "Install the chart there; or name the namespace where it is installed: --controller-namespace";
        ScaledToZero { deployment, namespace }: "It is scaled to 0.",
            "`kubectl scale deployment/{deployment} -n {namespace} --replicas=1`";
        ReplicasNotReady { deployment, namespace }: "Its pods do not start or are not ready.",
            "`kubectl describe pods -n {namespace}`; `kubectl logs -n {namespace} deployment/{deployment}`";
        LeaseGivenBack { namespace }: "The last controller stopped and gave it back; no other has taken it.",
            "`kubectl get pods -n {namespace}`; their logs say why no controller works";
        LeaseNotRenewed { namespace }: "It was killed or cannot reach the API server, and no other has taken its place.",
            "`kubectl get pods -n {namespace}`; their logs say why no controller works";
        NeverReconciled: "The controller is not running, is busy, or does not watch this object (namespace, OBJECT_LABELS).",
            "`kubectl akv2k8s doctor`; then look at OBJECT_LABELS, --watch-all-namespaces and --watch-namespaces of the controller";
    }
    InjectorNotRunning, Itself, "" {
        "The env injector's Deployment has no available replica, its webhook is registered and it has no Deployment, or the other way round. Pods that ask for values are refused, or not prepared.",
        "Its pods do not start, or only a part of it is installed.",
        "Look at its pods and their logs: `kubectl get pods --namespace {namespace}`";
        InjectorScaledToZero { deployment, namespace }: "It is scaled to 0.",
            "`kubectl scale deployment/{deployment} -n {namespace} --replicas=1`";
        InjectorNotReady { deployment, namespace }: "Its pods do not start or are not ready.",
            "`kubectl describe pods -n {namespace}`; `kubectl logs -n {namespace} deployment/{deployment}`";
        InjectorMissing { namespace, configuration }: "The webhook sends to namespace {namespace}, where no Deployment has the chart's labels of an env injector.",
            "Install the chart there again. If the env injector is to go: `kubectl delete mutatingwebhookconfiguration {configuration}`";
        InjectorNotRegistered { namespace }: "No MutatingWebhookConfiguration sends pods to it.",
            "Install the chart in namespace {namespace} again, without leaving out its MutatingWebhookConfiguration";
    }
}
