//! The same outside of containers, for `kubectl akv2k8s run`: variables of files are added, and what a webhook would have prepared is given.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::ExitCode;

use akv2k8s_shared::environment::common::AUTH_TYPE;
use akv2k8s_shared::injection::reference::Reference;
use akv2k8s_shared::secret::SecretBytes;

use crate::environment::{Variable, of_process};
use crate::plan::plan;
use crate::run::{Caller, Then, start};
use crate::variables::{SPECS, USE_AUTH_SERVICE};

/// An environment whose references are to be resolved. It has no `Debug`: values may be in it.
pub struct Variables(Vec<Variable>);

/// How its references are resolved.
pub struct Setup {
    /// What complaints begin with.
    pub program: &'static str,
    /// `AUTH_TYPE`: who asks the vault.
    pub auth_type: String,
    /// The specs of the AKVS that references name, as a JSON object: AKVS name → its `spec`.
    pub specs: String,
}

impl Variables {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self(of_process())
    }

    /// Sets `name`, in the place of one of the same name.
    pub fn set(&mut self, name: &str, value: SecretBytes) {
        self.0.retain(|variable| variable.name != name.as_bytes());
        self.0.push(Variable {
            name: name.as_bytes().to_vec(),
            value: Some(value),
        });
    }

    /// The names of the AKVS that references name.
    ///
    /// # Errors
    /// A value begins like a direct reference and is none: what is wrong with it, in up to three lines.
    pub fn named(&self) -> Result<BTreeSet<String>, String> {
        let plan = plan(&self.0).map_err(|failure| failure.text())?;
        let references = plan.wanted.into_values().map(|wanted| wanted.reference);
        Ok(references
            .filter_map(|reference| match reference {
                Reference::Akvs { name, .. } => Some(name),
                Reference::Direct { .. } => None,
            })
            .collect())
    }

    /// Resolves the references with the vaults themselves, and becomes the program that `arguments` begins with. Comes back only when no
    /// program was started. Must not be called within a runtime.
    pub fn become_program(self, setup: Setup, arguments: Vec<OsString>) -> ExitCode {
        let caller = Caller {
            name: setup.program,
            settings: vec![
                (USE_AUTH_SERVICE, "false".to_owned()),
                (SPECS, setup.specs),
                (AUTH_TYPE, setup.auth_type),
            ],
        };
        start(&caller, self.0, Then::Exec(arguments))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        let mut variables = Variables(Vec::new());
        for (name, value) in pairs {
            variables.set(name, SecretBytes::from(*value));
        }
        variables
    }

    #[test]
    fn each_akvs_that_is_named_is_told_once_and_a_mistake_names_its_variable() {
        let named = variables(&[
            ("A", "db@azurekeyvault"),
            ("B", "db@azurekeyvault?user"),
            ("C", "azurekeyvault://kv1/secrets/x"),
            ("D", "x"),
            ("D", "tls@azurekeyvault"),
        ]);
        let expected = ["db", "tls"].map(str::to_owned);
        assert_eq!(named.named(), Ok(BTreeSet::from(expected)));
        let wrong = variables(&[("URL", "azurekeyvault://kv1/x")]).named();
        assert!(wrong.unwrap_err().starts_with("URL: ReferenceInvalid"));
    }
}
