//! Kubernetes' label selector, as in `NetworkPolicy` and webhooks: `matchLabels` and `matchExpressions`, all of which must hold.
//!
//! <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements>

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Which namespaces a rule is for, by their labels. Never empty: that would be all of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Selector(Vec<Requirement>);

impl Selector {
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|it| it.holds(labels))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a label selector")]
struct Written {
    #[serde(default)]
    match_labels: Equalities,
    #[serde(default, deserialize_with = "super::file::items")]
    match_expressions: Vec<Requirement>,
}

impl TryFrom<Written> for Selector {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let mut requirements = written.match_labels.0;
        requirements.extend(written.match_expressions);
        if requirements.is_empty() {
            return Err("an empty selector selects every namespace: write 'namespaces: [\"*\"]' if that is meant");
        }
        Ok(Self(requirements))
    }
}

/// `matchLabels`.
#[derive(Default)]
struct Equalities(Vec<Requirement>);

impl<'de> Deserialize<'de> for Equalities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Equalities;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Equalities, A::Error> {
                let mut all: Vec<Requirement> = Vec::new();
                while let Some((LabelKey(key), LabelValue(value))) = map.next_entry()? {
                    if all.iter().any(|it| it.key == key) {
                        return Err(A::Error::custom(format!("label {key:?} stands there twice")));
                    }
                    all.push(Requirement {
                        key,
                        test: Test::In(vec![value]),
                    });
                }
                Ok(Equalities(all))
            }
        }
        // A key without a value is no map: the rest of the file may be missing.
        deserializer.deserialize_any(Pairs)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Expression")]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Requirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::In(values) => value.is_some_and(|it| values.contains(it)),
            // As in Kubernetes: a namespace without the label is not in.
            Test::NotIn(values) => value.is_none_or(|it| !values.contains(it)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

/// One of `matchExpressions`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "{key, operator, values}")]
struct Expression {
    key: LabelKey,
    operator: Operator,
    #[serde(default)]
    values: Vec<LabelValue>,
}

#[derive(Deserialize)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl TryFrom<Expression> for Requirement {
    type Error = &'static str;

    fn try_from(expression: Expression) -> Result<Self, Self::Error> {
        let values: Vec<_> = expression.values.into_iter().map(|it| it.0).collect();
        let test = match (expression.operator, values.is_empty()) {
            (Operator::In, false) => Test::In(values),
            (Operator::NotIn, false) => Test::NotIn(values),
            (Operator::Exists, true) => Test::Exists,
            (Operator::DoesNotExist, true) => Test::DoesNotExist,
            (Operator::In | Operator::NotIn, true) => return Err("In and NotIn need values"),
            (Operator::Exists | Operator::DoesNotExist, false) => return Err("Exists and DoesNotExist take no values"),
        };
        Ok(Self {
            key: expression.key.0,
            test,
        })
    }
}

/// `[prefix/]name`, as far as a mistake shows: letters, digits, `-`, `_`, `.` and one `/`.
struct LabelKey(String);

/// At most 63 letters, digits, `-`, `_` and `.`.
struct LabelValue(String);

fn is_label_text(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl super::file::Text for LabelKey {
    fn parse(text: &str) -> Result<Self, String> {
        let (prefix, name) = text.split_once('/').unwrap_or(("x", text));
        let legal = (1..=253).contains(&prefix.len()) && (1..=63).contains(&name.len());
        if legal && is_label_text(prefix) && is_label_text(name) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} is no label's key"))
    }
}

impl super::file::Text for LabelValue {
    fn parse(text: &str) -> Result<Self, String> {
        if text.len() <= 63 && is_label_text(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("{text:?} is no label's value"))
    }
}

impl<'de> Deserialize<'de> for LabelKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::file::text(deserializer)
    }
}

impl<'de> Deserialize<'de> for LabelValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::file::text(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selects(selector: &str, labels: &[(&str, &str)]) -> bool {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        serde_yaml::from_str::<Selector>(selector).unwrap().matches(&labels)
    }

    #[test]
    fn requirements_mean_what_kubernetes_says() {
        let prod = [("env", "prod"), ("team.example/name", "pay")];
        for (selector, expected) in [
            ("{matchLabels: {env: prod}}", true),
            ("{matchLabels: {env: test}}", false),
            ("{matchLabels: {env: prod, team.example/name: pay}}", true),
            ("{matchLabels: {env: prod, tier: web}}", false),
            (
                "{matchExpressions: [{key: env, operator: In, values: [test, prod]}]}",
                true,
            ),
            ("{matchExpressions: [{key: env, operator: In, values: [PROD]}]}", false),
            (
                "{matchExpressions: [{key: env, operator: NotIn, values: [prod]}]}",
                false,
            ),
            (
                "{matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}",
                true,
            ),
            ("{matchExpressions: [{key: env, operator: Exists}]}", true),
            ("{matchExpressions: [{key: tier, operator: Exists}]}", false),
            ("{matchExpressions: [{key: tier, operator: DoesNotExist}]}", true),
            (
                "{matchLabels: {env: prod}, matchExpressions: [{key: env, operator: DoesNotExist}]}",
                false,
            ),
        ] {
            assert_eq!(selects(selector, &prod), expected, "{selector}");
        }
        assert!(
            selects("{matchLabels: {zone: 1, yes: no}}", &[("zone", "1"), ("yes", "no")]),
            "plain text, as written"
        );
    }

    #[test]
    fn what_would_select_everything_or_nothing_by_mistake_is_refused() {
        for bad in [
            "{}",
            "",
            "{matchLabels: }",
            "{matchLabels: {}}",
            "{matchLabel: {env: prod}}",
            "{matchLabels: {env: prod}, matchExpressions: }",
            "{matchLabels: {env: prod}, matchExpressions: []}",
            "matchLabels:\nmatchExpressions: [{key: env, operator: Exists}]",
            "{matchLabels: {env: prod, env: test}}",
            "{matchLabels: {env: [prod]}}",
            "{matchLabels: {a b: c}}",
            "{matchLabels: {a/b/c: d}}",
            "{matchLabels: {a: 'ü'}}",
            "{matchExpressions: [{key: env, operator: in, values: [a]}]}",
            "{matchExpressions: [{key: env, operator: In}]}",
            "{matchExpressions: [{key: env, operator: Exists, values: [a]}]}",
            "{matchExpressions: [{key: env, operator: In, value: [a]}]}",
            "{matchExpressions: [{operator: Exists}]}",
        ] {
            assert!(serde_yaml::from_str::<Selector>(bad).is_err(), "{bad}");
        }
    }
}
