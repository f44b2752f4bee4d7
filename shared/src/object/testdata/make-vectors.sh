#!/usr/bin/env bash
# Makes the test vectors of this folder anew. Needs OpenSSL 3 with its legacy provider, and Python 3.
set -euo pipefail
cd "$(dirname "$0")"
rm -rf keys chain algorithms pfx pem
mkdir keys chain algorithms pfx pem
quiet() { "$@" 2>/dev/null; }
days=36500

# Only the PEM blocks of what openssl prints.
blocks() { sed -n '/^-----BEGIN/,/^-----END/p'; }

# --- keys: NAME.pkcs8.pem, NAME.key.pem (as we write it), NAME.spki.pem, NAME.crt.pem -----------------------------------
self_signed() { # KEY NAME SUBJECT OUT
  openssl req -x509 -new -key "$1" -subj "/CN=$2" -days $days -out "$3"
}
for bits in 2048 3072; do
  quiet openssl genpkey -algorithm RSA -pkeyopt "rsa_keygen_bits:$bits" -out "keys/rsa$bits.pkcs8.pem"
  quiet openssl rsa -traditional -in "keys/rsa$bits.pkcs8.pem" -out "keys/rsa$bits.key.pem"
done
for curve in prime256v1:p256 secp384r1:p384 secp521r1:p521 secp256k1:p256k; do
  name=${curve#*:}
  quiet openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${curve%:*}" -out "keys/$name.pkcs8.pem"
  quiet openssl ec -in "keys/$name.pkcs8.pem" -out "keys/$name.key.pem"
  # As Java writes it: without the public key.
  quiet openssl ec -no_public -in "keys/$name.pkcs8.pem" | quiet openssl pkcs8 -topk8 -nocrypt -out "keys/$name.no-public.pem"
done
quiet openssl genpkey -algorithm ED25519 -out keys/ed25519.pkcs8.pem
cp keys/ed25519.pkcs8.pem keys/ed25519.key.pem
for name in rsa2048 rsa3072 p256 p384 p521 p256k ed25519; do
  openssl pkey -in keys/$name.pkcs8.pem -pubout -out keys/$name.spki.pem
  self_signed keys/$name.pkcs8.pem "$name.example" keys/$name.crt.pem
done

# What a vault shows of them: big-endian numbers, and the JSON Web Key members (RFC 7518 §6).
base64url() { basenc --base64url -w0 | tr -d =; }
for bits in 2048 3072; do
  openssl rsa -in keys/rsa$bits.pkcs8.pem -noout -modulus | sed 's/^Modulus=//' | basenc --base16 -d >keys/rsa$bits.n.bin
  printf '{"e":"AQAB","kty":"RSA","n":"%s"}' "$(base64url <keys/rsa$bits.n.bin)" >keys/rsa$bits.jwk.json
done
for key in p256:32:P-256 p384:48:P-384 p521:66:P-521 p256k:32:secp256k1; do
  IFS=: read -r name length crv <<<"$key"
  openssl pkey -in keys/$name.pkcs8.pem -pubout -outform DER | tail -c $((2 * length)) >point
  head -c "$length" point >keys/$name.x.bin
  tail -c "$length" point >keys/$name.y.bin
  printf '{"crv":"%s","kty":"EC","x":"%s","y":"%s"}' "$crv" "$(base64url <keys/$name.x.bin)" "$(base64url <keys/$name.y.bin)" >keys/$name.jwk.json
  rm point
done

# --- chain ---------------------------------------------------------------------------------------------------------------
new_key() { quiet openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out "$1"; }
ca_ext='basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid'
leaf_ext='basicConstraints=critical,CA:FALSE
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid'
bare_ext='basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=none
authorityKeyIdentifier=none'
issue() { # SUBJECT KEY ISSUER-CERT ISSUER-KEY EXTENSIONS OUT [MORE OPTIONS]
  local subject=$1 key=$2 ca=$3 ca_key=$4 ext=$5 out=$6
  shift 6
  openssl req -new -key "$key" -subj "/CN=$subject" |
    quiet openssl x509 -req -CA "$ca" -CAkey "$ca_key" -days $days -extfile <(printf '%s' "$ext") -out "$out" "$@"
}
root() { # SUBJECT KEY EXTENSIONS OUT [MORE OPTIONS]
  local subject=$1 key=$2 ext=$3 out=$4
  shift 4
  openssl req -new -key "$key" -subj "/CN=$subject" |
    quiet openssl x509 -req -key "$key" -days $days -extfile <(printf '%s' "$ext") -out "$out" "$@"
}
cd chain
for key in leaf intermediate twin-intermediate root twin-root other-root unrelated; do new_key $key.key; done
root 'Root' root.key "$ca_ext" root.pem
root 'Root' twin-root.key "$ca_ext" twin-root.pem                      # equal subject, different key
root 'Other Root' other-root.key "$ca_ext" other-root.pem
root 'Unrelated' unrelated.key "$ca_ext" unrelated.pem
issue 'Intermediate' intermediate.key root.pem root.key "$ca_ext" intermediate.pem
issue 'Intermediate' twin-intermediate.key root.pem root.key "$ca_ext" twin-intermediate.pem # equal subject, different key
issue 'Root' root.key other-root.pem other-root.key "$ca_ext" cross-root.pem                  # the root, signed by another
issue 'leaf.example' leaf.key intermediate.pem intermediate.key "$leaf_ext" leaf.pem
issue 'leaf.example' leaf.key intermediate.pem intermediate.key "$leaf_ext" old-leaf.pem -days 30
issue 'other.example' unrelated.key intermediate.pem intermediate.key "$leaf_ext" other-leaf.pem
# The same without key identifiers: nothing but signatures tells the twins apart.
root 'Root' root.key "$bare_ext" bare-root.pem
root 'Root' twin-root.key "$bare_ext" bare-twin-root.pem
issue 'Intermediate' intermediate.key bare-root.pem root.key "$bare_ext" bare-intermediate.pem
issue 'Intermediate' twin-intermediate.key bare-root.pem root.key "$bare_ext" bare-twin-intermediate.pem
issue 'leaf.example' leaf.key bare-intermediate.pem intermediate.key "$bare_ext" bare-leaf.pem
# A root that lies: it has the true root's name and key identifier, but another key.
openssl x509 -in root.pem -noout -ext subjectKeyIdentifier | sed -n 's/^ *\([0-9A-F:]\{59\}\)$/\1/p' >ski
root 'Root' twin-root.key "basicConstraints=critical,CA:TRUE
subjectKeyIdentifier=$(cat ski)" lying-root.pem
rm ski
# openssl must agree with what the names say.
openssl verify -CAfile root.pem -untrusted intermediate.pem leaf.pem
openssl verify -CAfile other-root.pem -untrusted <(cat cross-root.pem intermediate.pem) leaf.pem
openssl verify -CAfile bare-root.pem -untrusted bare-intermediate.pem bare-leaf.pem
! quiet openssl verify -CAfile twin-root.pem -untrusted intermediate.pem leaf.pem
! quiet openssl verify -CAfile lying-root.pem -untrusted intermediate.pem leaf.pem
! quiet openssl verify -CAfile bare-root.pem -untrusted bare-twin-intermediate.pem bare-leaf.pem
cd ..

# --- algorithms: leaf, intermediate and a twin of it with another key, root ----------------------------------------------
algorithm() { # NAME DIGEST SIGOPTS GENPKEY-OPTIONS…
  local name=$1 digest=$2 sigopt=$3
  shift 3
  local sign=()
  [ -z "$digest" ] || sign+=("-$digest")
  for option in $sigopt; do sign+=(-sigopt "$option"); done
  mkdir "algorithms/$name"
  pushd "algorithms/$name" >/dev/null
  for key in leaf intermediate twin root; do quiet openssl genpkey "$@" -out $key.key; done
  root 'Root' root.key "$bare_ext" root.pem "${sign[@]}"
  issue 'Intermediate' intermediate.key root.pem root.key "$bare_ext" intermediate.pem "${sign[@]}"
  issue 'Intermediate' twin.key root.pem root.key "$bare_ext" twin.pem "${sign[@]}"
  issue 'leaf.example' leaf.key intermediate.pem intermediate.key "$bare_ext" leaf.pem "${sign[@]}"
  openssl verify -CAfile root.pem -untrusted intermediate.pem leaf.pem
  rm root.key intermediate.key twin.key
  popd >/dev/null
}
algorithm rsa-sha1 sha1 '' -algorithm RSA -pkeyopt rsa_keygen_bits:2048
algorithm rsa-sha256 sha256 '' -algorithm RSA -pkeyopt rsa_keygen_bits:2048
algorithm rsa-sha512 sha512 '' -algorithm RSA -pkeyopt rsa_keygen_bits:2048
algorithm rsa-pss sha256 'rsa_padding_mode:pss rsa_pss_saltlen:32' -algorithm RSA -pkeyopt rsa_keygen_bits:2048
algorithm p256-sha256 sha256 '' -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1
algorithm p384-sha384 sha384 '' -algorithm EC -pkeyopt ec_paramgen_curve:secp384r1
algorithm p521-sha512 sha512 '' -algorithm EC -pkeyopt ec_paramgen_curve:secp521r1
algorithm p256k-sha256 sha256 '' -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1
algorithm ed25519 '' '' -algorithm ED25519

# --- pfx -------------------------------------------------------------------------------------------------------------------
cp keys/rsa2048.pkcs8.pem key.pem
cp keys/rsa2048.crt.pem crt.pem
pfx() { # NAME OPTIONS…
  local name=$1
  shift
  openssl pkcs12 -export -inkey key.pem -in crt.pem -passout pass: -out "pfx/$name.pfx" "$@"
}
pfx modern
pfx modern-sha384 -macalg sha384
pfx modern-sha512 -macalg sha512
pfx modern-unknown-mac -macalg sha512-256
pfx aes128 -keypbe AES-128-CBC -certpbe AES-128-CBC
pfx aes192 -keypbe AES-192-CBC -certpbe AES-192-CBC
pfx pbes2-3des -keypbe DES-EDE3-CBC -certpbe DES-EDE3-CBC
pfx names -name 'a friendly name' -caname 'another' -keysig
pfx without-mac -nomac
pfx plain -keypbe NONE -certpbe NONE
pfx plain-without-mac -keypbe NONE -certpbe NONE -nomac
pfx legacy -legacy -macalg sha1
# As Key Vault makes them: one MAC round, 2000 rounds of 3DES for the key and RC2-40 for the certificate.
pfx legacy-vault -legacy -macalg sha1 -iter 2000 -nomaciter -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-RC2-40
pfx legacy-rc2-128 -legacy -macalg sha1 -keypbe PBE-SHA1-RC2-128 -certpbe PBE-SHA1-RC2-128
pfx legacy-2des -legacy -macalg sha1 -keypbe PBE-SHA1-2DES -certpbe PBE-SHA1-2DES
pfx legacy-without-mac -legacy -nomac
pfx rc4 -legacy -macalg sha1 -keypbe PBE-SHA1-RC4-128 -certpbe PBE-SHA1-RC4-128
quiet pfx key-only -nocerts
pfx certificate-only -nokeys
pfx password -passout pass:secret
pfx password-legacy -passout pass:secret -legacy -macalg sha1
pfx password-without-mac -passout pass:secret -nomac
pfx many-rounds -iter 2100000 -nomaciter
pfx many-rounds-in-sum -legacy -macalg sha1 -iter 350000 -nomaciter -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES
openssl asn1parse -noout -out pfx/billions-of-rounds.pfx -genconf <(cat <<'ASN1'
asn1=SEQUENCE:pfx
[pfx]
version=INTEGER:3
safe=SEQUENCE:safe
mac=SEQUENCE:mac
[safe]
type=OID:1.2.840.113549.1.7.1
content=EXPLICIT:0,OCTWRAP,SEQUENCE:nothing
[mac]
digest=SEQUENCE:digest
salt=FORMAT:HEX,OCTETSTRING:00
iterations=INTEGER:2147483647
[digest]
algorithm=SEQUENCE:algorithm
value=FORMAT:HEX,OCTETSTRING:00
[algorithm]
oid=OID:1.3.14.3.2.26
[nothing]
ASN1
)
quiet openssl pkcs8 -topk8 -in key.pem -v2 aes-256-cbc -v2prf hmacWithSHA1 -passout pass: -outform DER -out pfx/pbes2-sha1-prf.key.der
quiet openssl pkcs8 -topk8 -in key.pem -scrypt -passout pass: -outform DER -out pfx/scrypt.key.der
for name in p256 p384 p521 p256k ed25519; do
  openssl pkcs12 -export -inkey keys/$name.pkcs8.pem -in keys/$name.crt.pem -passout pass: -out pfx/$name.pfx
done
# What the command line cannot say: the password NULL, and certificates in an order of our own (it puts the key's first).
# Without chainOrder the order that openssl finds is the one we write.
python3 - <<'PYTHON'
import ctypes, ctypes.util, itertools

lib = ctypes.CDLL(ctypes.util.find_library("crypto"))
pointer = ctypes.c_void_p
for function in ("BIO_new_file", "PEM_read_bio_PrivateKey", "PEM_read_bio_X509", "PKCS12_create", "OSSL_PROVIDER_load",
                 "EVP_get_digestbyname", "OPENSSL_sk_new_null"):
    getattr(lib, function).restype = pointer
for provider in (b"default", b"legacy"):
    assert lib.OSSL_PROVIDER_load(None, provider)

def read(function, path):
    return pointer(function(pointer(lib.BIO_new_file(path.encode(), b"r")), None, None, None))

def write(name, password, key, certificate, chain=(), ciphers=(427, 427), mac=b"SHA256"):  # 427: AES-256-CBC
    stack = pointer(lib.OPENSSL_sk_new_null())
    for path in chain:
        lib.OPENSSL_sk_push(stack, read(lib.PEM_read_bio_X509, path))
    certificate = certificate and read(lib.PEM_read_bio_X509, certificate)
    pfx = pointer(lib.PKCS12_create(password, None, read(lib.PEM_read_bio_PrivateKey, key), certificate, stack, *ciphers, 2000, -1, 0))
    assert pfx
    assert lib.PKCS12_set_mac(pfx, password, -1, None, 0, 2000, pointer(lib.EVP_get_digestbyname(mac)))
    out = pointer(lib.BIO_new_file(f"pfx/{name}.pfx".encode(), b"w"))
    assert lib.i2d_PKCS12_bio(out, pfx) == 1
    lib.BIO_free(out)

write("no-password-modern", None, "key.pem", "crt.pem")
write("no-password-legacy", None, "key.pem", "crt.pem", ciphers=(146, 149), mac=b"SHA1")  # 3DES, RC2-40
names = {"r": "root", "i": "intermediate", "l": "leaf"}
for order in [*map("".join, itertools.permutations("ril")), "ilrli"]:
    write(f"chain-{order}", b"", "chain/leaf.key", None, [f"chain/{names[letter]}.pem" for letter in order])
PYTHON
for file in pfx/*.pfx; do
  case $file in *-rounds* | */password* | */rc4*) continue ;; esac # the billions would keep openssl busy for an hour
  quiet openssl pkcs12 -in "$file" -legacy -nokeys -passin pass: | blocks >"${file%.pfx}.crt.pem" || rm -f "${file%.pfx}.crt.pem"
done

# --- pem -------------------------------------------------------------------------------------------------------------------
cat key.pem crt.pem >pem/pkcs8.pem
cat keys/rsa2048.key.pem crt.pem >pem/pkcs1.pem
{ openssl ecparam -name prime256v1; cat keys/p256.key.pem keys/p256.crt.pem; } >pem/sec1-with-parameters.pem
sed 's/$/\r/' pem/pkcs8.pem >pem/crlf.pem
openssl pkcs12 -in pfx/names.pfx -passin pass: -nodes >pem/bag-attributes.pem 2>/dev/null
openssl x509 -in crt.pem -text | cat - key.pem >pem/text-around.pem
{ openssl pkey -in key.pem -aes256 -passout pass:secret; cat crt.pem; } >pem/encrypted-pkcs8.pem
{ quiet openssl rsa -traditional -in key.pem -aes256 -passout pass:secret; cat crt.pem; } >pem/encrypted-pkcs1.pem
cat keys/p256.pkcs8.pem key.pem keys/p384.pkcs8.pem crt.pem >pem/several-keys.pem
cat crt.pem >pem/certificate-only.pem
cat key.pem >pem/key-only.pem
(cd chain && cat root.pem leaf.key leaf.pem intermediate.pem) >pem/chain-mixed.pem
rm key.pem crt.pem
