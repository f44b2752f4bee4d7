//! What `support` tells of the archive it wrote. Pure.

use serde::Serialize;

use crate::output::Text;
use crate::style::{Cell, Paint, Style};

/// The version of the JSON form: it changes only when a field goes or changes its meaning.
const JSON_VERSION: u32 = 1;

/// The archive.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Written {
    version: u32,
    /// Where it is.
    archive: String,
    /// Its length.
    bytes: usize,
    objects: Counted,
    files: Vec<File>,
    /// What could not be had, and why.
    missing: Vec<String>,
    /// Outputs that could not be read, so that their values were not looked for; `None`: not even which there are.
    outputs_not_read: Option<usize>,
}

/// How many objects of each kind are described in it; `None`: they could not be listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counted {
    pub(super) azure_key_vault_secrets: Option<usize>,
    pub(super) deployments: Option<usize>,
    pub(super) pods: Option<usize>,
}

/// A file in it.
#[derive(Debug, Serialize)]
struct File {
    name: String,
    bytes: usize,
}

impl Written {
    /// The archive of `files` (name, text), `bytes` long, at `archive`.
    pub(super) fn new(archive: String, bytes: usize, files: &[(String, String)]) -> Self {
        let file = |(name, text): &(String, String)| File {
            name: name.clone(),
            bytes: text.len(),
        };
        Self {
            version: JSON_VERSION,
            archive,
            bytes,
            objects: Counted::default(),
            files: files.iter().map(file).collect(),
            missing: Vec::new(),
            outputs_not_read: None,
        }
    }

    /// Says how many objects are in it.
    pub(super) fn with_objects(mut self, objects: Counted) -> Self {
        self.objects = objects;
        self
    }

    /// Says what is not in it, and how many outputs were not read. No value may be in `missing`.
    pub(super) fn without(mut self, missing: Vec<String>, outputs_not_read: Option<usize>) -> Self {
        self.missing = missing;
        self.outputs_not_read = outputs_not_read;
        self
    }
}

impl Text for Written {
    fn text(&self, style: Style) -> String {
        let row = |file: &File| vec![Cell::plain(&*file.name), Cell::plain(file.bytes.to_string())];
        let heads = Cell::heads(&["FILE", "BYTES"]);
        let rows: Vec<_> = std::iter::once(heads).chain(self.files.iter().map(row)).collect();
        let not_read = match self.outputs_not_read {
            Some(0) => None,
            Some(count) => Some(format!(
                "{count} outputs could not be read, so their values were not looked for"
            )),
            None => Some("outputs are not known, so their values were not looked for".to_owned()),
        };
        let missing = self.missing.iter().chain(&not_read);
        let missing: String = missing
            .map(|what| style.paint(Paint::Change, &format!("  {what}")) + "\n")
            .collect();
        let missing = if missing.is_empty() {
            missing
        } else {
            format!("Not in it\n{missing}")
        };
        let head = style.paint(Paint::Head, &self.archive);
        format!(
            "{head}\n{}{missing}Look through it before you send it.\n",
            style.table(2, &rows)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_what_is_in_it_and_what_is_not_and_programs_the_same() {
        let files =
            [("README.txt", 5), ("pod/log.txt", 1200)].map(|(name, bytes)| (name.to_owned(), "x".repeat(bytes)));
        let objects = Counted {
            pods: Some(1),
            ..Counted::default()
        };
        let all = Written::new("a.tar".to_owned(), 4096, &files).with_objects(objects);
        let all = all.without(Vec::new(), Some(0));
        assert_eq!(
            all.text(Style::PLAIN),
            "a.tar\n  FILE         BYTES\n  README.txt   5\n  pod/log.txt  1200\nLook through it before you send it.\n"
        );
        let partly = all.without(vec!["pods: no right to list them".to_owned()], Some(2));
        let text = partly.text(Style::PLAIN);
        assert!(
            text.contains(
                "\nNot in it\n  pods: no right to list them\n  2 outputs could not be read, so their values were not looked for\nLook"
            ),
            "{text}"
        );
        let expected = serde_json::json!({
            "version": 1, "archive": "a.tar", "bytes": 4096,
            "objects": {"azureKeyVaultSecrets": null, "deployments": null, "pods": 1},
            "files": [{"name": "README.txt", "bytes": 5}, {"name": "pod/log.txt", "bytes": 1200}],
            "missing": ["pods: no right to list them"], "outputsNotRead": 2,
        });
        assert_eq!(serde_json::to_value(&partly).unwrap(), expected);
        let unknown = partly.without(Vec::new(), None);
        assert!(unknown.text(Style::PLAIN).contains("outputs are not known"));
        assert_eq!(
            serde_json::to_value(&unknown).unwrap()["outputsNotRead"],
            serde_json::Value::Null
        );
    }
}
