//! On which platforms a pod may run, as far as the pod itself says.
//!
//! Semantics: <https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/>.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The system the wrapper runs on.
pub(super) const OS: &str = "linux";
/// The architectures the wrapper is made for: no prepared pod starts on another.
const ARCHITECTURES: [&str; 2] = ["amd64", "arm64"];

/// The labels by which nodes tell their architecture.
const ARCHITECTURE_LABELS: [&str; 2] = ["kubernetes.io/arch", "beta.kubernetes.io/arch"];
/// The labels by which nodes tell their system.
const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

/// The architectures, of those the wrapper is made for, of the nodes that a pod may run on. Nodes with other labels than
/// architecture and system are not known here, so what asks for such labels is taken for fulfilled.
pub(super) fn architectures(selector: &BTreeMap<String, String>, affinity: &Value) -> Vec<&'static str> {
    // What is no affinity is for the API server to refuse.
    let affinity = Affinity::deserialize(affinity).unwrap_or_default();
    let allowed = |architecture: &&str| {
        let selected = selector.iter().all(|(key, value)| {
            let label = label(key, architecture);
            label.is_none_or(|label| label == value)
        });
        selected && affinity.allows(architecture)
    };
    ARCHITECTURES.into_iter().filter(allowed).collect()
}

/// The value of a label on Linux nodes of an architecture; `None` when that does not decide it.
fn label<'a>(key: &str, architecture: &'a str) -> Option<&'a str> {
    if ARCHITECTURE_LABELS.contains(&key) {
        return Some(architecture);
    }
    OS_LABELS.contains(&key).then_some(OS)
}

/// `affinity.nodeAffinity`, as far as it binds the scheduler.
#[derive(Deserialize, Default)]
struct Affinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<Required>,
}

#[derive(Deserialize)]
struct Required {
    #[serde(rename = "nodeSelectorTerms", default)]
    terms: Vec<Term>,
}

#[derive(Deserialize)]
struct Term {
    #[serde(rename = "matchExpressions", default)]
    expressions: Vec<Expression>,
    #[serde(rename = "matchFields", default)]
    fields: Vec<Value>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Affinity {
    fn allows(&self, architecture: &str) -> bool {
        self.required
            .as_ref()
            .is_none_or(|required| required.terms.iter().any(|term| term.allows(architecture)))
    }
}

impl Term {
    /// A term that asks for nothing matches no node.
    fn allows(&self, architecture: &str) -> bool {
        let empty = self.expressions.is_empty() && self.fields.is_empty();
        !empty
            && self
                .expressions
                .iter()
                .all(|expression| expression.allows(architecture))
    }
}

impl Expression {
    fn allows(&self, architecture: &str) -> bool {
        let Some(label) = label(&self.key, architecture) else {
            return true;
        };
        let listed = self.values.iter().any(|value| value == label);
        match self.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => true,
            // `Gt` and `Lt` compare numbers, which these labels are not.
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selected(pairs: &[(&str, &str)]) -> Vec<&'static str> {
        let selector = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        architectures(&selector.collect(), &Value::Null)
    }

    fn affine(terms: &Value) -> Vec<&'static str> {
        let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
        architectures(&BTreeMap::new(), &affinity)
    }

    const BOTH: &[&str] = &["amd64", "arm64"];

    #[test]
    fn a_node_selector_decides_by_architecture_and_system() {
        assert_eq!(selected(&[]), BOTH);
        assert_eq!(selected(&[("pool", "spot"), ("kubernetes.io/os", "linux")]), BOTH);
        assert_eq!(selected(&[("kubernetes.io/arch", "arm64")]), ["arm64"]);
        assert_eq!(selected(&[("beta.kubernetes.io/arch", "amd64")]), ["amd64"]);
        assert!(selected(&[("kubernetes.io/arch", "s390x")]).is_empty());
        assert!(selected(&[("kubernetes.io/os", "windows")]).is_empty());
    }

    #[test]
    fn a_node_affinity_decides_by_any_of_its_terms() {
        let arch = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "kubernetes.io/arch", "operator": operator, "values": values}]});
        let other = json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["1"]}]});
        for (terms, expected) in [
            (json!([arch("In", &["arm64"])]), &["arm64"][..]),
            (json!([arch("In", &["arm64", "amd64"])]), BOTH),
            (json!([arch("NotIn", &["arm64"])]), &["amd64"]),
            (json!([arch("Exists", &[])]), BOTH),
            (json!([arch("DoesNotExist", &[])]), &[]),
            (json!([arch("Gt", &["1"])]), &[]),
            (json!([arch("In", &["s390x"]), arch("In", &["amd64"])]), &["amd64"]),
            (json!([arch("In", &["arm64"]), other]), BOTH),
            (
                json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]),
                BOTH,
            ),
            (json!([{}]), &[]),
            (json!([]), &[]),
        ] {
            assert_eq!(affine(&terms), expected, "{terms}");
        }
    }

    #[test]
    fn expressions_of_one_term_hold_together() {
        let expression =
            |operator: &str, value: &str| json!({"key": "kubernetes.io/arch", "operator": operator, "values": [value]});
        let term = json!({"matchExpressions": [expression("In", "arm64"), expression("NotIn", "arm64")]});
        assert!(affine(&json!([term])).is_empty());
    }

    #[test]
    fn preferences_and_what_is_no_affinity_decide_nothing() {
        let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1}]});
        for affinity in [
            preferred,
            json!("x"),
            json!([1]),
            json!({"requiredDuringSchedulingIgnoredDuringExecution": 1}),
        ] {
            assert_eq!(architectures(&BTreeMap::new(), &affinity), BOTH, "{affinity}");
        }
    }
}
