//! Azure Key Vault on Kubernetes from a laptop.
//!
//! ```text
//!  args ─┬▶ doctor: gather (API server, read only) ──▶ facts ──▶ checks (pure) ──┐
//!        │                               try (--mint: Entra, the vault) ─────────┴─▶ Report ──┐
//!        ├▶ plan, get: survey (API server, vault; reads only) ──▶ decide, compare (pure) ─────┼─▶ text, JSON or YAML
//!        ├▶ render: vault ──▶ manifests, after a question ─────────────────────────────────────┘
//!        └▶ run: references ──▶ vault ──▶ environment ──▶ the program (the exec wrapper's code)
//! ```
//!
//! It writes nothing to cluster or vault. Without a right to look somewhere it says so and goes on, where it can.

pub mod args;
mod checks;
mod cluster;
pub mod complete;
mod convert;
mod disclose;
mod doctor;
mod flags;
mod gather;
mod get;
mod help;
mod live;
mod manifests;
mod mint;
mod output;
mod plan;
mod progress;
mod render;
mod run;
pub mod style;
mod support;
mod survey;
mod top;
pub mod variables;
mod vault;

use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::reference::VaultName;
use akv2k8s_shared::secret::SecretBytes;
use args::{Args, Command};
use cluster::Cluster;
use output::Output;
use progress::during;
use style::Style;

pub use run::Start;

/// What a command came to.
pub enum Outcome {
    /// It has something to say.
    Said {
        /// For standard output; there may be values in it.
        out: SecretBytes,
        /// The exit code: see docs/cli.md.
        code: u8,
    },
    /// A program is to be started.
    Start(Box<Start>),
}

impl Outcome {
    fn said(out: impl Into<SecretBytes>, code: u8) -> Self {
        Self::Said { out: out.into(), code }
    }
}

/// Does what `args` ask for; `environment` gives identity, cloud, proxies and certificate authorities.
///
/// # Errors
/// It could not be done: no cluster, no such object, no right to read it, a file that cannot be read.
pub async fn run(args: &Args, environment: &Environment, style: Style) -> anyhow::Result<Outcome> {
    let output = args.output;
    let connect = || Cluster::connect(args);
    match &args.command {
        Command::Doctor(doctor) => {
            let look = async { doctor::doctor(doctor, &connect().await?, environment).await };
            let told = during("looking", Box::pin(look)).await?;
            Ok(Outcome::said(output.render(style, &told)?, told.0.exit_code()))
        }
        Command::Plan(plan) => {
            let decide = async { plan::plan(plan, &connect().await?, environment).await };
            let planned = during("planning", Box::pin(decide)).await?;
            Ok(Outcome::said(output.render(style, &planned)?, planned.exit_code()))
        }
        Command::Get(get) => {
            let got = Box::pin(get::get(get, &connect().await?, environment)).await?;
            Ok(Outcome::said(output.render(style, &got)?, got.exit_code()))
        }
        Command::Render(render) => {
            let namespace = args.namespace.as_deref();
            let manifests = render::render(render, namespace, output, environment).await?;
            Ok(Outcome::said(manifests, 0))
        }
        Command::Top(top) => {
            let ask = async { top::top(top, &connect().await?).await };
            let top = during("asking the controller", Box::pin(ask)).await?;
            Ok(Outcome::said(output.render(style, &top)?, 0))
        }
        Command::Support(support) => {
            let collect = async { support::support(support, &connect().await?).await };
            let written = during("collecting", Box::pin(collect)).await?;
            Ok(Outcome::said(output.render(style, &written)?, 0))
        }
        Command::Completion(completion) => Ok(Outcome::said(help::completion(completion.shell), 0)),
        Command::Man(man) => help::man(&man.folder).map(|()| Outcome::said("", 0)),
        Command::Convert(convert) => converted(convert, output),
        Command::Run(run) => Ok(Outcome::Start(Box::new(run::prepare(run, args, environment).await?))),
    }
}

/// Manifests on standard output, notes on standard error.
fn converted(convert: &args::Convert, output: Output) -> anyhow::Result<Outcome> {
    let documents = manifests::documents(&convert.files)?;
    let converted = match convert.to {
        args::Made::Akvs => convert::to_akvs(&documents, convert.vault.as_ref().map(VaultName::as_str)),
        args::Made::ExternalSecret => convert::to_external_secrets(&documents, convert.store.as_deref()),
    };
    for note in &converted.notes {
        let mark = if note.is_lost { '✗' } else { '!' };
        eprintln!("{mark} {}: {}", note.about, note.text);
    }
    let text = match output {
        Output::Json => {
            output.document(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": converted.documents}))?
        }
        Output::Text | Output::Yaml => {
            let documents: Vec<_> = converted.documents.iter().map(output::yaml).collect::<Result<_, _>>()?;
            documents.join("---\n")
        }
    };
    Ok(Outcome::said(text, converted.exit_code()))
}

/// The exit code when `args` could not be done at all. `doctor` has 1 for findings; elsewhere 2 says that something differs.
pub fn could_not(args: &Args) -> u8 {
    match args.command {
        Command::Doctor(_) => 2,
        _ => 1,
    }
}
