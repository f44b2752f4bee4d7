//! Images of containers without `command`.

section! {
    ImageNameInvalid, Itself, "" {
        "The name of a container's image is none.",
        "No registry can be asked for an image of such a name.",
        "Correct the container's `image`.";
        ImageNameUnreadable { flaw }: "It cannot be read: {flaw}.";
    }
    ImageLookUpsExceeded, Itself, "" {
        "More images would have to be looked up than may be for one pod, or at a time.",
        "16 for one pod; 16 at a time for one namespace, and 64 in all.",
        "Set `command` in the containers, then no registry is asked. If others were in the way, create the pod again.";
        LookUpsWaiting: "Too many others are being looked up at the moment.";
    }
    RegistryNotAllowed, Itself, "" {
        "The name of an image, or an answer of its registry, leads to an address of the injector's own machine or its link.",
        "Whoever may create pods says which registry is asked, and must not reach what is on the injector's node: loopback, instance metadata.",
        "Set `command` in the container, then no registry is asked. If the registry is meant to be there, list it in IMAGE_LOOKUP_LOCAL_REGISTRIES of the injector.";
        RegistryNotOutward { detail }: "{detail}.";
    }
    ImagePullDenied, Itself, "" {
        "The registry wants other credentials for an image, or none of those that there are may read it.",
        "Neither the pod's imagePullSecrets nor those of its ServiceAccount open the image, nor does the injector's own identity (Azure Container Registry only).",
        "Set `command` in the container, then no registry is asked; or give the pod imagePullSecrets that open the image.";
        ImageNotGivenOut { detail }: "The registry does not let it be read: {detail}.";
    }
    ImageNotFound, Itself, "" {
        "The registry has no such image.",
        "Repository, tag or digest is wrong, or the image was deleted.",
        "Correct the container's `image`, or set `command` in the container, then no registry is asked.";
        ImageHidden: "The registry has no such image, or hides it.";
    }
    RegistryUnavailable, Itself, "" {
        "The registry gave no answer in time, one that is an error of its own, or one that asks to slow down (429).",
        "The registry has a problem, or DNS, firewall, proxy or an untrusted certificate are in the way; the message says which.",
        "Set `command` in the container, then no registry is asked. Name a registry's own certificate authority in IMAGE_LOOKUP_CA_FILE, and one without TLS in IMAGE_LOOKUP_INSECURE_REGISTRIES.";
        RegistryThrottles: "The registry asks to slow down (429): too many images were read from this address or with this account.";
        RegistrySilent { detail }: "The registry gave no answer: {detail}.";
    }
    ImagePlatformUnclear, Itself, "" {
        "No image of the list fits the nodes that the pod may run on, or those that fit start different programs.",
        "The wrapper runs on linux/amd64 and linux/arm64; which of them it will be is decided by the scheduler, after the pod was prepared.",
        "Set `command` in the container, or the architecture in the pod: `nodeSelector: {kubernetes.io/arch: amd64}`";
        ArchitectureExcluded: "The wrapper runs on linux/amd64 and linux/arm64 only, and the pod's nodeSelector or affinity admits neither.";
        ProgramsDiffer { architectures }: "Its images for {architectures} start different programs, and the pod does not say on which it will run.";
        NoImageFits { architectures, platforms }: "It has no image for Linux on {architectures}, where the pod may run; there are: {platforms}.";
    }
    ImageUnusable, Itself, "" {
        "What the registry gave is no image of a container, is too large, or is not what its digest names.",
        "Manifest or configuration of the image breaks the formats of OCI and Docker, or the limits that hold here.",
        "Set `command` in the container, then no registry is asked; or build the image anew.";
        ImageFlawed { flaw }: "It cannot be used: {flaw}.";
    }
}
