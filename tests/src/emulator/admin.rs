//! The admin API: the emulator's state, faults, journal and clock for other processes and languages. JSON, without
//! authentication, for loopback only.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::{Fault, FaultId};
use super::http::{Reply, Request};
use super::operation::Kind;
use super::seed::Seed;
use super::{Shared, VaultHandle};

/// Hosts the admin API answers for.
pub(crate) const HOSTS: [&str; 3] = ["admin.localhost", "localhost", "127.0.0.1"];

/// Answers a request; what is wrong with it stands in `{"error": …}` with status 400.
pub(crate) async fn handle(shared: &Arc<Shared>, request: &Request) -> Reply {
    match answer(shared, request).await {
        Ok(Some(body)) => Reply::ok(&body),
        Ok(None) => {
            let error = "the admin API has no such request; GET / lists them";
            Reply::json(StatusCode::NOT_FOUND, &json!({ "error": error }))
        }
        Err(error) => Reply::json(StatusCode::BAD_REQUEST, &json!({ "error": format!("{error:#}") })),
    }
}

async fn answer(shared: &Arc<Shared>, request: &Request) -> anyhow::Result<Option<Value>> {
    Ok(Some(match (request.method.as_str(), request.segments().as_slice()) {
        ("GET", []) => overview(shared),
        ("POST", ["state"]) => {
            let seed = Seed::parse(str::from_utf8(&request.body).context("the body is not UTF-8")?)?;
            let shared = shared.clone();
            // Keys and certificates take time.
            serde_json::to_value(tokio::task::spawn_blocking(move || seed.apply(&shared)).await??)?
        }
        ("GET", ["journal"]) => journal(shared),
        ("DELETE", ["journal"]) => {
            shared.journal.reset();
            json!({})
        }
        ("GET", ["faults"]) => faults(shared),
        ("POST", ["faults"]) => {
            let fault: Fault = serde_json::from_slice(&request.body).context("the body is not a fault")?;
            json!({ "id": shared.faults.add(fault) })
        }
        ("DELETE", ["faults"]) => {
            shared.faults.lift_all();
            json!({})
        }
        ("DELETE", ["faults", id]) => {
            let id = FaultId(id.parse().context("a fault's id is a number")?);
            json!({ "lifted": shared.faults.lift(id) })
        }
        ("PUT", ["clock"]) => {
            let clock: ClockBody = serde_json::from_slice(&request.body).context("write {\"offsetSeconds\": N}")?;
            shared.clock.set_offset(clock.offset_seconds);
            json!({ "now": shared.clock.now() })
        }
        ("POST", ["vaults", vault, kind, name, verb]) => {
            change(shared, vault, kind, name, verb)?;
            json!({})
        }
        _ => return Ok(None),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClockBody {
    offset_seconds: i64,
}

fn overview(shared: &Shared) -> Value {
    let vaults: BTreeMap<String, String> = shared
        .vaults
        .lock()
        .values()
        .map(|vault| (vault.name.clone(), shared.vault_url(&vault.name)))
        .collect();
    let (endpoint, header) = (
        format!("{}/msi/token", shared.imds_url()),
        &shared.imds.app_service_header,
    );
    json!({
        "tenantId": shared.entra.default_tenant,
        "authorityHost": format!("{}/", shared.authority_url()),
        "imdsEndpoint": shared.imds_url(),
        "appService": { "identityEndpoint": endpoint, "identityHeader": header },
        "cloud": shared.cloud(),
        "caPem": shared.tls_authority.pem(),
        "vaults": vaults,
        "principals": *shared.names(),
        "requests": [
            "GET /", "POST /state", "GET /journal", "DELETE /journal", "GET /faults", "POST /faults",
            "DELETE /faults", "DELETE /faults/{id}", "PUT /clock",
            "POST /vaults/{vault}/{secrets|keys|certificates}/{name}/{disable|delete|recover|purge}",
        ],
    })
}

fn journal(shared: &Shared) -> Value {
    let counts = shared.journal.counts();
    let rows = counts.rows().map(|(service, operation, status, count)| {
        json!({ "service": service, "operation": operation, "status": status, "count": count })
    });
    json!({
        "total": counts.total(), "connections": shared.journal.connections(),
        "counts": rows.collect::<Vec<_>>(), "entries": shared.journal.entries(),
    })
}

fn faults(shared: &Shared) -> Value {
    let rows = shared
        .faults
        .active()
        .into_iter()
        .map(|(id, fault)| json!({ "id": id, "fault": fault }));
    json!({ "faults": rows.collect::<Vec<_>>() })
}

fn change(shared: &Arc<Shared>, vault: &str, kind: &str, name: &str, verb: &str) -> anyhow::Result<()> {
    if !shared.vaults.lock().contains_key(&vault.to_ascii_lowercase()) {
        bail!("there is no vault {vault:?}");
    }
    let kind = Kind::ALL.into_iter().find(|known| known.segment() == kind);
    let kind = kind.ok_or_else(|| anyhow!("write secrets, keys or certificates"))?;
    let handle = VaultHandle {
        shared: shared.clone(),
        name: vault.to_owned(),
    };
    match verb {
        "disable" => handle.disable(kind, name)?,
        "delete" => handle.delete(kind, name)?,
        "recover" => handle.recover(kind, name)?,
        "purge" => handle.purge(kind, name)?,
        other => bail!("{other:?} is none of disable, delete, recover, purge"),
    }
    Ok(())
}
