//! `/certificates/issuers`: names under which certificates are signed. All of them stand for the emulator's authority.

use serde_json::{Value, json};

use super::error::VaultError;
use super::service::Context;
use super::{Ids, Vault};
use crate::emulator::http::Reply;
use crate::emulator::operation::Action;

/// Whether a policy may name this issuer.
pub(super) fn check(vault: &Vault, name: &str) -> Result<(), VaultError> {
    if name == "Self" || vault.issuers.contains_key(name) {
        return Ok(());
    }
    let text = if name == "Unknown" {
        "The issuer 'Unknown' (a request signed elsewhere and merged) is not offered by this emulator.".to_owned()
    } else {
        format!("The certificate issuer {name} was not found in this key vault.")
    };
    Err(VaultError::bad_parameter(text))
}

pub(super) fn handle(context: &Context<'_>, vault: &mut Vault) -> Result<Reply, VaultError> {
    let name = context.name();
    let found = |vault: &Vault| {
        vault
            .issuers
            .get(name)
            .cloned()
            .ok_or_else(|| VaultError::issuer_not_found(name))
    };
    match context.route.action {
        Action::IssuerList => {
            let item = |(name, issuer): (&String, &Value)| json!({ "id": id(&context.ids, name), "provider": issuer["provider"] });
            let items: Vec<Value> = vault.issuers.iter().map(item).collect();
            Ok(Reply::ok(&json!({ "value": items, "nextLink": null })))
        }
        Action::IssuerGet => Ok(bundle(context, &found(vault)?)),
        Action::IssuerSet => {
            let issuer: Value = context.body()?;
            vault.issuers.insert(name.to_owned(), issuer.clone());
            Ok(bundle(context, &issuer))
        }
        Action::IssuerDelete => {
            let issuer = found(vault)?;
            vault.issuers.remove(name);
            Ok(bundle(context, &issuer))
        }
        _ => Err(context.unsupported()),
    }
}

fn id(ids: &Ids<'_>, name: &str) -> String {
    format!("{}/certificates/issuers/{name}", ids.base)
}

fn bundle(context: &Context<'_>, issuer: &Value) -> Reply {
    let mut json = issuer.clone();
    json["id"] = id(&context.ids, context.name()).into();
    Reply::ok(&json)
}
