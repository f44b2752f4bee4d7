//! What each value of the chart does, read from `effects.yaml`, and whether it is to be seen.

use akv2k8s_testbed::helm::find;
use serde::Deserialize;
use serde_json::{Value, json};

/// One value's effect.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Effect {
    /// The value's path.
    pub(crate) leaf: String,
    /// Values without it, as YAML.
    #[serde(default)]
    pub(crate) base: String,
    /// Values that set it, as YAML.
    pub(crate) set: String,
    /// `KIND/NAME`.
    #[serde(default)]
    pub(crate) on: String,
    /// What is to be seen there.
    #[serde(flatten)]
    pub(crate) see: See,
}

/// What is to be seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum See {
    /// The object is there.
    There(()),
    /// It is not.
    Gone(()),
    /// It has this at a JSON pointer.
    At(String, Value),
    /// It has nothing at a JSON pointer.
    Not(String),
    /// The list at a JSON pointer has this member.
    Has(String, Value),
    /// The text at a JSON pointer contains this.
    Text(String, String),
    /// Its container has this argument.
    Arg(String),
    /// Its container has this variable, with this `value` or `valueFrom`.
    Env(String, Value),
    /// Nothing at all changes.
    Nothing(()),
}

/// All of them.
pub(crate) fn effects() -> Vec<Effect> {
    let read = |text: &str| -> Vec<Effect> { serde_yaml::from_str(text).unwrap() };
    let text = include_str!("effects.yaml");
    let (of_one, of_both) = text.split_once("# Of both components").unwrap();
    let mut all = read(of_one);
    for (key, component, secret) in [
        ("controller", "controller", "akv2k8s-controller-env"),
        ("env_injector", "envinjector", "akv2k8s-envinjector-webhook-env"),
    ] {
        let list = of_both.split_once('\n').unwrap().1;
        let list = list.replace("COMPONENT", component).replace("SECRET", secret);
        let list = list.replace("leaf: C.", &format!("leaf: {key}."));
        all.extend(read(&list.replace("set: \"C: ", &format!("set: \"{key}: "))));
    }
    all
}

impl See {
    /// Whether it is to be seen on the object `id` of `objects`.
    pub(crate) fn holds(&self, objects: &[Value], id: &str) -> bool {
        let object = find(objects, id);
        let at = |pointer: &str| object.and_then(|it| it.pointer(pointer));
        let container = |field: &str| at(&format!("/spec/template/spec/containers/0/{field}"));
        match self {
            Self::There(()) => object.is_some(),
            Self::Gone(()) => object.is_none(),
            Self::At(pointer, wanted) => at(pointer) == Some(wanted),
            Self::Not(pointer) => object.is_some() && at(pointer).is_none(),
            Self::Has(pointer, wanted) => members(at(pointer)).contains(wanted),
            Self::Text(pointer, wanted) => at(pointer)
                .and_then(Value::as_str)
                .is_some_and(|it| it.contains(wanted)),
            Self::Arg(wanted) => members(container("args")).contains(&json!(wanted)),
            Self::Env(name, wanted) => {
                let env: Vec<_> = members(container("env"))
                    .iter()
                    .filter(|it| it["name"] == **name)
                    .collect();
                assert!(env.len() < 2, "{name} twice");
                env.first()
                    .is_some_and(|it| it["value"] == *wanted || it["valueFrom"] == *wanted)
            }
            Self::Nothing(()) => panic!("{self:?} is not seen on an object"),
        }
    }
}

fn members(list: Option<&Value>) -> &[Value] {
    list.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
