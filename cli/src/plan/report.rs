//! The plan as it is printed.

use std::fmt::Write;

use akv2k8s_shared::diagnosis::Diagnosis;
use serde::Serialize;

use crate::output::Text;
use crate::style::{Cell, Paint, Style};

/// The version of the JSON form: it changes only when a field goes or changes its meaning.
const JSON_VERSION: u32 = 1;

/// Everything that would happen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Planned {
    version: u32,
    /// Whether anything would change.
    changes: bool,
    /// Whether something could not be planned, or would be refused.
    failed: bool,
    objects: Vec<ObjectPlan>,
    /// What identities need in vaults, each once.
    roles: Vec<Role>,
    /// What was not looked at, and could make a difference: one sentence each.
    unknown: Vec<String>,
}

/// One AKVS.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectPlan {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) resource: Resource,
    /// What is read: `secret 'db' in vault 'kv1'`.
    pub(crate) source: Option<String>,
    /// The version the vault holds now.
    pub(crate) vault_version: Option<String>,
    /// The version that was written last, as its status says.
    pub(crate) written_version: Option<String>,
    pub(crate) outputs: Vec<OutputPlan>,
    /// What is in the specification and has no effect.
    pub(crate) warnings: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// The AKVS itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Resource {
    /// It is not in the cluster yet.
    New,
    /// Its specification differs from the one in the cluster.
    Changed,
    /// It is in the cluster as it is.
    Unchanged,
}

/// What is done to a Secret or ConfigMap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Step {
    /// It is made.
    Create,
    /// Keys, labels or annotations change.
    Update,
    /// It holds all that it shall hold, and becomes this AKVS's, too.
    Join,
    /// It is deleted and made anew, with another type.
    Recreate,
    /// Nothing.
    Unchanged,
    /// It is deleted.
    Delete,
    /// It stays, without this AKVS's keys.
    Release,
    /// The controller would refuse.
    Refused,
    /// Not to be known without the right to read it.
    Unknown,
}

/// One Secret or ConfigMap.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OutputPlan {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) step: Step,
    /// Why, where it does not go without saying.
    pub(crate) why: Option<String>,
    pub(crate) keys: Vec<KeyPlan>,
    /// Labels and annotations that change, by name.
    pub(crate) metadata: Vec<String>,
    pub(crate) failure: Option<Failure>,
}

/// What happens to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Change {
    /// It is new.
    Added,
    /// Its value is another.
    Changed,
    /// It goes.
    Removed,
    /// It stays, with the same value.
    Equal,
    /// Not to be known without the right to read the object.
    Unknown,
}

/// One key.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyPlan {
    #[serde(rename = "key")]
    pub(crate) name: String,
    pub(crate) change: Change,
    /// Bytes of the value there is now.
    pub(crate) length_now: Option<usize>,
    /// Bytes of the value there will be.
    pub(crate) length: Option<usize>,
}

/// A role that somebody needs in a vault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Role {
    pub(crate) vault: String,
    /// Azure's name of the smallest built-in role.
    #[serde(rename = "role")]
    pub(crate) name: &'static str,
    /// Whose identity.
    pub(crate) identity: String,
}

/// Why something cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    code: &'static str,
    what: String,
    cause: String,
    fix: String,
}

impl From<&Diagnosis> for Failure {
    fn from(diagnosis: &Diagnosis) -> Self {
        Self {
            code: diagnosis.code.as_str(),
            what: diagnosis.what.clone(),
            cause: diagnosis.cause.to_string(),
            fix: diagnosis.fix.to_string(),
        }
    }
}

impl Failure {
    /// Its lines, indented.
    pub(crate) fn text(&self, style: Style, indent: &str) -> String {
        let head = style.paint(Paint::Bad, &format!("✗ {} ({})", self.what, self.code));
        format!(
            "{indent}{head}\n{indent}  Cause: {}\n{indent}  Fix: {}\n",
            self.cause, self.fix
        )
    }
}

impl Planned {
    /// A plan of these parts.
    pub(crate) fn new(objects: Vec<ObjectPlan>, mut roles: Vec<Role>, unknown: Vec<String>) -> Self {
        roles.sort();
        roles.dedup();
        Self {
            version: JSON_VERSION,
            changes: objects.iter().any(ObjectPlan::changes),
            failed: objects.iter().any(ObjectPlan::failed),
            objects,
            roles,
            unknown,
        }
    }

    /// 0: nothing changes. 2: something does. 1: something could not be planned, or would be refused.
    pub(crate) fn exit_code(&self) -> u8 {
        match (self.failed, self.changes) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        }
    }
}

impl ObjectPlan {
    fn changes(&self) -> bool {
        let settled = |output: &OutputPlan| matches!(output.step, Step::Unchanged | Step::Refused | Step::Unknown);
        self.resource != Resource::Unchanged || !self.outputs.iter().all(settled)
    }

    fn failed(&self) -> bool {
        let open = |output: &OutputPlan| output.failure.is_some() || output.step == Step::Unknown;
        self.failure.is_some() || self.outputs.iter().any(open)
    }
}

impl Text for Planned {
    fn text(&self, style: Style) -> String {
        let mut text: String = self.objects.iter().map(|object| object.text(style) + "\n").collect();
        if !self.roles.is_empty() {
            text += &style.paint(Paint::Head, "Roles needed");
            text.push('\n');
            let row = |role: &Role| {
                vec![
                    Cell::plain(role.name),
                    Cell::plain(format!("in vault '{}'", role.vault)),
                    Cell::plain(format!("for {}", role.identity)),
                ]
            };
            text += &style.table(2, &self.roles.iter().map(row).collect::<Vec<_>>());
            text.push('\n');
        }
        if !self.unknown.is_empty() {
            text += &style.paint(Paint::Head, "Not looked at");
            text.push('\n');
            text.extend(self.unknown.iter().map(|what| format!("  {what}\n")));
            text.push('\n');
        }
        text += match (self.failed, self.changes) {
            (true, _) => "Not all of it can be done, see ✗ and ? above.\n",
            (false, true) => "There are changes.\n",
            (false, false) => "Nothing changes.\n",
        };
        text
    }
}

impl ObjectPlan {
    fn text(&self, style: Style) -> String {
        let resource = match self.resource {
            Resource::New => style.paint(Paint::Good, "new"),
            Resource::Changed => style.paint(Paint::Change, "changed"),
            Resource::Unchanged => "unchanged".to_owned(),
        };
        let mut text = style.paint(
            Paint::Head,
            &format!("AzureKeyVaultSecret {}/{}", self.namespace, self.name),
        );
        let _ = writeln!(text, " ({resource})");
        if let Some(source) = &self.source {
            let version = match (&self.vault_version, &self.written_version) {
                (Some(vault), Some(written)) if vault != written => format!(", version {vault}; written: {written}"),
                (Some(vault), _) => format!(", version {vault}"),
                (None, _) => String::new(),
            };
            let _ = writeln!(text, "  reads {source}{version}");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  {}", style.paint(Paint::Change, &format!("! {warning}")));
        }
        if let Some(failure) = &self.failure {
            text += &failure.text(style, "  ");
        } else if self.outputs.is_empty() {
            text += "  writes nothing: it is for the env injector only\n";
        }
        for output in &self.outputs {
            text += &output.text(style);
        }
        text
    }
}

impl OutputPlan {
    fn text(&self, style: Style) -> String {
        let (mark, verb, paint) = match self.step {
            Step::Create => ("+", "create", Paint::Good),
            Step::Update => ("~", "update", Paint::Change),
            Step::Join => ("~", "join", Paint::Change),
            Step::Recreate => ("±", "recreate", Paint::Change),
            Step::Unchanged => ("=", "keep", Paint::Plain),
            Step::Delete => ("-", "delete", Paint::Bad),
            Step::Release => ("-", "release", Paint::Bad),
            Step::Refused => ("✗", "refuse", Paint::Bad),
            Step::Unknown => ("?", "no right to read", Paint::Change),
        };
        let mut text = format!(
            "  {}",
            style.paint(paint, &format!("{mark} {verb} {} {}", self.kind, self.name))
        );
        if let Some(why) = &self.why {
            let _ = write!(text, ": {why}");
        }
        text.push('\n');
        if let Some(failure) = &self.failure {
            text += &failure.text(style, "    ");
        }
        if !self.keys.is_empty() {
            let rows = std::iter::once(Cell::heads(&["KEY", "", "BYTES"]));
            text += &style.table(6, &rows.chain(self.keys.iter().map(KeyPlan::row)).collect::<Vec<_>>());
        }
        for change in &self.metadata {
            let _ = writeln!(text, "      {}", style.paint(Paint::Change, change));
        }
        text
    }
}

impl KeyPlan {
    fn row(&self) -> Vec<Cell> {
        let (word, paint) = match self.change {
            Change::Added => ("added", Paint::Good),
            Change::Changed => ("changed", Paint::Change),
            Change::Removed => ("removed", Paint::Bad),
            Change::Equal => ("equal", Paint::Plain),
            Change::Unknown => ("?", Paint::Change),
        };
        let bytes = match (self.length_now, self.length) {
            (Some(now), Some(then)) if now != then => format!("{now} → {then}"),
            (Some(bytes), _) | (None, Some(bytes)) => bytes.to_string(),
            (None, None) => String::new(),
        };
        vec![Cell::plain(&*self.name), Cell::new(paint, word), Cell::plain(bytes)]
    }
}
