//! What looks like a slip of the pen in a reference.

use std::fmt;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::injection::reference::Query;
use serde_json::Value;

use super::mutate::Facts;
use super::specs::NotTold;
use super::wanted::{Mention, Wanted};
use crate::likeness::nearest;

/// What a certificate can be asked for.
const OF_CERTIFICATES: [&str; 3] = ["tls.crt", "tls.key", "raw"];

/// The end of a sentence without a suggestion.
const END: &str = ".";

/// A variable of a container.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    container: &'p str,
    variable: &'p str,
}

impl<'p> Place<'p> {
    pub(super) fn new(wanted: &Wanted<'p>, mention: &Mention<'p>) -> Self {
        Self {
            container: wanted.container.name(),
            variable: mention.variable,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Variable {} of container '{}'", self.variable, self.container)
    }
}

/// The sentence about an AKVS that is not there.
pub(super) fn missing(place: Place<'_>, name: &str, facts: &Facts<'_>) -> String {
    let namespace = facts.namespace;
    let suggestion = suggestion(name, facts.specs.keys().map(String::as_str));
    format!("{place}: namespace '{namespace}' has no AzureKeyVaultSecret '{name}'{suggestion}")
}

/// The denial, or its words, where nobody could say whether the AKVS is there.
pub(super) fn not_told(place: Place<'_>, name: &str, facts: &Facts<'_>, why: &NotTold) -> Diagnosis {
    let namespace = facts.namespace;
    let what = format!("{place}: whether namespace '{namespace}' has AzureKeyVaultSecret '{name}' is not known.");
    match why {
        NotTold::Forbidden(error) => {
            let right = &format!("get azurekeyvaultsecrets in namespace '{namespace}'");
            Diagnosis::case(case::InjectorForbidden { error, right }, what)
        }
        NotTold::Silent(error) => Diagnosis::case(case::AkvsNotTold { error }, what),
    }
}

/// The denial where references may come unseen, and nobody could say which AKVS there are for them.
pub(super) fn not_known(wanted: &Wanted<'_>, facts: &Facts<'_>) -> Diagnosis {
    let (container, namespace) = (wanted.container.name(), facts.namespace);
    let what = format!(
        "Container '{container}' gets variables from elsewhere, and which AzureKeyVaultSecrets namespace '{namespace}' has for them is not known."
    );
    let error = &"The watches of the namespace show nothing yet, or have failed for ten minutes: the env injector's log says why";
    Diagnosis::case(case::AkvsNotTold { error }, what)
}

/// The sentence about a query that the AKVS cannot answer, if that can be told without its value.
pub(super) fn query(place: Place<'_>, name: &str, query: Option<&Query>, spec: &Value) -> Option<String> {
    let query = query?.as_str();
    if spec["vault"]["object"]["type"] != "certificate" || OF_CERTIFICATES.contains(&query) {
        return None;
    }
    let suggestion = match suggestion(query, OF_CERTIFICATES) {
        none if none == END => format!("; it has {}.", OF_CERTIFICATES.join(", ")),
        some => some,
    };
    Some(format!(
        "{place}: the certificate '{name}' has no '{query}'{suggestion}"
    ))
}

/// How the sentence ends: `; did you mean 'NEAREST'?`, or [`END`] when nothing is near.
fn suggestion<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("; did you mean '{nearest}'?"),
        None => END.to_owned(),
    }
}
