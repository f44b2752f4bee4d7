//! The value.

section! {
    TransformFailed, ErrAzureVault, "slowly" {
        "`base64decode` met a value that is no base64.",
        "The value is not what the transform takes.",
        "Correct the value or output.transform; put trim first if there are blanks around it.";
        NotBase64: "Transform base64decode met a value that is not base64 (RFC 4648 standard alphabet, padded with =; line breaks are ignored).",
            "Store the value as standard base64, or remove base64decode from spec.output.transform; put trim before it if the value has blanks around it.";
    }
    ValueMalformed, ErrAzureVault, "slowly" {
        "The value is not in the format its type needs: no JSON or YAML mapping, no `user:password`, no Docker configuration, a symmetric key.",
        "The value is not in the format that its type needs; the message names the place.",
        "Correct the value in the vault.";
        NotDockerConfig: "The value is not a JSON object, which this Secret type requires.",
            "Store the contents of a Docker config file, e.g. {\"auths\":{\"REGISTRY\":{\"username\":\"…\",\"password\":\"…\"}}}.";
        NotBasicAuth: "The value is not basic auth: it has no colon between user name and password.",
            "Store the secret as user:password, or as the base64 of that.";
        KeyIsSymmetric: "The key is symmetric: it has no public part, and Key Vault never gives out the key itself.",
            "Name an RSA or EC key, or store the key material as a secret.";
        PairsNotText { format }: "The value cannot be read as {format}: it is not UTF-8 text.",
            "Store the pairs as UTF-8 text, or set spec.vault.object.contentType to what the value is.";
        PairsNotJson { line, column }: "The value cannot be read as application/x-json: not a JSON object of strings (line {line}, column {column}).",
            "Store a value of the form {\"key\":\"value\"}, or set spec.vault.object.contentType to what the value is.";
        PairsNotYaml { place }: "The value cannot be read as application/x-yaml: not one YAML mapping of strings{place}.",
            "Store a value of the form key: value, or set spec.vault.object.contentType to what the value is.";
        PairsTooNested { brackets }: "The value cannot be read as application/x-yaml: it opens more than {brackets} brackets.",
            "Store a value of the form key: value, or set spec.vault.object.contentType to what the value is.";
        PairIsNested { key }: "The value of key {key} is an object or a list, not a string.",
            "Make every value a string; put nested data into a string of its own, e.g. {\"key\":\"{\\\"a\\\":1}\"}.";
        PairHasBadEscape { key }: "The value of key {key} has an escape that is not a Unicode character.",
            "Make every value a string; put nested data into a string of its own, e.g. {\"key\":\"{\\\"a\\\":1}\"}.";
    }
    ValueTooLarge, ErrAzureVault, "slowly" {
        "More than 1,048,576 bytes, or a certificate file that would take too long to read.",
        "Kubernetes stores no larger objects.",
        "Spread the value over several objects.";
        DataTooLarge { bytes, limit }: "The values add up to {bytes} bytes; a Secret or ConfigMap holds at most {limit}.",
            "Store a shorter value, or spread it over several vault objects with an AzureKeyVaultSecret each.";
        KeyDerivationTooLong { rounds }: "The PFX asks for more than {rounds} rounds of key derivation.",
            "Export it with fewer: `openssl pkcs12 -export -iter 2048 …`; without a password more of them protect nothing.";
        ChainTooLong { limit }: "The certificate comes with more than {limit} others, too many to order.",
            "Store only the certificates of its chain, or remove chainOrder.";
    }
    CertificateUnreadable, ErrAzureVault, "slowly" {
        "Certificate or private key cannot be read, one is missing, or no certificate belongs to the key.",
        "What the vault holds is no certificate with its key.",
        "Store PEM, or a PFX in base64, with both.";
        CertificateMissing: "The certificate cannot be used: it holds no certificate.",
            "Store the certificate together with its private key.";
        PrivateKeyMissing: "The certificate cannot be used: it holds no private key.",
            "Store the private key together with the certificate.";
        KeyOfNoCertificate: "The certificate cannot be used: none of its certificates belongs to its private key, so no server could load the two.",
            "Store the certificate of this very key with it.";
        CertificateNotDer: "The certificate cannot be used: it is not DER.",
            "Look at it with `az keyvault certificate show`.";
        NeitherPemNorPfx: "The certificate cannot be used: it is neither PEM nor a PFX in base64.",
            "Store a PEM file, or the base64 of a PFX file without password.";
        PemDamaged: "The certificate cannot be used: a PEM block is damaged.",
            "Check it with `openssl storeutl -noout -text FILE` and store it again.";
        PfxDamaged: "The certificate cannot be used: its PFX is damaged.",
            "Check it with `openssl pkcs12 -in FILE -info -noout` and store it again.";
        PfxAlgorithmUnknown { algorithm }: "The certificate cannot be used: its PFX uses algorithm {algorithm}, which is not known here.",
            "Export it with AES-256: `openssl pkcs12 -export -certpbe AES-256-CBC -keypbe AES-256-CBC -macalg sha256 …`.";
        PrivateKeyDamaged: "The certificate cannot be used: its private key is damaged or of an unknown kind.",
            "Check it with `openssl pkey -in FILE -check -noout`; RSA, EC and Ed25519 keys are known.";
        CurveMissing: "The certificate cannot be used: its EC key names no curve.",
            "Store a key on a named curve, e.g. from `openssl ecparam -name prime256v1 -genkey`.";
        ChainWithoutLeaf: "The certificate cannot be used: none of its certificates belongs to its private key, so chainOrder cannot tell which comes first.",
            "Store the certificate of this very key with it, or remove chainOrder.";
        ChainNotX509: "The certificate cannot be used: one of its certificates is not X.509.",
            "Check each with `openssl x509 -in FILE -noout -text`.";
        SignerNotRsa: "The certificate cannot be used: its key is not RSA, and Entra takes assertions signed by RSA keys only.",
            "Make a certificate with an RSA key, e.g. by `openssl req -x509 -newkey rsa:3072 …`, and register it.";
        SignerSizeUnsupported: "The certificate cannot be used: its RSA key is shorter than 2,048 bits, longer than 4,096, or damaged.",
            "Make a certificate with an RSA key of 2,048 to 4,096 bits.";
    }
    CertificatePasswordProtected, ErrAzureVault, "slowly" {
        "PFX or private key has a password.",
        "Nobody can be asked for the password.",
        "Store it without one.";
        PfxHasPassword: "The PFX is protected by a password, which cannot be given here.",
            "Take the password off and store the result: `openssl pkcs12 -in OLD -nodes -out FILE.pem`, then `openssl pkcs12 -export -in FILE.pem -passout pass: -out NEW`.";
        PrivateKeyHasPassword: "The private key is protected by a password, which cannot be given here.",
            "Remove the password with `openssl pkey -in FILE -out FILE` and store the result.";
    }
    QueryInvalid, Itself, "start" {
        "A reference asks for a part that its object does not have, or for no part of a multi-key value.",
        "What stands after the question mark is no part of such an object.",
        "Correct the reference; [the parts of each object](env-injection.md#queries).";
        NoPartOfSecret { query }: "The reference asks for '{query}', which a secret does not have.",
            "Write username, password, tls.crt or tls.key after the question mark; for a key of a JSON or YAML value, make the object's type multi-key-value-secret.";
        NoPartOfPairs { query }: "The reference asks for '{query}', which this multi-key value does not have.",
            "Write one of its keys, or path.to.key for a nested one, after the question mark.";
        NoPartOfCertificate { query }: "The reference asks for '{query}', which a certificate does not have.",
            "Write tls.crt, tls.key or raw after the question mark.";
        NoPartOfKey { query }: "The reference asks for '{query}', which a key does not have.",
            "Write pem, jwk or raw after the question mark.";
        PairNotChosen: "A multi-key value has many values, and the reference does not say which.",
            "Write the key after a question mark: `NAME@azurekeyvault?KEY`.";
    }
}
