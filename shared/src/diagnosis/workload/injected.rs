//! What the webhook put into the pod: complete, still true, and not hidden by something else?

use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use super::container::{Presence, Variables};
use super::{
    AUDIENCE, CERTIFICATE, CLIENT_ID, CLIENT_ID_ANNOTATION, CLIENT_SECRET, PASSWORD, TENANT_ID, TENANT_ID_ANNOTATION,
    TOKEN_FILE, USERNAME, Workload, service_account, set_up,
};
use crate::diagnosis::{Diagnosis, TOKEN_PROXY, case};
use crate::doctor::Check;

/// Checks `variables`, `client-id`, `tenant-id`, `token-volume` and `shadowing`.
pub(super) fn checks(workload: &Workload) -> Vec<Check> {
    let all = workload.variables();
    let mut checks = vec![variables(workload, &all)];
    if checks[0].failure().is_some() {
        return checks;
    }
    checks.push(same(workload, &all, "client-id", CLIENT_ID, CLIENT_ID_ANNOTATION));
    checks.push(same(workload, &all, "tenant-id", TENANT_ID, TENANT_ID_ANNOTATION));
    checks.push(token_volume(workload, &all));
    checks.push(shadowing(workload, &all));
    checks
}

/// A container with none of them is somebody's sidecar; one with a part of them is broken, and so is a pod that has no other.
fn variables(workload: &Workload, all: &[Variables<'_>]) -> Check {
    const ID: &str = "variables";
    const NEEDED: [&str; 3] = [CLIENT_ID, TENANT_ID, TOKEN_FILE];
    let has = |it: &&Variables<'_>, how| NEEDED.iter().any(|name| it.presence(name) == how);
    let mut concerned: Vec<_> = all.iter().filter(|it| has(it, Presence::Set)).collect();
    if concerned.is_empty() {
        concerned.extend(all.first());
    }
    for it in &concerned {
        let unset = |name: &&str| it.presence(name) == Presence::Unset;
        let missing: Vec<_> = NEEDED.into_iter().filter(unset).collect();
        if !missing.is_empty() {
            return Check::failed(ID, incomplete(workload, &it.container.name, &missing));
        }
    }
    if concerned.iter().any(|it| has(it, Presence::Unknown)) {
        return Check::not_made(
            ID,
            "Some variables may come from Secrets or ConfigMaps (envFrom), which are not read.",
        );
    }
    Check::passed(ID, format!("{} are set.", NEEDED.join(", ")))
}

fn incomplete(workload: &Workload, container: &str, missing: &[&str]) -> Diagnosis {
    let annotated = |name| {
        let account = workload.service_account.found();
        account.is_some_and(|account| service_account::annotation(account, name).is_some())
    };
    let what = format!(
        "Container {container} of {} has no {}.",
        workload.subject(),
        missing.join(" and no ")
    );
    let recreate = &workload.recreate();
    if missing == [CLIENT_ID] && annotated(CLIENT_ID_ANNOTATION)
        || missing == [TENANT_ID] && annotated(TENANT_ID_ANNOTATION)
    {
        return Diagnosis::case(case::AnnotatedLater { recreate }, what);
    }
    if missing == [TENANT_ID] {
        let unknown = case::TenantUnknown {
            name: &workload.service_account_name(),
            namespace: &workload.namespace(),
            recreate,
        };
        return Diagnosis::case(unknown, what);
    }
    Diagnosis::case(case::SetUpInPart { recreate }, what)
}

/// Whether the pod's variable is what the annotation says now.
fn same(workload: &Workload, all: &[Variables<'_>], id: &'static str, variable: &str, annotation: &str) -> Check {
    let account = workload.service_account.found();
    let Some(annotated) = account.and_then(|account| service_account::annotation(account, annotation)) else {
        return Check::not_made(id, format!("{variable} has no annotation to be compared with."));
    };
    let differs = |it: &&Variables<'_>| {
        it.literal(variable)
            .is_some_and(|value| !value.eq_ignore_ascii_case(annotated))
    };
    let Some(found) = all.iter().find(differs) else {
        return Check::passed(id, format!("{variable} is what the ServiceAccount's annotation says."));
    };
    if workload
        .owner
        .found()
        .is_some_and(|owner| owner.template_variables.contains(variable))
    {
        return Check::passed(
            id,
            format!("{variable} is set by the pod template, and goes before the ServiceAccount's annotation."),
        );
    }
    let value = found.literal(variable).unwrap_or_default();
    Check::failed(
        id,
        Diagnosis::case(
            case::IdentityChanged {
                recreate: &workload.recreate(),
            },
            format!(
                "Container {} of {} has {variable}={value}, and the ServiceAccount says {annotated}.",
                found.container.name,
                workload.subject()
            ),
        ),
    )
}

fn token_volume(workload: &Workload, all: &[Variables<'_>]) -> Check {
    const ID: &str = "token-volume";
    let spec = workload.pod.spec.as_ref();
    let volumes = spec.and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    for it in all {
        let Some(file) = it.literal(TOKEN_FILE) else { continue };
        // With AKS identity binding the audience is another one.
        let proxied = it.presence(TOKEN_PROXY) == Presence::Set;
        match source(it, volumes, file) {
            Source::Unmounted => return Check::failed(ID, unmounted(workload, it, file)),
            Source::Opaque(volume) => {
                let text = format!("{file} comes from volume {volume}, into which the pod's objects give no view.");
                return Check::not_made(ID, text);
            }
            Source::Token(Some(audience)) if audience == AUDIENCE || proxied => {}
            Source::Token(audience) => return Check::failed(ID, wrong_audience(workload, file, audience)),
        }
    }
    Check::passed(
        ID,
        format!("A ServiceAccount token for {AUDIENCE} is mounted where the variable says."),
    )
}

/// What lies at a path in a container.
enum Source<'a> {
    /// A ServiceAccount token for this audience.
    Token(Option<&'a str>),
    /// Something in this volume.
    Opaque(&'a str),
    /// Nothing that the pod mounts.
    Unmounted,
}

fn source<'a>(variables: &Variables<'a>, volumes: &'a [Volume], file: &str) -> Source<'a> {
    let mounts = variables.container.volume_mounts.iter().flatten();
    let below = |mount: &&VolumeMount| below(&mount.mount_path, file).is_some();
    let Some(mount) = mounts.filter(below).max_by_key(|mount| mount.mount_path.len()) else {
        return Source::Unmounted;
    };
    let Some(volume) = volumes.iter().find(|volume| volume.name == mount.name) else {
        return Source::Unmounted;
    };
    if volume.projected.is_none() {
        return Source::Opaque(&volume.name);
    }
    let rest = below_path(mount, file);
    match set_up::tokens(volume).find(|token| token.path == rest) {
        Some(token) => Source::Token(token.audience.as_deref()),
        None => Source::Unmounted,
    }
}

/// The path within the volume.
fn below_path(mount: &VolumeMount, file: &str) -> String {
    let rest = below(&mount.mount_path, file).unwrap_or_default();
    match &mount.sub_path {
        Some(folder) => [folder.trim_matches('/'), rest].join("/").trim_matches('/').to_owned(),
        None => rest.to_owned(),
    }
}

/// `/a`, `/a/b/c` → `b/c`; the mount of a single file gives an empty rest.
fn below<'a>(folder: &str, file: &'a str) -> Option<&'a str> {
    let rest = file.strip_prefix(folder.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
}

fn unmounted(workload: &Workload, variables: &Variables<'_>, file: &str) -> Diagnosis {
    let recreate = &workload.recreate();
    Diagnosis::case(
        case::TokenNotMounted { recreate },
        format!(
            "Container {} of {} mounts no token at {file}.",
            variables.container.name,
            workload.subject()
        ),
    )
}

fn wrong_audience(workload: &Workload, file: &str, audience: Option<&str>) -> Diagnosis {
    let audience = &audience.unwrap_or("the API server's own");
    Diagnosis::case(
        case::TokenForOthers { audience },
        format!("The token at {file} in {} is for another audience.", workload.subject()),
    )
}

fn shadowing(workload: &Workload, all: &[Variables<'_>]) -> Check {
    const ID: &str = "shadowing";
    let sets = |name: &str| all.iter().find(|it| it.presence(name) == Presence::Set);
    let by_password = sets(USERNAME)
        .filter(|_| sets(PASSWORD).is_some())
        .map(|it| (USERNAME, it));
    let hidden_by = [CLIENT_SECRET, CERTIFICATE[0], CERTIFICATE[1]]
        .into_iter()
        .find_map(|name| Some((name, sets(name)?)))
        .or(by_password);
    match hidden_by {
        None => Check::passed(ID, "No secret, certificate or password goes before workload identity."),
        Some((name, it)) => Check::failed(
            ID,
            Diagnosis::case(
                case::CredentialGoesFirst { variable: &name },
                format!(
                    "Container {} of {} sets {name} besides workload identity.",
                    it.container.name,
                    workload.subject()
                ),
            ),
        ),
    }
}
