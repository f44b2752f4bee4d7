//! The fields of AzureKeyVaultSecret, from its definition.

use std::fmt::Write;

use akv2k8s_shared::api::{condition, crd};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{JSONSchemaProps, JSONSchemaPropsOrArray};

use super::{head, line};

/// A field, with where it is: `spec.vault.name`.
struct Field<'s> {
    path: String,
    is_required: bool,
    schema: &'s JSONSchemaProps,
}

/// The page.
pub(super) fn page() -> String {
    let crd = crd();
    let (names, versions) = (&crd.spec.names, &crd.spec.versions);
    let short: Vec<_> = names.short_names.iter().flatten().map(|it| format!("`{it}`")).collect();
    let categories: Vec<_> = names.categories.iter().flatten().map(|it| format!("`{it}`")).collect();
    let mut page = String::from(HEAD);
    // Writing to a String cannot fail, here and below.
    let _ = write!(
        page,
        "\n{}{}{}{}{}{}",
        head(&["", ""]),
        line(&["group", &format!("`{}`", crd.spec.group)]),
        line(&["kind", &format!("`{}`, in a namespace", names.kind)]),
        line(&[
            "names for kubectl",
            &format!("`{}`, {}", names.plural, short.join(", "))
        ]),
        line(&["categories", &categories.join(", ")]),
        line(&[
            "versions",
            &versions
                .iter()
                .map(|it| { format!("`{}`{}", it.name, if it.storage { " (stored)" } else { "" }) })
                .collect::<Vec<_>>()
                .join(", ")
        ]),
    );
    let schema = versions
        .first()
        .and_then(|it| it.schema.as_ref()?.open_api_v3_schema.as_ref());
    for part in ["spec", "status"] {
        let Some(schema) = schema.and_then(|it| it.properties.as_ref()?.get(part)) else {
            continue;
        };
        let mut fields = Vec::new();
        below(part, schema, &mut fields);
        let _ = write!(page, "\n## {part}\n\n{}", table(&fields));
        let root = Field {
            path: part.to_owned(),
            is_required: true,
            schema,
        };
        page.push_str(&rules(std::iter::once(&root).chain(&fields)));
    }
    page.push_str(&conditions());
    page.push_str("\n## Columns\n\nWhat `kubectl get` shows, by version; kubectl prefers `v1`.\n\n");
    let lines = versions.iter().map(|version| {
        let columns = version.additional_printer_columns.iter().flatten();
        let columns: Vec<_> = columns.map(|it| format!("{} (`{}`)", it.name, it.json_path)).collect();
        line(&[&format!("`{}`", version.name), &columns.join(", ")])
    });
    page + &head(&["version", "columns"]) + &lines.collect::<String>()
}

/// Collects what is below `schema`.
fn below<'s>(path: &str, schema: &'s JSONSchemaProps, fields: &mut Vec<Field<'s>>) {
    for (name, property) in schema.properties.iter().flatten() {
        let path = format!("{path}.{name}");
        let is_required = schema.required.iter().flatten().any(|it| it == name);
        fields.push(Field {
            path: path.clone(),
            is_required,
            schema: property,
        });
        below(&path, property, fields);
        if let Some(JSONSchemaPropsOrArray::Schema(items)) = &property.items {
            below(&format!("{path}[]"), items, fields);
        }
    }
}

fn table(fields: &[Field<'_>]) -> String {
    let lines = fields.iter().map(|field| {
        line(&[
            &format!("`{}`", field.path),
            &type_of(field.schema),
            if field.is_required { "yes" } else { "" },
            &meaning(field.schema),
        ])
    });
    head(&["field", "type", "required", "meaning"]) + &lines.collect::<String>()
}

fn type_of(schema: &JSONSchemaProps) -> String {
    let own = schema.format.as_deref().or(schema.type_.as_deref()).unwrap_or("any");
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => format!("list of {}", type_of(items)),
        _ => own.to_owned(),
    }
}

/// The description, and what else the schema says that is no rule.
fn meaning(schema: &JSONSchemaProps) -> String {
    let mut parts: Vec<_> = schema.description.clone().into_iter().collect();
    if let Some(values) = &schema.enum_ {
        let values: Vec<_> = values
            .iter()
            .filter_map(|it| Some(format!("`{}`", it.0.as_str()?)))
            .collect();
        parts.push(format!("One of {}.", values.join(", ")));
    }
    if let Some(default) = &schema.default {
        parts.push(format!("Default: `{}`.", default.0));
    }
    if let Some(pattern) = &schema.pattern {
        parts.push(format!("Pattern: `{pattern}`."));
    }
    if let Some(most) = schema.max_items {
        parts.push(format!("{most} at most."));
    }
    parts.join(" ")
}

fn rules<'f>(fields: impl Iterator<Item = &'f Field<'f>>) -> String {
    let mut text = String::new();
    for field in fields {
        for rule in field.schema.x_kubernetes_validations.iter().flatten() {
            let message = rule.message.as_deref().unwrap_or_default();
            let _ = write!(
                text,
                "- `{}`: {message}\n\n  ```cel\n  {}\n  ```\n",
                field.path, rule.rule
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\n### Rules\n\nChecked by the API server (CEL). The words are what `kubectl apply` says when a rule is broken.\n\n{text}"
    )
}

fn conditions() -> String {
    let mut text = format!("\n## Conditions\n\n{}", head(&["type", "status", "meaning"]));
    for (type_, status, meaning) in [
        (
            condition::READY,
            "`True`, `False`",
            "`True`: every output equals the vault's object",
        ),
        (
            condition::RECONCILING,
            "`True` or absent",
            "a failure that may pass by itself is tried again soon",
        ),
        (
            condition::STALLED,
            "`True` or absent",
            "somebody has to do something; it is tried again slowly, an illegal spec when it is edited",
        ),
    ] {
        text.push_str(&line(&[&format!("`{type_}`"), status, meaning]));
    }
    text.push_str(REASONS);
    text
}

const REASONS: &str = "
Reasons: `Synced`, `NoOutput` (the spec names no output any more), or one of the codes of [troubleshooting.md](../troubleshooting.md).
";

const HEAD: &str = "\
<!-- Generated by `cargo testbed docs` from the types in shared/src/api: edit the texts there. -->
# AzureKeyVaultSecret, field by field

What the fields do together: [azurekeyvaultsecret.md](../azurekeyvaultsecret.md). All versions have the same fields.
";
