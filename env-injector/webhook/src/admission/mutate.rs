//! Pod and facts → patch.

use std::collections::{BTreeMap, HashMap};

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
use super::specs::NotTold;
use super::wanted::{Wanted, wanted};
use crate::cluster::{Knowledge, Specs};

/// Longest variable, with its name and a NUL, that every kernel takes: 32 of the smallest pages (`MAX_ARG_STRLEN`, execve(2)).
const LONGEST_ENTRY: usize = 32 * 4096;
/// Longest JSON of specs that goes into a variable unasked, because a reference to one may come unseen.
const LONGEST_UNASKED: usize = 96 * 1024;

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
    /// Those that may be there, and nobody could say.
    pub not_told: &'f BTreeMap<String, NotTold>,
    /// Whether others may be there that nobody mentions.
    pub knowledge: Knowledge,
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
        prepare_pod(pod, &wanted, any_broker, facts.settings, &mut edit);
    }
    Ok(Outcome {
        patch: edit.finish(),
        warnings,
        containers: wanted.len(),
    })
}

/// As much of [`mutate`]'s refusals as can be told of the pod alone, before anybody is asked anything.
///
/// # Errors
/// As [`mutate`].
pub(super) fn check(pod: &Value) -> Result<(), Denial> {
    let wanted = wanted(pod)?;
    if wanted.is_empty() {
        return Ok(());
    }
    possible(pod, &wanted)
}

/// Checks what would make the prepared pod fail, or differ from what its author means.
fn possible(pod: &Value, wanted: &[Wanted<'_>]) -> Result<(), Denial> {
    let spec = &pod["spec"];
    let of_node = |label: &str| text(&spec["nodeSelector"], label);
    let systems = [
        text(&spec["os"], "name"),
        of_node("kubernetes.io/os"),
        of_node("beta.kubernetes.io/os"),
    ];
    if systems.contains(&Some("windows")) {
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
        variables.push(inject::variable(names::SPECS, &specs_text(wanted, facts, warnings)?));
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
            Reference::Akvs { name, query } => match (facts.specs.get(name), facts.not_told.get(name)) {
                (Some(spec), _) => warnings.extend(advice::query(place, name, query.as_ref(), spec)),
                (None, Some(why)) => {
                    let Diagnosis { what, cause, .. } = advice::not_told(place, name, facts, why);
                    warnings.push(format!("{what} {cause}"));
                }
                (None, None) => warnings.push(advice::missing(place, name, facts)),
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

/// [`specs`] as the value of one variable.
fn specs_text(wanted: &Wanted<'_>, facts: &Facts<'_>, warnings: &mut Vec<String>) -> Result<String, Denial> {
    let text = Value::from(specs(wanted, facts, warnings)?).to_string();
    let bytes = names::SPECS.len() + "=".len() + text.len() + 1;
    if bytes > LONGEST_ENTRY {
        let what = format!("Container '{}' cannot be prepared.", wanted.container.name());
        let most = &LONGEST_ENTRY;
        let why = case::SpecsTooLong { bytes: &bytes, most };
        return Err(Denial::new(Diagnosis::case(why, what)));
    }
    Ok(text)
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
            if let Some(why) = facts.not_told.get(name) {
                return Err(Denial::new(advice::not_told(place, name, facts, why)));
            }
            let namespace = &facts.namespace;
            return Err(Denial::new(Diagnosis::case(
                case::AkvsNeededFirst { namespace },
                advice::missing(place, name, facts),
            )));
        };
        if warnings.len() < MOST_WARNINGS {
            warnings.extend(advice::query(place, name, query.as_ref(), spec));
        }
        specs.insert(name.clone(), Value::clone(spec));
    }
    if wanted.unseen {
        if facts.knowledge != Knowledge::Current {
            return Err(Denial::new(advice::not_known(wanted, facts)));
        }
        let mut size = Value::from(specs.clone()).to_string().len();
        for (name, spec) in facts.specs {
            size += name.len() + spec.to_string().len() + 6;
            if size > LONGEST_UNASKED {
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

/// The wrapper's volume and its init container, and the token's volume; what is there already stays. The init container has to run before
/// each that starts the wrapper, so it goes before those that somebody put before it in the meantime.
fn prepare_pod(pod: &Value, wanted: &[Wanted<'_>], broker: bool, settings: &Settings, edit: &mut Edit) {
    let (spec, path) = (&pod["spec"], PointerBuf::from_tokens(["spec"]));
    let mut volumes = vec![inject::volume()];
    if broker {
        volumes.push(inject::token_volume());
    }
    let there = items(spec, "volumes");
    volumes.retain(|volume| text(volume, "name").and_then(|name| named(there, name)).is_none());
    edit.append(spec, &path, "volumes", volumes);
    // Last, since it moves the other init containers.
    let containers = items(spec, "initContainers").iter();
    let ours = containers
        .map(|it| text(it, "name"))
        .position(|name| name == Some(names::INIT_CONTAINER));
    let is_before = |at: usize| {
        let mut containers = wanted.iter().map(|wanted| wanted.container);
        containers.any(|container| container.list == "initContainers" && container.index < at)
    };
    match ours {
        None => edit.prepend(spec, &path, "initContainers", inject::init_container(settings, pod)),
        Some(at) if is_before(at) => edit.move_first(&path, "initContainers", at),
        Some(_) => {}
    }
}
