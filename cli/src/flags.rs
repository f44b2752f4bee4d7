//! The flags that a controller's Deployment starts it with.

use k8s_openapi::api::core::v1::{Container, PodSpec};

/// Command line and arguments of the containers of a pod template; of a flag given twice the last counts, as with the controller.
pub(crate) struct Flags(Vec<String>);

impl Flags {
    /// Those in `pod`.
    pub(crate) fn of(pod: Option<&PodSpec>) -> Self {
        let words = |it: &Container| [it.command.clone(), it.args.clone()].into_iter().flatten().flatten();
        let containers = pod.iter().flat_map(|pod| &pod.containers);
        Self(containers.flat_map(words).collect())
    }

    /// The value of `--name`: after `=`, or the next word.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut found = None;
        for (number, word) in self.0.iter().enumerate() {
            match after(word, name) {
                Some("") => found = self.0.get(number + 1).map(String::as_str),
                Some(value) => found = value.strip_prefix('='),
                None => {}
            }
        }
        found
    }

    /// Whether the switch `--name` is on: bare, or with a word for true.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        let last = self.0.iter().rev().find_map(|word| after(word, name));
        last.is_some_and(|rest| rest.is_empty() || akv2k8s_shared::environment::parse_bool(&rest[1..]) == Some(true))
    }
}

/// The ConfigMap, and the key in it, that a container of `pod` mounts at `path`.
pub(crate) fn config_map(pod: &PodSpec, path: &str) -> Option<(String, String)> {
    let mounts = pod.containers.iter().flat_map(|it| it.volume_mounts.iter().flatten());
    let (mount, rest) = mounts
        .filter_map(|mount| Some((mount, path.strip_prefix(mount.mount_path.trim_end_matches('/'))?)))
        .filter(|(_, rest)| rest.is_empty() || rest.starts_with('/'))
        .max_by_key(|(mount, _)| mount.mount_path.len())?;
    let within = [
        mount.sub_path.as_deref().unwrap_or_default(),
        rest.trim_start_matches('/'),
    ]
    .join("/");
    let within = within.trim_matches('/');
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name)?;
    let source = volume.config_map.as_ref()?;
    let item = source.items.iter().flatten().find(|item| item.path == within);
    Some((
        source.name.clone(),
        item.map_or(within, |item| item.key.as_str()).to_owned(),
    ))
}

/// What follows `--name` or `-name` in `word`: nothing, or `=VALUE`.
fn after<'w>(word: &'w str, name: &str) -> Option<&'w str> {
    let rest = word
        .strip_prefix("--")
        .or_else(|| word.strip_prefix('-'))?
        .strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with('=')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(args: &[&str]) -> PodSpec {
        serde_json::from_value(json!({
            "containers": [{
                "name": "controller",
                "args": args,
                "volumeMounts": [
                    {"name": "tmp", "mountPath": "/etc"},
                    {"name": "grants", "mountPath": "/etc/akv2k8s/"},
                    {"name": "single", "mountPath": "/one.yaml", "subPath": "a.yaml"},
                ],
            }],
            "volumes": [
                {"name": "tmp", "emptyDir": {}},
                {"name": "grants", "configMap": {"name": "rules"}},
                {"name": "single", "configMap": {"name": "other", "items": [{"key": "text", "path": "a.yaml"}]}},
            ],
        }))
        .unwrap()
    }

    #[test]
    fn flags_are_read_as_the_controller_reads_them() {
        for (args, value, on) in [
            (&[][..], None, false),
            (&["--vault-grants=/a"], Some("/a"), false),
            (
                &["-vault-grants", "/a", "--service-account-identities"],
                Some("/a"),
                true,
            ),
            (
                &[
                    "--vault-grants=/a",
                    "--vault-grants=/b",
                    "-service-account-identities=1",
                ],
                Some("/b"),
                true,
            ),
            (
                &["--service-account-identities", "--service-account-identities=false"],
                None,
                false,
            ),
            (
                &["--vault-grants-else=/a", "--service-account-identities-else"],
                None,
                false,
            ),
        ] {
            let flags = Flags::of(Some(&pod(args)));
            assert_eq!(flags.value("vault-grants"), value, "{args:?}");
            assert_eq!(flags.is_on("service-account-identities"), on, "{args:?}");
        }
    }

    #[test]
    fn the_config_map_behind_a_path_is_found_through_its_mount() {
        let pod = pod(&[]);
        for (path, found) in [
            ("/etc/akv2k8s/grants.yaml", Some(("rules", "grants.yaml"))),
            ("/one.yaml", Some(("other", "text"))),
            ("/etc/elsewhere.yaml", None),
            ("/etc/akv2k8sx/grants.yaml", None),
            ("/nowhere", None),
        ] {
            let found = found.map(|(map, key)| (map.to_owned(), key.to_owned()));
            assert_eq!(config_map(&pod, path), found, "{path}");
        }
    }
}
