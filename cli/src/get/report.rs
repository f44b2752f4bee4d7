//! What `get` prints.

use std::fmt::Write;

use serde::Serialize;

use crate::disclose::Disclosed;
use crate::output::Text;
use crate::plan::Failure;
use crate::style::{Cell, Paint, Style};

/// The version of the JSON form: it changes only when a field goes or changes its meaning.
pub(super) const JSON_VERSION: u32 = 1;

/// One AKVS. It has no `Debug`: values may be in it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Got {
    pub(super) version: u32,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) ready: Option<Ready>,
    /// Whether it writes anything: without, it is for the env injector alone.
    pub(super) has_output: bool,
    /// What is read: `secret 'db' in vault 'kv1'`.
    pub(super) source: Option<String>,
    pub(super) vault_version: Option<String>,
    pub(super) written_version: Option<String>,
    /// When a value was last taken over.
    pub(super) last_update: Option<String>,
    /// When the vault's object expires.
    pub(super) expires: Option<String>,
    pub(super) outputs: Vec<Output>,
    /// Why the vault's state is not known.
    pub(super) failure: Option<Failure>,
}

/// The Ready condition.
#[derive(Serialize)]
pub(super) struct Ready {
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

/// One Secret or ConfigMap.
#[derive(Serialize)]
pub(super) struct Output {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) presence: Presence,
    pub(super) keys: Vec<Key>,
}

/// Whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Presence {
    Present,
    Missing,
    /// There is no right to read it.
    NotAllowed,
}

/// One key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    #[serde(rename = "key")]
    pub(super) name: String,
    /// Bytes in the cluster.
    pub(super) length: Option<usize>,
    /// Bytes of what the vault holds now.
    pub(super) vault_length: Option<usize>,
    pub(super) state: State,
    /// What is in the cluster; where it is not there, what the vault holds.
    #[serde(flatten)]
    pub(super) shown: Option<Disclosed>,
}

/// How a key stands to the vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Both hold the same value.
    Equal,
    /// They hold different values.
    Different,
    /// It is not in the cluster.
    Missing,
    /// The vault's object has no such part any more.
    Leftover,
    /// One of the two cannot be read.
    Unknown,
}

impl Got {
    /// 0: the cluster holds what the vault holds, or is to hold nothing. 2: it does not. 1: that could not be determined.
    pub(crate) fn exit_code(&self) -> u8 {
        let states = || self.outputs.iter().flat_map(|output| &output.keys).map(|key| key.state);
        let hidden = self
            .outputs
            .iter()
            .any(|output| output.presence == Presence::NotAllowed);
        if self.failure.is_some() || hidden || states().any(|state| state == State::Unknown) {
            1
        } else if states().all(|state| state == State::Equal) {
            0
        } else {
            2
        }
    }
}

impl Got {
    /// What became of it, in a line.
    fn state(&self, style: Style) -> String {
        match &self.ready {
            Some(ready) => {
                let paint = if ready.status == "True" {
                    Paint::Good
                } else {
                    Paint::Bad
                };
                format!("{}: {}", style.paint(paint, &ready.reason), ready.message)
            }
            None if self.has_output => style.paint(Paint::Change, "no controller has worked on it yet"),
            None => "no output: it is for the env injector".to_owned(),
        }
    }
}

impl Text for Got {
    fn text(&self, style: Style) -> String {
        let mut text = style.paint(
            Paint::Head,
            &format!("AzureKeyVaultSecret {}/{}", self.namespace, self.name),
        );
        text.push('\n');
        let _ = writeln!(text, "  {}", self.state(style));
        let facts = [
            ("reads", &self.source),
            ("vault holds", &self.vault_version),
            ("written", &self.written_version),
            ("at", &self.last_update),
            ("expires", &self.expires),
        ];
        let known = facts.iter().filter_map(|(name, fact)| Some((name, fact.as_ref()?)));
        let rows: Vec<_> = known
            .map(|(name, fact)| vec![Cell::new(Paint::Faint, *name), Cell::plain(fact)])
            .collect();
        text += &style.table(2, &rows);
        if let Some(failure) = &self.failure {
            text += &failure.text(style, "  ");
        }
        for output in &self.outputs {
            text += &output.text(style);
        }
        text
    }
}

impl Output {
    fn text(&self, style: Style) -> String {
        let mut text = format!("  {} {}", self.kind, self.name);
        text += match self.presence {
            Presence::Present => "\n",
            Presence::Missing => ": not there\n",
            Presence::NotAllowed => ": no right to read it\n",
        };
        if !self.keys.is_empty() {
            let shown = self.keys.iter().any(|key| key.shown.is_some());
            let heads = Cell::heads(&["KEY", "BYTES", "VAULT", if shown { "VALUE" } else { "" }]);
            let rows: Vec<_> = std::iter::once(heads).chain(self.keys.iter().map(Key::row)).collect();
            text += &style.table(4, &rows);
        }
        text
    }
}

impl Key {
    fn row(&self) -> Vec<Cell> {
        let (word, paint) = match self.state {
            State::Equal => ("equal", Paint::Good),
            State::Different => ("different", Paint::Change),
            State::Missing => ("not written", Paint::Bad),
            State::Leftover => ("not in the vault", Paint::Change),
            State::Unknown => ("?", Paint::Change),
        };
        let bytes = |length: Option<usize>| length.map(|it| it.to_string()).unwrap_or_default();
        let vault = match self.vault_length {
            Some(length) if self.state != State::Equal => format!("{word} ({length})"),
            _ => word.to_owned(),
        };
        vec![
            Cell::plain(&*self.name),
            Cell::plain(bytes(self.length)),
            Cell::new(paint, vault),
            Cell::plain(self.shown.as_ref().map(Disclosed::line).unwrap_or_default()),
        ]
    }
}
