//! Chains in the eyes of openssl.

use std::path::Path;
use std::process::Command;

use akv2k8s_shared::diagnosis::Code;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::bed::{Bed, DAY, NAME, SECRET, Server};

/// What `openssl verify` says of `chain` for a server called `name` whose client trusts `bundle`, `days` from now.
fn verify(folder: &Path, chain: (&str, &str), name: &str, days: i64) -> Result<(), String> {
    verify_for("sslserver", folder, chain, name, days)
}

/// The same for another purpose.
fn verify_for(
    purpose: &str,
    folder: &Path,
    (bundle, chain): (&str, &str),
    name: &str,
    days: i64,
) -> Result<(), String> {
    std::fs::write(folder.join("ca.pem"), bundle).unwrap();
    std::fs::write(folder.join("chain.pem"), chain).unwrap();
    let at = (jiff::Timestamp::now() + DAY * i32::try_from(days).unwrap())
        .as_second()
        .to_string();
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["verify", "-x509_strict", "-purpose", purpose, "-attime", &at])
        .args(["-verify_hostname", name, "-CAfile", "ca.pem", "chain.pem"])
        .output()
        .expect("openssl runs: apt-get install openssl");
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[tokio::test]
async fn openssl_accepts_the_chain_for_our_name_and_time_and_for_no_other() {
    let bed = Bed::new("chain").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (bundle, chain) = (pki.bundle(), bed.kept("serving.crt").await.unwrap());
    let check = |bundle: &str, name, days| verify(folder.path(), (bundle, &chain), name, days);
    assert_eq!(check(&bundle, NAME, 0), Ok(()));
    assert_eq!(check(&bundle, NAME, 89), Ok(()));
    assert!(check(&bundle, NAME, 91).unwrap_err().contains("expired"));
    assert!(
        check(&bundle, "other.akv2k8s.svc", 0)
            .unwrap_err()
            .contains("hostname mismatch")
    );
    let next = bed.kept("next.crt").await.unwrap();
    assert!(
        check(&next, NAME, 0)
            .unwrap_err()
            .contains("unable to get local issuer")
    );
}

#[tokio::test]
async fn our_certificate_makes_nobody_a_client() {
    let bed = Bed::new("client").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (bundle, chain) = (pki.bundle(), bed.kept("serving.crt").await.unwrap());
    let check = |purpose| verify_for(purpose, folder.path(), (&bundle, &chain), NAME, 0);
    assert_eq!(check("sslserver"), Ok(()));
    let refused = check("sslclient").unwrap_err();
    assert!(refused.contains("certificate purpose"), "{refused}");
}

#[tokio::test]
async fn a_secret_that_somebody_broke_is_named_and_what_was_served_is_served_further() {
    let bed = Bed::new("broken").await.unwrap();
    let pki = bed.replica().await.unwrap();
    let bundle = pki.bundle();
    let patch = json!({"stringData": {"current.key": "no key"}});
    let params = PatchParams::default();
    bed.secrets()
        .patch(SECRET, &params, &Patch::Merge(patch))
        .await
        .unwrap();

    let problem = pki.look().await.unwrap_err();
    assert_eq!(problem.code, Code::ServingCertificateUnusable);
    assert!(
        problem.what.contains(SECRET) && problem.cause.starts_with("current.crt: the key"),
        "{problem}"
    );
    assert_eq!(pki.bundle(), bundle);
    assert_eq!(
        bed.kept("current.key").await.unwrap(),
        "no key",
        "it is left for its owner to repair"
    );
    assert!(bed.replica().await.is_err(), "no authority is made in its place");
}

#[tokio::test]
async fn a_secret_that_nobody_remembers_comes_back_from_a_backup_and_pods_trust_it() {
    let bed = Bed::new("backup").await.unwrap();
    let before = bed.replica().await.unwrap();
    let (bundle, backup) = (before.bundle(), bed.secrets().get(SECRET).await.unwrap().data);
    drop(before);
    let params = PatchParams::default();
    let broken = json!({"stringData": {"current.crt": "", "next.key": "no key"}});
    bed.secrets()
        .patch(SECRET, &params, &Patch::Merge(broken))
        .await
        .unwrap();
    assert!(bed.replica().await.is_err(), "nobody can make what pods trust");

    let restored = json!({"data": backup});
    bed.secrets()
        .patch(SECRET, &params, &Patch::Merge(restored))
        .await
        .unwrap();
    let after = bed.replica().await.unwrap();
    assert_eq!(after.bundle(), bundle);
    let server = Server::start(&after).await;
    bed.connect(&server, NAME, &bundle).await.unwrap();
}
