//! The real program at its most talkative: no value, and no token, in its logs, in status, events, metrics or probes.

use akv2k8s_shared::api::{AzureKeyVaultSecret, condition};
use akv2k8s_testbed::emulator::{Fault, FaultId, FaultKind, Operation, SecretOptions, VaultHandle};
use akv2k8s_testbed::stack::{Controller, Stack};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};

use super::bed::{plain, shown};
use super::canary;
use super::values::rows;

/// A policy that quotes what it refuses, as real ones do.
const POLICY: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: quoting}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [secrets]}]
  matchConditions: [{name: ours, expression: "object.metadata.name == 'quoted' && 'v' in object.data"}]
  validations: [{expression: "false", messageExpression: "'refused: ' + string(object.data['v'])"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: quoting}
spec: {policyName: quoting, validationActions: [Deny]}
"#;

/// The API server takes a policy up some time after it was applied: waits until it refuses.
async fn policy_in_force(secrets: &Api<Secret>) -> anyhow::Result<()> {
    let secret: Secret =
        serde_json::from_value(serde_json::json!({"metadata": {"name": "quoted"}, "data": {"v": "cHJvYmU="}}))?;
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let refused = async || {
        secrets
            .create(&dry_run, &secret)
            .await
            .is_err_and(|error| error.to_string().contains("refused: "))
            .then_some(())
    };
    until("the policy to be in force", PATIENCE, refused).await?;
    Ok(())
}

struct Bed {
    stack: Stack,
    vault: VaultHandle,
    controller: Controller,
    objects: Api<AzureKeyVaultSecret>,
    events: Api<Event>,
    names: Vec<String>,
}

impl Bed {
    async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let stack = Stack::start().await?;
        stack.cluster.kubectl_apply(POLICY).await?;
        policy_in_force(&Api::default_namespaced(stack.cluster.client()?)).await?;
        let vault = stack.vault("kv1");
        let mut launch = stack.controller().arg("--azure-resync-period=1");
        for flag in flags {
            launch = launch.arg(flag);
        }
        let controller = launch.start().await?;
        let client = stack.cluster.client()?;
        Ok(Self {
            objects: Api::default_namespaced(client.clone()),
            events: Api::default_namespaced(client),
            stack,
            vault,
            controller,
            names: Vec::new(),
        })
    }

    async fn apply(&mut self, name: &str, spec: &str) -> anyhow::Result<()> {
        let spec: serde_json::Value = serde_yaml::from_str(spec)?;
        let object = serde_json::json!({
            "apiVersion": "spv.no/v2beta1", "kind": "AzureKeyVaultSecret", "metadata": {"name": name}, "spec": spec,
        });
        let parameters = PatchParams::apply("test").force();
        self.objects.patch(name, &parameters, &Patch::Apply(object)).await?;
        self.names.push(name.to_owned());
        Ok(())
    }

    async fn reason(&self, name: &str, reason: &str) -> anyhow::Result<()> {
        let told = async || {
            let status = self.objects.get(name).await.ok()?.status?;
            (condition::get(&status.conditions, condition::READY)?.reason == reason).then_some(())
        };
        if let Err(error) = until(&format!("{name} to become {reason}"), PATIENCE, told).await {
            bail!("{error}: {}", shown(&self.objects, &self.events, name).await?);
        }
        Ok(())
    }

    fn strike(&self, kind: FaultKind) -> FaultId {
        let fault = Fault::vault("kv1", kind).on(&[Operation::SECRET_GET]);
        self.stack.emulator.faults().add(fault)
    }

    /// A new version of secret `name`, which is read and cannot be used, then is.
    async fn fault(&self, name: &str, kind: FaultKind, code: &str) -> anyhow::Result<()> {
        let fault = self.strike(kind);
        self.vault
            .set_secret(name, &canary::value(), SecretOptions::default())?;
        self.reason(name, code).await?;
        self.stack.emulator.faults().lift(fault);
        self.vault
            .set_secret(name, &canary::value(), SecretOptions::default())?;
        self.reason(name, "Synced").await
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        let answer = client.get(format!("{}{path}", self.controller.http()).parse()?).await?;
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Everything anybody can see, by where it is seen.
    async fn everything(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut seen = vec![("log".to_owned(), self.controller.log())];
        for path in ["/metrics", "/readyz", "/healthz"] {
            seen.push((path.to_owned(), self.get(path).await?));
        }
        for name in &self.names {
            seen.push((name.clone(), shown(&self.objects, &self.events, name).await?));
        }
        Ok(seen)
    }
}

/// Success, every value that cannot be used, every answer of a vault that carries one, and a policy that quotes one.
async fn live_through_everything(bed: &mut Bed) -> anyhow::Result<()> {
    bed.vault
        .set_secret("fine", &canary::value(), SecretOptions::default())?;
    bed.apply("fine", &plain("kv1", "fine", "fine")).await?;
    let both = "{vault: {name: kv1, object: {name: fine, type: secret}}, output: {transform: [base64encode], \
                secret: {name: both, dataKey: v}, configMap: {name: both, dataKey: v}}}";
    bed.apply("both", both).await?;
    bed.apply("quoted", &plain("kv1", "fine", "quoted")).await?;
    let rows = rows();
    for row in &rows {
        row.put_bad(&bed.vault)?;
        bed.apply(row.name, &row.spec()).await?;
    }
    bed.reason("fine", "Synced").await?;
    bed.reason("both", "Synced").await?;
    bed.reason("quoted", "OutputRejected").await?;
    for row in &rows {
        bed.reason(row.name, row.code.as_str()).await?;
    }
    bed.vault
        .set_secret("fine", &format!("{}!", canary::value()), SecretOptions::default())?;
    bed.fault("fine", FaultKind::MalformedJson, "VaultResponseInvalid")
        .await?;
    bed.fault("fine", FaultKind::TruncatedBody, "VaultUnavailable").await?;
    let body = serde_json::json!({"value": canary::value(), "id": 7}).to_string();
    let nonsense = FaultKind::Respond {
        status: 200,
        headers: [("content-type".to_owned(), "application/json".to_owned())].into(),
        body,
    };
    bed.fault("fine", nonsense, "VaultResponseInvalid").await
}

async fn nothing_leaks(flags: &[&str]) -> anyhow::Result<()> {
    let mut bed = Bed::start(flags).await?;
    live_through_everything(&mut bed).await?;
    let everything = bed.everything().await?;
    for (place, text) in &everything {
        if let Some(leak) = canary::leak(text) {
            bail!("a value in {place}: {leak}");
        }
        // How every JSON web token begins: access tokens, and the ServiceAccount's own.
        let token = text.lines().find(|line| line.contains("eyJ"));
        ensure!(token.is_none(), "a token in {place}: {token:?}");
    }
    let log = &everything.first().context("the log")?.1;
    ensure!(!log.contains("panicked"), "a panic");
    for module in ["hyper_util", "rustls", "akv2k8s_shared"] {
        ensure!(
            log.contains(module),
            "the log says nothing of {module}: it is not a trace"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_value_and_no_token_is_ever_seen_at_the_highest_verbosity() -> anyhow::Result<()> {
    nothing_leaks(&["--v=9", "--logging-format=json"]).await
}
