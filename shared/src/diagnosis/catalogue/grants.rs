//! Grants.

section! {
    VaultGrantsUnreadable, Itself, "soon after the file was corrected" {
        "The file of `--vault-grants` is missing, cannot be read or breaks its own rules; the message names line and key.",
        "Without readable grants nothing is allowed when the program starts; later, the rules last read stay in force.",
        "Correct the file; it is read again by itself.";
        GrantsUnusable { error }: "{error}.";
        GrantsUnusableAtStart { error }: "{error}.",
            "Correct the file; it is read again by itself. A controller that starts now allows nothing.";
    }
    VaultNotGranted, Itself, "when the grants or the labels of the namespace change" {
        "No rule of the grants lets this namespace have this object. Nothing was asked of Entra or the vault.",
        "Rules exist, so what no rule allows is denied.",
        "Ask whoever runs akv2k8s for a rule in that file: `{namespaces: [{namespace}], vaults: [{vault}], types: [{kind}], objects: [{object}]}`";
        NoGrants { file, error }: "The rules in {file} cannot be used, and until they can nothing is allowed: {error}.",
            "Ask whoever runs akv2k8s to correct that file; it is read again by itself.";
        NamespaceNotGranted { file, namespace, vault, kind, object }: "No rule in {file} is for namespace '{namespace}'.";
        VaultNotNamed { file, namespace, vault, kind, object }: "The rules in {file} for namespace '{namespace}' do not name vault '{vault}'.";
        TypeNotNamed { file, namespace, vault, kind, object }: "The rules in {file} for namespace '{namespace}' and vault '{vault}' do not name type '{kind}'.";
        ObjectNotNamed { file, namespace, vault, kind, object }: "The rules in {file} for namespace '{namespace}' and {kind}s of vault '{vault}' do not name '{object}'.";
        LabelsUnknown { file, namespace, reason }: "A rule in {file} selects namespaces by label, and the labels of namespace '{namespace}' are not known: {reason}.",
            "Give the controller the right to list and watch namespaces; it looks again by itself.";
    }
}
