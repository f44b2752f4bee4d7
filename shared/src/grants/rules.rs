//! The rules in force, and what becomes of them when their file is read again. Pure, but for [`read`].

use std::path::Path;

use super::{Grants, Namespace};
use crate::diagnosis::{Diagnosis, case};
use crate::file;
use crate::reference::ObjectRef;

/// A rule file's text, or why there is none.
pub type Read = Result<String, String>;

/// Reads the file at `path`, whole.
///
/// Changes are noticed by content, not by time: a mounted `ConfigMap` changes by the swap of a symbolic link two folders up, which
/// moves no time of the path that is read.
pub async fn read(path: &Path) -> Read {
    let bytes = file::read(path)
        .await
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    let text = bytes.expose_str().ok_or("the file is not UTF-8 text")?;
    Ok(text.to_owned())
}

/// What is in force.
pub enum Rules {
    /// No file was named: everything is allowed.
    Unrestricted,
    /// The file's.
    Grants(Grants),
    /// The file could not be used from the start: nothing is allowed.
    Unusable(String),
}

impl Rules {
    /// What is in force before `file` is read: without one everything is allowed, with one nothing.
    pub fn unread(file: Option<&Path>) -> Self {
        match file {
            None => Self::Unrestricted,
            Some(_) => Self::Unusable("it is not read yet".to_owned()),
        }
    }

    /// Whether `namespace` may read `object`; `file` is how messages call the rule file.
    ///
    /// # Errors
    /// [`Code::VaultNotGranted`]: no rule allows it, or the rules cannot be used.
    pub fn check(&self, file: &str, namespace: &Namespace<'_>, object: &ObjectRef) -> Result<(), Box<Diagnosis>> {
        match self {
            Self::Unrestricted => Ok(()),
            Self::Grants(grants) => {
                let verdict = grants.allows(namespace, object);
                verdict.map_err(|denied| Box::new(denied.explain(file)))
            }
            Self::Unusable(error) => Err(Box::new(Diagnosis::case(
                case::NoGrants { file: &file, error },
                format!("Namespace '{}' may not use {object}.", namespace.name),
            ))),
        }
    }

    /// The grants that take the place of these rules now that `file` reads so.
    ///
    /// # Errors
    /// It cannot be used: [`Code::VaultGrantsUnreadable`], and what takes their place then; `None`: they stay.
    pub fn after(&self, file: &str, read: &Read) -> Result<Grants, (Box<Diagnosis>, Option<Self>)> {
        let parsed = read
            .as_ref()
            .map_err(String::clone)
            .and_then(|text| Grants::parse(text).map_err(|error| error.to_string()));
        parsed.map_err(|error| {
            let is_unusable = matches!(self, Self::Unusable(_));
            let kept = if is_unusable {
                "Nothing is allowed until it can be."
            } else {
                "The rules read before stay in force."
            };
            let problem = Diagnosis::case(
                case::GrantsUnusable { error: &error },
                format!("The vault grants in {file} cannot be used. {kept}"),
            );
            (Box::new(problem), is_unusable.then_some(Self::Unusable(error)))
        })
    }
}
