//! The specification.

section! {
    InvalidSpec, Itself, "edit; slowly for `keyFormat: raw` of an EC key" {
        "A field has a value that cannot be; the message names the field.",
        "The specification asks for something that cannot be.",
        "Correct the field, for example with `kubectl edit akvs`";
        SpecUnreadable { error }: "{error}.";
        ContentTypeMissing: "A multi-key-value-secret needs to say how its value is written.",
            "Write 'contentType: application/x-json' or 'contentType: application/x-yaml'.";
        TransformUnknown { transform }: "There is no transform {transform}.",
            "Write 'trim', 'base64encode' or 'base64decode'.";
        NameNotAllowed { name }: "Kubernetes does not allow the name {name}.",
            "Write lower-case letters, digits, '-' and '.', beginning and ending with a letter or digit.";
        VaultNameInvalid { error }: "{error}.",
            "Write the vault's short name, for example 'name: my-vault'.";
        ObjectNameInvalid { error }: "{error}.",
            "Write the object's name as the vault shows it, for example 'name: db-password'.";
        VersionInvalid { error }: "{error}.",
            "Write the version's 32 hexadecimal digits, or leave 'version' out.";
        ModulusOfEcKey: "keyFormat raw means the modulus of an RSA key; an EC key has none.",
            "Set keyFormat to pem or jwk, or leave it out (an EC key is then written as PEM).";
    }
    DataKeyMissing, Itself, "edit" {
        "Nothing says under which key the value goes.",
        "The output has no dataKey, and its type does not decide the key.",
        "Write dataKey, for example `dataKey: password`.";
    }
    DataKeyInvalid, Itself, "edit; slowly when the key comes from a multi-key value" {
        "Kubernetes does not allow that key.",
        "A key holds letters, digits, hyphens, underscores and dots only, is no longer than 253 characters, and is neither . nor .. nor begins with ..",
        "In the specification: correct dataKey. In a multi-key value: correct the pair in the vault.";
        DataKeyNotAllowed { key }: "Kubernetes does not allow the data key {key}.",
            "Write up to 253 letters, digits, '-', '_' and '.', for example 'dataKey: password'.";
        PairNotAllowed { key }: "{key} cannot be a key of a Secret or ConfigMap.",
            "Use 1 to 253 letters, digits, '-', '_' or '.', not \".\" and not beginning with \"..\".";
    }
}
