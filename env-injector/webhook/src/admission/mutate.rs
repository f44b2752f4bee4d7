//! Pod and facts → patch.

use std::collections::HashMap;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::injection::names;
use akv2k8s_shared::injection::reference::Reference;
use json_patch::Patch;
use json_patch::jsonptr::PointerBuf;
use serde_json::{Map, Value};

use super::Denial;
use super::advice::{self, Place};
use super::edit::Edit;
use super::inject;
use super::lookup::{ImageConfig, LookupError};
use super::pod::{Container, items, named, text};
use super::settings::Settings;
use super::wanted::{Wanted, wanted};
use crate::cluster::Specs;

/// Longest JSON of specs that goes into a variable; the kernel's limit for one is 128 KiB.
const LONGEST_SPECS: usize = 96 * 1024;

/// What is known besides the pod.
#[derive(Clone, Copy)]
pub struct Facts<'f> {
    /// How this installation prepares pods.
    pub settings: &'f Settings,
    /// Authorities of the broker's certificates, PEM, the current one and the next.
    pub authorities: &'f str,
    /// The pod's namespace.
    pub namespace: &'f str,
    /// The `AzureKeyVaultSecrets` in it.
    pub specs: &'f Specs,
    /// Answers to [`super::questions`]: container name → what its image starts.
    pub images: &'f HashMap<String, Result<ImageConfig, LookupError>>,
}

/// What is to be done with a pod.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The change; empty when there is nothing to do.
    pub patch: Patch,
    /// What whoever creates the pod should know, one sentence each.
    pub warnings: Vec<String>,
    /// How many containers were prepared.
    pub containers: usize,
}

impl Outcome {
    /// The pod stays as it is.
    pub(super) fn nothing() -> Self {
        Self {
            patch: Patch(Vec::new()),
            warnings: Vec::new(),
            containers: 0,
        }
    }
}

/// Prepares the containers of `pod` that ask for injection; all else of the pod stays as it is, and so do containers that were
/// prepared before.
///
/// # Errors
/// Why the pod cannot be prepared; it must not be created then, since its program would start with references for values.
pub fn mutate(pod: &Value, facts: &Facts<'_>) -> Result<Outcome, Denial> {
    let wanted = wanted(pod)?;
    let mut warnings = Vec::new();
    let mut edit = Edit::default();
    if !wanted.is_empty() {
        possible(pod, &wanted)?;
        let mut any_broker = false;
        for wanted in &wanted {
            let broker = facts.settings.broker.as_deref().filter(|_| !wanted.without_broker);
            any_broker |= broker.is_some();
            prepare(wanted, broker, facts, &mut edit, &mut warnings)?;
        }
        prepare_pod(pod, any_broker, facts.settings, &mut edit);
    }
    Ok(Outcome {
        patch: edit.finish(),
        warnings,
        containers: wanted.len(),
    })
}

/// Checks what would make the prepared pod fail, or differ from what its author means.
fn possible(pod: &Value, wanted: &[Wanted<'_>]) -> Result<(), Denial> {
    let spec = &pod["spec"];
    if text(&spec["os"], "name") == Some("windows") {
        return Err(Denial::new(Diagnosis::case(
            case::WindowsPod,
            "Pods of Windows nodes cannot have values injected.",
        )));
    }
    for (volume, kind) in [(names::VOLUME, "emptyDir"), (names::TOKEN_VOLUME, "projected")] {
        if named(items(spec, "volumes"), volume).is_some_and(|volume| !volume[kind].is_object()) {
            return Err(taken(&format!("A volume of the pod is called '{volume}'.")));
        }
    }
    let init = named(items(spec, "initContainers"), names::INIT_CONTAINER);
    if init.is_some_and(|init| named(items(init, "volumeMounts"), names::VOLUME).is_none()) {
        return Err(taken(&format!(
            "An init container of the pod is called '{}'.",
            names::INIT_CONTAINER
        )));
    }
    for Wanted { container, .. } in wanted {
        for (volume, directory) in [
            (names::VOLUME, names::DIRECTORY),
            (names::TOKEN_VOLUME, names::TOKEN_DIRECTORY),
        ] {
            let mounted = items(container.json, "volumeMounts").iter();
            let mut there = mounted
                .filter(|mount| text(mount, "mountPath").is_some_and(|path| path.trim_end_matches('/') == directory));
            if there.any(|mount| text(mount, "name") != Some(volume)) {
                let name = container.name();
                return Err(taken(&format!(
                    "Container '{name}' mounts a volume of its own at {directory}."
                )));
            }
        }
    }
    Ok(())
}

fn taken(what: &str) -> Denial {
    Denial::new(Diagnosis::case(case::PlaceTaken, what))
}

fn prepare(
    wanted: &Wanted<'_>,
    broker: Option<&str>,
    facts: &Facts<'_>,
    edit: &mut Edit,
    warnings: &mut Vec<String>,
) -> Result<(), Denial> {
    let container = wanted.container;
    let path = PointerBuf::from_tokens(["spec", container.list]).with_trailing_token(container.index);
    edit.set(&path, "command", vec![names::WRAPPER]);
    edit.set(&path, "args", argv(container, facts)?);
    let mut variables = vec![
        inject::variable(names::USE_AUTH_SERVICE, if broker.is_some() { "true" } else { "false" }),
        inject::field(names::POD_NAMESPACE, "metadata.namespace"),
        inject::field(names::POD_NAME, "metadata.name"),
    ];
    let mut mounts = vec![inject::mount(names::VOLUME, names::DIRECTORY)];
    if let Some(url) = broker {
        advise(wanted, facts, warnings)?;
        variables.push(inject::variable(names::AUTH_SERVICE, url));
        variables.push(inject::variable(names::AUTH_SERVICE_CA, facts.authorities));
        mounts.push(inject::mount(names::TOKEN_VOLUME, names::TOKEN_DIRECTORY));
    } else {
        let specs = specs(wanted, facts, warnings)?;
        variables.push(inject::variable(names::SPECS, &Value::from(specs).to_string()));
    }
    edit.append(container.json, &path, "env", variables);
    let there = items(container.json, "volumeMounts");
    mounts.retain(|mount| !there.iter().any(|it| text(it, "mountPath") == text(mount, "mountPath")));
    edit.append_all(container.json, &path, "volumeMounts", mounts);
    Ok(())
}

/// What the container would have started, as `args` of the wrapper.
fn argv(container: Container<'_>, facts: &Facts<'_>) -> Result<Vec<String>, Denial> {
    let (command, args) = (container.words("command"), container.words("args"));
    if !command.is_empty() {
        return Ok([command, args].concat());
    }
    let ImageConfig { entrypoint, cmd } = match facts.images.get(container.name()) {
        Some(Ok(config)) => config.clone(),
        Some(Err(error)) => return Err(Denial(error.0.clone())),
        None => ImageConfig::default(),
    };
    // What an image starts is taken literally; what a pod's `args` have is expanded by the kubelet.
    let verbatim = |words: Vec<String>| words.iter().map(|word| inject::verbatim(word)).collect();
    let rest = if args.is_empty() { verbatim(cmd) } else { args };
    let words: Vec<String> = [verbatim(entrypoint), rest].concat();
    if words.is_empty() {
        let what = format!("Nothing says what container '{}' starts.", container.name());
        return Err(Denial::new(Diagnosis::case(case::ProgramUnknown, what)));
    }
    Ok(words)
}

/// Most warnings for one pod. The API server cuts them off as well, and each may mean a comparison with every name there is.
const MOST_WARNINGS: usize = 16;

/// With the broker: what is missing now may come until the container starts, so it is a warning only.
fn advise(wanted: &Wanted<'_>, facts: &Facts<'_>, warnings: &mut Vec<String>) -> Result<(), Denial> {
    for mention in &wanted.mentions {
        let place = Place::new(wanted, mention);
        match &mention.reference {
            Reference::Akvs { .. } if warnings.len() >= MOST_WARNINGS => {}
            Reference::Akvs { name, query } => match facts.specs.get(name) {
                Some(spec) => warnings.extend(advice::query(place, name, query.as_ref(), spec)),
                None => warnings.push(advice::missing(place, name, facts)),
            },
            Reference::Direct { .. } => {
                let variable = &names::DISABLE_AUTH_SERVICE;
                return Err(Denial::new(Diagnosis::case(
                    case::DirectWithBroker { variable },
                    format!("{place} refers to an object of a vault directly."),
                )));
            }
        }
    }
    Ok(())
}

/// Without the broker: the wrapper has no right to read `AzureKeyVaultSecrets`, so it is given those it may need.
fn specs(wanted: &Wanted<'_>, facts: &Facts<'_>, warnings: &mut Vec<String>) -> Result<Map<String, Value>, Denial> {
    let mut specs = Map::new();
    for mention in &wanted.mentions {
        let Reference::Akvs { name, query } = &mention.reference else {
            continue;
        };
        let place = Place::new(wanted, mention);
        let Some(spec) = facts.specs.get(name) else {
            let namespace = &facts.namespace;
            return Err(Denial::new(Diagnosis::case(
                case::AkvsNeededFirst { namespace },
                advice::missing(place, name, facts),
            )));
        };
        warnings.extend(advice::query(place, name, query.as_ref(), spec));
        specs.insert(name.clone(), Value::clone(spec));
    }
    if wanted.unseen {
        let mut size = Value::from(specs.clone()).to_string().len();
        for (name, spec) in facts.specs {
            size += name.len() + spec.to_string().len() + 6;
            if size > LONGEST_SPECS {
                warnings.push(format!(
                    "container '{}': namespace '{}' has too many AzureKeyVaultSecrets to give all to the container; references from envFrom may not work",
                    wanted.container.name(),
                    facts.namespace
                ));
                break;
            }
            specs.entry(name.clone()).or_insert_with(|| Value::clone(spec));
        }
    }
    Ok(specs)
}

/// The wrapper's volume and its init container, and the token's volume; what is there already stays.
fn prepare_pod(pod: &Value, broker: bool, settings: &Settings, edit: &mut Edit) {
    let (spec, path) = (&pod["spec"], PointerBuf::from_tokens(["spec"]));
    let mut volumes = vec![inject::volume()];
    if broker {
        volumes.push(inject::token_volume());
    }
    let there = items(spec, "volumes");
    volumes.retain(|volume| text(volume, "name").and_then(|name| named(there, name)).is_none());
    edit.append(spec, &path, "volumes", volumes);
    // Last, since it moves the other init containers.
    if named(items(spec, "initContainers"), names::INIT_CONTAINER).is_none() {
        edit.prepend(spec, &path, "initContainers", inject::init_container(settings, pod));
    }
}
