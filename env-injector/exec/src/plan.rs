//! What has to be resolved: decided from the environment alone.

use std::collections::BTreeMap;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::reference::Reference;

use crate::environment::Variable;
use crate::failure::Failure;

/// The references in an environment, each once, with the variables that hold it.
pub(crate) struct Plan {
    /// Canonical text of a reference → the reference, and the positions of its variables.
    pub(crate) wanted: BTreeMap<String, Wanted>,
}

/// One reference.
pub(crate) struct Wanted {
    /// The reference.
    pub(crate) reference: Reference,
    /// Positions of the variables with this value.
    pub(crate) at: Vec<usize>,
}

/// Finds the references.
///
/// # Errors
/// A value begins like a direct reference and is none.
pub(crate) fn plan(variables: &[Variable]) -> Result<Plan, Failure> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for (at, variable) in variables.iter().enumerate().filter(|(_, variable)| !variable.is_own()) {
        let Some(parsed) = variable.text().and_then(Reference::parse) else {
            continue;
        };
        let reference = parsed.map_err(|error| {
            let diagnosis = Diagnosis::case(
                case::VariableNotReference { error: &error },
                "The value begins with azurekeyvault:// and is no reference.",
            );
            Failure::of(diagnosis).at(&[variable.shown()])
        })?;
        let entry = wanted.entry(reference.to_string());
        entry
            .or_insert_with(|| Wanted {
                reference,
                at: Vec::new(),
            })
            .at
            .push(at);
    }
    Ok(Plan { wanted })
}

/// The environment by which the wrapper itself is set up. A variable that holds a reference is not in it: its value is not there yet,
/// and a reference is no credential.
pub(crate) fn own_environment(variables: &[Variable], plan: &Plan) -> Environment {
    let mut is_reference = vec![false; variables.len()];
    for at in plan.wanted.values().flat_map(|wanted| &wanted.at) {
        is_reference[*at] = true;
    }
    let usable = variables
        .iter()
        .zip(is_reference)
        .filter(|(_, is_reference)| !is_reference);
    usable
        .filter_map(|(variable, _)| {
            let mut name = String::from_utf8(variable.name.clone()).ok()?;
            // The one name that is compared without regard to case.
            if name.eq_ignore_ascii_case(names::DISABLE_AUTH_SERVICE) {
                names::DISABLE_AUTH_SERVICE.clone_into(&mut name);
            }
            Some((name, variable.text()?))
        })
        .map(|(name, value)| (name, value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use akv2k8s_shared::environment::common::{AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, SSL_CERT_FILE};

    use super::*;
    use crate::environment::read;
    use crate::environment::tests::variable;

    fn variables(pairs: &[(&str, &str)]) -> Vec<Variable> {
        let of = |(name, value): &(&str, &str)| variable(name.as_bytes(), value.as_bytes());
        pairs.iter().map(of).collect()
    }

    #[test]
    fn equal_references_are_asked_for_once_however_they_are_written() {
        let variables = variables(&[
            ("A", "db@azurekeyvault"),
            ("B", "plain"),
            ("C", "db@azurekeyvault?"),
            ("D", "db@azurekeyvault?q"),
            ("A", "db@azurekeyvault"),
        ]);
        let plan = plan(&variables).ok().unwrap();
        let found: Vec<_> = plan
            .wanted
            .iter()
            .map(|(text, it)| (text.as_str(), it.at.as_slice()))
            .collect();
        assert_eq!(
            found,
            [("db@azurekeyvault", &[0, 2, 4][..]), ("db@azurekeyvault?q", &[3])]
        );
    }

    #[test]
    fn the_wrappers_own_variables_hold_no_references() {
        let variables = variables(&[
            ("ENV_INJECTOR_X", "db@azurekeyvault"),
            ("env_injector_disable_auth_service", "db@azurekeyvault"),
        ]);
        assert!(plan(&variables).ok().unwrap().wanted.is_empty());
    }

    #[test]
    fn a_mistake_in_a_direct_reference_names_the_variable() {
        let failure = plan(&variables(&[("DB", "azurekeyvault://vault/secret/a")]))
            .err()
            .unwrap();
        assert!(failure.text().starts_with("DB: ReferenceInvalid"), "{}", failure.text());
    }

    #[test]
    fn a_reference_is_never_the_wrappers_own_credential() {
        let variables = variables(&[
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_CLIENT_SECRET", "db@azurekeyvault"),
            ("SSL_CERT_FILE", "azurekeyvault://vault/secrets/ca"),
        ]);
        let own = own_environment(&variables, &plan(&variables).ok().unwrap());
        assert_eq!(own.get(AZURE_CLIENT_ID), Some("c"));
        assert_eq!((own.get(AZURE_CLIENT_SECRET), own.get(SSL_CERT_FILE)), (None, None));
    }

    proptest! {
        #[test]
        fn any_environment_is_planned_without_a_panic(block: Vec<u8>) {
            let variables = read(&block);
            if let Ok(plan) = plan(&variables) {
                own_environment(&variables, &plan);
            }
        }
    }
}
