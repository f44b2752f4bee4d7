//! Vaults read as the ServiceAccount that an AKVS names: a real API server issues its tokens, the emulator's Entra verifies them, and
//! the broker has the rights of `examples/` and no others.

use akv2k8s_testbed::emulator::{AppHandle, FederatedCredential, Operation, Role, SecretOptions};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::Context;
use kube::ResourceExt;

use crate::bed::{Answer, Bed, Wish, prepared};

const NAMESPACE: &str = include_str!("../../../examples/isolation/02-namespace.yaml");
const MINE: &str = "mine@azurekeyvault";
const DB: &str = "db@azurekeyvault";

/// A broker that reads as ServiceAccounts, and the secret `db` in the vault `kv1`, which the broker itself may not read.
async fn bed(prefix: &str) -> anyhow::Result<Bed> {
    let wish = |_: &_| Wish {
        identities: true,
        ..Wish::default()
    };
    let bed = Bed::with(prefix, wish).await?;
    let vault = bed.stage.emulator.vault("kv1");
    vault.set_secret("db", "s3cret", SecretOptions::default())?;
    Ok(bed)
}

impl Bed {
    /// Lets `namespace` have identities of its own, as the platform team does.
    async fn admit(&self, namespace: &str) -> anyhow::Result<()> {
        let manifests = NAMESPACE
            .replace("name: shop", &format!("name: {namespace}"))
            .replace("namespace: shop", &format!("namespace: {namespace}"));
        self.stage.cluster.kubectl_apply(&manifests).await?;
        Ok(())
    }

    /// An application with a federated credential for the ServiceAccount.
    async fn app(&self, namespace: &str, account: &str) -> anyhow::Result<AppHandle> {
        let app = self.stage.emulator.entra().register_app();
        let issuer = self.stage.cluster.issuer().await?;
        app.add_federated_credential(FederatedCredential::service_account(&issuer, namespace, account));
        Ok(app)
    }

    /// Lets `app` read secrets of the vault.
    fn grant(&self, app: &AppHandle) {
        let vault = self.stage.emulator.vault("kv1");
        vault.grant(app.principal(), Role::SecretsUser);
    }

    /// A ServiceAccount annotated with that client id, and an AKVS `akvs` of the secret `db` that names it.
    async fn reads_as(&self, namespace: &str, akvs: &str, account: &str, client_id: &str) -> anyhow::Result<()> {
        let manifests = format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {account}, namespace: {namespace}, \
             annotations: {{azure.workload.identity/client-id: {client_id}}}}}}}"
        );
        self.stage.cluster.kubectl_apply(&manifests).await?;
        self.names(namespace, akvs, account).await
    }

    /// An AKVS `akvs` of the secret `db` that names the ServiceAccount; waits until the broker knows it.
    async fn names(&self, namespace: &str, akvs: &str, account: &str) -> anyhow::Result<()> {
        let manifest = format!(
            "{{apiVersion: spv.no/v2beta1, kind: AzureKeyVaultSecret, metadata: {{name: {akvs}, namespace: {namespace}}}, \
             spec: {{vault: {{name: kv1, serviceAccountName: {account}, object: {{name: db, type: secret}}}}}}}}"
        );
        self.stage.cluster.kubectl_apply(&manifest).await?;
        let known = async || self.cluster.specs(namespace).get(akvs).cloned();
        until("the broker to know the AKVS", PATIENCE, known).await?;
        Ok(())
    }

    async fn kubectl(&self, line: &str) -> anyhow::Result<String> {
        let words: Vec<_> = line.split(' ').collect();
        Ok(self.stage.cluster.kubectl(&words).await?.success()?)
    }

    /// Asks until the answer has this status and code.
    async fn until_denied(&self, token: &str, code: &str) -> anyhow::Result<Answer> {
        let denied = async || {
            let answer = self.ask(token, &[MINE]).await.ok()?;
            (answer.status != 200 && answer.denial() == (409, code.to_owned())).then_some(answer)
        };
        Ok(until(&format!("the broker to say {code}"), PATIENCE, denied).await?)
    }

    /// Asks until there is a value.
    async fn until_given(&self, token: &str) -> anyhow::Result<String> {
        let given = async || {
            let answer = self.ask(token, &[MINE]).await.ok()?;
            (answer.status == 200).then(|| answer.values()[MINE].clone())
        };
        Ok(until("the broker to give the value", PATIENCE, given).await?)
    }
}

/// The kubectl command of a refusal, without its first word.
fn fix(answer: &Answer) -> anyhow::Result<String> {
    let refusal = answer.refusal();
    let text = format!("{} {}", refusal.message, refusal.fix);
    let (_, command) = text.split_once("kubectl ").context(text.clone())?;
    Ok(command
        .split(". ")
        .next()
        .unwrap_or(command)
        .split(" && ")
        .next()
        .unwrap_or(command)
        .to_owned())
}

#[tokio::test]
async fn what_a_service_account_may_read_is_given_and_nobody_elses_request_is_answered_with_it() -> anyhow::Result<()> {
    let bed = bed("as-reader").await?;
    let shop = bed.stage.namespace.name().to_owned();
    bed.admit(&shop).await?;
    let reader = bed.app(&shop, "reader").await?;
    bed.grant(&reader);
    bed.reads_as(&shop, "mine", "reader", reader.client_id()).await?;
    let token = bed.token(&bed.pod("web").await?).await?;
    assert_eq!(bed.until_given(&token).await?, "s3cret");
    assert_eq!(bed.reads(), 1);

    // The same object, as the broker itself, and as a ServiceAccount without a role.
    bed.akvs("db", "kv1", "db").await?;
    let other = bed.app(&shop, "other").await?;
    bed.reads_as(&shop, "others", "other", other.client_id()).await?;
    for reference in [DB, "others@azurekeyvault"] {
        let refused = bed.ask(&token, &[MINE, reference]).await?;
        assert_eq!(
            refused.denial(),
            (409, "ForbiddenByRbac".to_owned()),
            "{:?}",
            refused.refusal()
        );
        assert_eq!(refused.refusal().reference.as_deref(), Some(reference));
    }

    // Another namespace that names the same client id: Entra knows no federated credential of it.
    let bank = bed.namespace("enabled").await?;
    bed.admit(bank.name()).await?;
    bed.reads_as(bank.name(), "mine", "reader", reader.client_id()).await?;
    let stranger = bed.pod_in(bank.name(), &prepared("web")).await?;
    let refused = bed
        .until_denied(&bed.token(&stranger).await?, "FederatedSubjectMismatch")
        .await?;
    let subject = format!("system:serviceaccount:{}:reader", bank.name());
    assert!(refused.refusal().fix.contains(&subject), "{:?}", refused.refusal());

    assert_eq!(bed.until_given(&token).await?, "s3cret");
    assert_eq!(bed.reads(), 1, "what was read for one was given to that one only");
    Ok(())
}

#[tokio::test]
async fn what_is_missing_is_told_with_the_command_that_puts_it_right_and_nothing_is_asked_of_azure()
-> anyhow::Result<()> {
    let bed = bed("set-up").await?;
    let shop = bed.stage.namespace.name().to_owned();
    let app = bed.app(&shop, "reader").await?;
    bed.grant(&app);
    bed.names(&shop, "mine", "reader").await?;
    let pod = bed.pod("web").await?;
    let token = bed.token(&pod).await?;

    // The env injector may look at ServiceAccounts, for their pull secrets.
    let told = bed.until_denied(&token, "ServiceAccountNotFound").await?;
    assert!(told.refusal().message.contains(&pod.namespace().unwrap_or_default()));
    bed.kubectl(&fix(&told)?).await?;
    let told = bed.until_denied(&token, "ServiceAccountNotAnnotated").await?;
    bed.kubectl(&fix(&told)?.replace("CLIENT_ID", app.client_id())).await?;
    let told = bed.until_denied(&token, "ServiceAccountForbidden").await?;
    assert!(
        told.refusal()
            .fix
            .ends_with("--serviceaccount akv2k8s:akv2k8s-envinjector"),
        "{:?}",
        told.refusal()
    );
    bed.kubectl(&fix(&told)?).await?;
    let told = bed.until_denied(&token, "ServiceAccountTokenRefused").await?;
    assert_eq!(bed.asked().total(), 0, "neither Entra nor a vault was to be asked");
    bed.kubectl(&fix(&told)?).await?;
    assert_eq!(bed.until_given(&token).await?, "s3cret");

    // What goes away ends it, though the value was read a moment ago.
    for (command, code) in [
        (
            "annotate serviceaccount reader azure.workload.identity/client-id-",
            "ServiceAccountNotAnnotated",
        ),
        ("delete serviceaccount reader", "ServiceAccountNotFound"),
    ] {
        bed.kubectl(&format!("{command} --namespace {shop}")).await?;
        bed.until_denied(&token, code).await?;
    }
    bed.reads_as(&shop, "mine", "reader", app.client_id()).await?;
    assert_eq!(bed.until_given(&token).await?, "s3cret");
    Ok(())
}

#[tokio::test]
async fn a_service_account_of_another_namespace_cannot_be_reached() -> anyhow::Result<()> {
    let bed = bed("elsewhere").await?;
    let (shop, bank) = (bed.stage.namespace.name().to_owned(), bed.namespace("enabled").await?);
    for namespace in [&shop, bank.name()] {
        bed.admit(namespace).await?;
    }
    let reader = bed.app(&shop, "reader").await?;
    bed.grant(&reader);
    bed.reads_as(&shop, "mine", "reader", reader.client_id()).await?;
    let token = bed.token(&bed.pod("web").await?).await?;
    assert_eq!(bed.until_given(&token).await?, "s3cret");
    let before = bed.asked();

    bed.names(bank.name(), "mine", "reader").await?;
    let stranger = bed.pod_in(bank.name(), &prepared("web")).await?;
    let stranger = bed.token(&stranger).await?;
    bed.until_denied(&stranger, "ServiceAccountNotFound").await?;
    let calls = |counts: &akv2k8s_testbed::emulator::Counts| counts.with_status(Operation::SECRET_GET, 200);
    assert_eq!(
        (bed.asked().total(), calls(&bed.asked())),
        (before.total(), 1),
        "nobody was asked for the other one"
    );
    Ok(())
}
