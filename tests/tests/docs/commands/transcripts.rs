//! What pages show of our plugin is what it prints: each block that begins with `$ kubectl akv2k8s` is run where things are as it says.

use akv2k8s_testbed::emulator::SecretOptions;
use akv2k8s_testbed::shell::Shell;
use akv2k8s_testbed::stack::{Stack, WORKLOAD_IDENTITY_WEBHOOK, install_controller_pod};
use akv2k8s_testbed::stage::PATIENCE;
use akv2k8s_testbed::wait::until;
use anyhow::{Context, ensure};

use super::shell::{ends_well, shell_of};
use crate::page::all;
use crate::there::is_there;

const PROMPT: &str = "$ ";
/// Each transcript: page, beginning of its command, the test that compares it.
const COMPARED: &[(&str, &str, &str)] = &[
    ("docs/cli.md", "kubectl akv2k8s plan", PLAN),
    ("docs/cli.md", "kubectl akv2k8s get", PLAN),
    ("docs/cli.md", "kubectl akv2k8s top", TOP),
    ("docs/doctor.md", "kubectl akv2k8s doctor pod", POD),
    (
        "examples/migration/default-azure-credential/README.md",
        "kubectl akv2k8s doctor pod",
        "doctor/migration.rs::what_doctor_says_at_each_step_from_a_service_principal_to_workload_identity",
    ),
];
const PLAN: &str = "docs/commands/transcripts.rs::plan_and_get_print_what_the_page_shows_of_them";
const TOP: &str = "docs/commands/transcripts.rs::top_prints_what_the_page_shows_of_it_but_for_the_numbers";
const POD: &str = "docs/commands/transcripts.rs::doctor_says_of_a_label_on_the_deployment_what_the_page_shows";

/// A block of a page: a command, and what it prints.
struct Transcript {
    page: String,
    command: String,
    lines: Vec<String>,
}

fn transcripts() -> Vec<Transcript> {
    let of = |page: &crate::page::Page| {
        let name = page.path.display().to_string();
        let found = page.blocks("text").into_iter().filter_map(|block| {
            let (command, printed) = block.strip_prefix(PROMPT)?.split_once('\n')?;
            command.starts_with("kubectl akv2k8s ").then(|| Transcript {
                page: name.clone(),
                command: command.to_owned(),
                lines: printed.lines().map(str::to_owned).collect(),
            })
        });
        found.collect::<Vec<_>>()
    };
    all().iter().flat_map(of).collect()
}

impl Transcript {
    fn of(page: &str, start: &str) -> anyhow::Result<Self> {
        let found = transcripts()
            .into_iter()
            .find(|it| it.page == page && it.command.starts_with(start));
        found.with_context(|| format!("{page} does not show {start} any more"))
    }

    /// Runs its command, with `words` in it replaced and what it prints changed by `told`, and compares.
    async fn is_printed(
        &self,
        shell: &Shell,
        code: i32,
        words: (&str, &str),
        told: impl Fn(&str) -> String,
    ) -> anyhow::Result<()> {
        let command = self.command.replace(words.0, words.1);
        let printed = shell.run(&command, |ended| ended == code).await?;
        let printed = told(&printed);
        let lines: Vec<_> = printed.lines().collect();
        let shown: Vec<_> = self.lines.iter().map(|line| told(line)).collect();
        let is_alike =
            lines.len() == shown.len() && lines.iter().zip(&shown).all(|(printed, shown)| is_like(shown, printed));
        ensure!(
            is_alike,
            "{} shows of {command}\n{}\nand it prints\n{printed}",
            self.page,
            shown.join("\n")
        );
        Ok(())
    }
}

/// Whether `printed` is what is shown, where `…` stands for anything.
fn is_like(shown: &str, printed: &str) -> bool {
    let Some((first, rest)) = shown.split_once('…') else {
        return shown == printed;
    };
    let Some(mut left) = printed.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once('…').unwrap_or(("", rest));
    for part in between.split('…') {
        match left.split_once(part) {
            Some((_, rest)) => left = rest,
            None => return false,
        }
    }
    left.ends_with(last)
}

/// With one word for all versions, which pages show the beginning of, and one for all times.
fn without_versions(text: &str) -> String {
    let is_hex = |word: &str, length: usize| word.len() == length && word.chars().all(|c| c.is_ascii_hexdigit());
    let told = |word: &str| {
        let end = word.trim_end_matches([';', '.', ',']).len();
        let (word, mark) = word.split_at(end);
        let is_version = is_hex(word, 32) || word.strip_suffix('…').is_some_and(|it| is_hex(it, 4));
        let is_time = word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T';
        let word = if is_version {
            "VERSION"
        } else if is_time {
            "TIME"
        } else {
            word
        };
        format!("{word}{mark}")
    };
    let lines = text
        .lines()
        .map(|line| line.split(' ').map(told).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

const BEFORE: &str = "
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db}
spec:
  vault: {name: kv1, object: {name: db, type: multi-key-value-secret, contentType: application/x-json}}
  output: {secret: {name: db}}
---
apiVersion: spv.no/v2beta1
kind: AzureKeyVaultSecret
metadata: {name: db-url}
spec:
  vault: {name: kv1, object: {name: db-url, type: secret}}
  output: {configMap: {name: db-url, dataKey: url}}
";
#[tokio::test(flavor = "multi_thread")]
async fn plan_and_get_print_what_the_page_shows_of_them() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let vault = stack.vault("kv1");
    let set = |name: &str, value: &str| vault.set_secret(name, value, SecretOptions::default());
    set("db", r#"{"user": "admin", "password": "123456789012"}"#)?;
    set("db-url", "postgres://db.example.com:5432/x")?;
    install_controller_pod(&stack.cluster, None).await?;
    let shell = tokio::task::block_in_place(|| shell_of(&stack))?;
    let folder = shell.folder().join("manifests");
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("db.yaml"), BEFORE)?;
    ends_well(
        &shell,
        "kubectl create namespace shop && kubectl apply -n shop -f manifests/",
    )
    .await?;
    let controller = stack.controller().start().await?;
    ends_well(
        &shell,
        "kubectl wait akvs --all -n shop --for=condition=Ready --timeout=60s",
    )
    .await?;
    controller.stop().await?;

    set("db", r#"{"user": "admin", "password": "1234567890123456"}"#)?;
    let get = Transcript::of("docs/cli.md", "kubectl akv2k8s get")?;
    get.is_printed(&shell, 2, ("", ""), without_versions).await?;
    // The address is to be in a Secret, too.
    std::fs::write(folder.join("db.yaml"), BEFORE.replace("configMap:", "secret:"))?;
    let plan = Transcript::of("docs/cli.md", "kubectl akv2k8s plan")?;
    plan.is_printed(&shell, 2, ("", ""), without_versions).await
}

/// Numbers as one sign each, and columns without their width.
fn without_numbers(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace().map(|word| {
            let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',');
            let (word, mark) = word
                .strip_suffix(['.', ','])
                .map_or((word, ""), |it| (it, &word[it.len()..]));
            let number = !word.is_empty() && word.chars().all(is_number);
            format!("{}{mark}", if number { "1" } else { word })
        });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn top_prints_what_the_page_shows_of_it_but_for_the_numbers() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let vault = stack.vault("kv1");
    vault.set_secret("db-url", "a", SecretOptions::default())?;
    vault.set_secret("db", r#"{"a": "b"}"#, SecretOptions::default())?;
    install_controller_pod(&stack.cluster, None).await?;
    let shell = tokio::task::block_in_place(|| shell_of(&stack))?;
    std::fs::write(shell.folder().join("db.yaml"), BEFORE)?;
    let controller = stack.controller().start().await?;
    let apply = "kubectl apply -f db.yaml && kubectl wait akvs --all --for=condition=Ready --timeout=60s";
    ends_well(&shell, apply).await?;
    let (_, port) = controller.http().rsplit_once(':').context("an address has a port")?;
    let here = format!("top --health-port {port}");
    let top = Transcript::of("docs/cli.md", "kubectl akv2k8s top")?;
    top.is_printed(&shell, 0, ("top", &here), without_numbers).await
}

/// The label is on the Deployment only.
const WEB: &str = "
apiVersion: v1
kind: ServiceAccount
metadata:
  name: web
  annotations: {azure.workload.identity/client-id: 7c1e1111-2222-3333-4444-555555555555}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {azure.workload.identity/use: 'true'}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: web, image: example.org/web}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn doctor_says_of_a_label_on_the_deployment_what_the_page_shows() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let shell = tokio::task::block_in_place(|| shell_of(&stack))?;
    std::fs::write(shell.folder().join("webhook.yaml"), WORKLOAD_IDENTITY_WEBHOOK)?;
    std::fs::write(shell.folder().join("web.yaml"), WEB)?;
    let apply = "kubectl apply -f webhook.yaml && kubectl create namespace shop && kubectl apply -n shop -f web.yaml";
    ends_well(&shell, apply).await?;
    let pod = until("the Deployment's pod", PATIENCE, async || {
        let get = "kubectl get pods -n shop -l app=web -o jsonpath={.items[0].metadata.name}";
        shell.run(get, |code| code == 0).await.ok().filter(|it| !it.is_empty())
    });
    let pod = pod.await?;
    let shown = Transcript::of("docs/doctor.md", "kubectl akv2k8s doctor pod")?;
    let issuer = stack.cluster.issuer().await?;
    let told = |text: &str| {
        let text = text.replace(&issuer, "https://westeurope.oic.prod-aks.azure.com/a-tenant/a-cluster/");
        text.replace(&pod, "web-6d5f")
    };
    shown.is_printed(&shell, 1, ("web-6d5f", &pod), told).await
}

#[test]
fn every_transcript_of_the_plugin_is_compared_by_a_test() {
    let transcripts = transcripts();
    for it in &transcripts {
        let mut compared = COMPARED.iter();
        let is_compared = compared.any(|(page, start, _)| it.page == *page && it.command.starts_with(start));
        assert!(is_compared, "{}: {}", it.page, it.command);
    }
    for (page, start, test) in COMPARED {
        assert!(Transcript::of(page, start).is_ok(), "{page} {start}");
        let (file, name) = test.split_once(".rs::").unwrap_or_default();
        assert!(is_there(file, name), "{test}");
    }
    assert!(transcripts.len() >= 6);
}

#[test]
fn another_text_is_not_taken_for_what_is_shown() {
    assert!(is_like("a … c", "a b c") && is_like("a", "a") && is_like("…", "x") && is_like("a…b…c", "a1b2c"));
    assert!(!is_like("a … c", "a b d") && !is_like("a", "b") && !is_like("a…b…c", "a1c") && !is_like("b…", "a"));
    assert_eq!(
        without_numbers("kv1   3  4.5\nlast 1,000 s, and 2."),
        "kv1 1 1\nlast 1 s, and 1."
    );
}
