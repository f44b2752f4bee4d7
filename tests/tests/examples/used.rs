//! Which test uses which example, for all of them. That the test is there and its source names the file is all that is looked at here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::bed::path;
use crate::there::is_there;

/// Files of one folder below `examples`.
struct Used {
    folder: &'static str,
    files: &'static [&'static str],
    /// As pages name tests.
    by: &'static str,
    /// Where the test, or what it stands on, takes them from: a file below the root; the test's own unless it is said.
    named_in: Option<&'static str>,
}

const fn used(folder: &'static str, files: &'static [&'static str], by: &'static str) -> Used {
    Used {
        folder,
        files,
        by,
        named_in: None,
    }
}

impl Used {
    const fn named_in(self, file: &'static str) -> Self {
        Self {
            named_in: Some(file),
            ..self
        }
    }

    /// Why this is not so, if it is not.
    fn trouble(&self) -> Vec<String> {
        let Some((suite, test)) = self.by.split_once(".rs::") else {
            return vec![format!("{} names no test", self.by)];
        };
        let mut trouble = Vec::new();
        if !is_there(suite, test) {
            trouble.push(format!("there is no test {}", self.by));
        }
        let own = format!("tests/tests/{suite}.rs");
        let source = self.named_in.unwrap_or(&own);
        let content = fs::read_to_string(root().join(source)).unwrap_or_default();
        let is_named = |file: &&&str| {
            let from_folder = format!("examples/{}", self.folder);
            content.contains(&format!("{}/{file}", self.folder))
                || (content.contains(&from_folder) && content.contains(&format!("\"{file}\"")))
        };
        let missing = self.files.iter().filter(|it| !is_named(it));
        trouble.extend(missing.map(|file| format!("{source} does not name {}/{file}", self.folder)));
        trouble
    }
}

const IDENTITY: &str = "examples/identity.rs::\
    each_way_to_become_somebody_reads_the_vault_in_a_namespace_with_the_standard_it_is_said_to_meet";
const TENANTS: &str = "isolation/tenants.rs::\
    a_namespace_that_names_anothers_identity_gets_nothing_and_with_its_own_follows_the_vault";
const INJECTED: &str = "injector_node/examples.rs::every_example_of_injection_starts_its_program_with_its_values";
const EMULATOR: &str =
    "chart_node/emulator.rs::a_cluster_whose_azure_is_the_emulator_gets_its_first_secret_and_its_first_variable";
const EXTERNAL_SECRETS: &str =
    "docs/commands/external_secrets.rs::what_external_secrets_wrote_is_left_alone_then_taken_over_as_the_same_object";

const USED: &[Used] = &[
    used("argocd", &["health.lua"], "health.rs::ready_is_current_and_healthy"),
    used("emulator", &["services.yaml", "state.yaml", "values.yaml"], EMULATOR).named_in("docs/quick-start.md"),
    used(
        "env-injection",
        &[
            "01-secret.yaml",
            "02-image-entrypoint.yaml",
            "03-certificate.yaml",
            "04-signing-key.yaml",
            "05-multi-key-value-secret.yaml",
            "06-pfx-in-secret.yaml",
            "07-env-from.yaml",
            "08-init-container.yaml",
        ],
        INJECTED,
    ),
    used("identity", &["db-password.yaml"], IDENTITY),
    used("identity/azure-json", &["namespace.yaml", "values.yaml"], IDENTITY),
    used("identity/client-certificate", &["values.yaml"], IDENTITY),
    used(
        "identity/managed-identity",
        &["values-user-defined-msi.yaml", "values.yaml"],
        IDENTITY,
    ),
    used(
        "identity/pod-identity",
        &["identity.yaml", "values-exception.yaml", "values.yaml"],
        IDENTITY,
    ),
    used("identity/service-principal", &["values.yaml"], IDENTITY),
    used(
        "identity/workload-identity",
        &["values-without-webhook.yaml", "values.yaml"],
        IDENTITY,
    ),
    used(
        "injector",
        &["app.yaml"],
        "examples/sync.rs::the_application_beside_them_gets_its_value_from_the_env_injector",
    ),
    used("injector", &["deployment.yaml"], INJECTED).named_in("tests/src/installation.rs"),
    used(
        "injector",
        &["guard.yaml"],
        "webhook/guard.rs::with_failure_policy_ignore_no_pod_starts_with_a_reference_for_a_value",
    ),
    used("injector", &["namespace.yaml"], IDENTITY),
    used(
        "injector",
        &["webhook.yaml"],
        "webhook/injection.rs::a_pod_is_prepared_even_where_only_restricted_pods_may_be",
    )
    .named_in("tests/tests/webhook/bed.rs"),
    used(
        "install",
        &["controller-policy.yaml"],
        "controller/claims.rs::a_foreign_secret_is_adopted_only_on_request",
    )
    .named_in("tests/src/stack/mod.rs"),
    used(
        "install",
        &["controller-rbac.yaml"],
        "controller/rights.rs::a_replica_that_may_not_read_the_lease_names_the_right_and_starts_once_it_has_it",
    ),
    used(
        "install",
        &["crd-upgrade-rbac.yaml"],
        "controller/definition.rs::an_older_definition_is_replaced_and_a_newer_one_is_left_alone",
    ),
    used(
        "install",
        &["envinjector-rbac.yaml"],
        "broker/identities.rs::what_a_service_account_may_read_is_given_and_nobody_elses_request_is_answered_with_it",
    )
    .named_in("tests/src/hardened.rs"),
    used(
        "install",
        &["namespace-labels-rbac.yaml"],
        "grants/labels.rs::namespaces_are_watched_only_for_a_selector_and_a_missing_right_is_told_and_heals",
    ),
    used(
        "install",
        &["one-namespace-rbac.yaml"],
        "controller/rights.rs::a_controller_of_one_namespace_needs_no_cluster_wide_right",
    ),
    used(
        "install",
        &["without-watching-secrets-rbac.yaml"],
        "controller/rights.rs::without_list_and_watch_of_secrets_an_edit_is_put_right_with_the_next_change",
    ),
    used(
        "isolation",
        &["01-cluster.yaml", "02-namespace.yaml", "03-team.yaml"],
        TENANTS,
    )
    .named_in("tests/tests/isolation/bed.rs"),
    used(
        "migration/csi",
        &["akvs.yaml", "app.yaml", "secret-provider-class.yaml"],
        "docs/commands/csi.rs::the_example_takes_the_drivers_secrets_over_and_they_outlive_their_replica_set",
    )
    .named_in("examples/migration/csi/README.md"),
    used(
        "migration/csi",
        &["app-before.yaml"],
        "docs/commands/csi.rs::the_example_takes_the_drivers_secrets_over_and_they_outlive_their_replica_set",
    ),
    used(
        "migration/default-azure-credential",
        &["1-secret-from-vault.yaml", "2-workload-identity.yaml", "before.yaml"],
        "doctor/migration.rs::what_doctor_says_at_each_step_from_a_service_principal_to_workload_identity",
    ),
    used(
        "migration/external-secrets",
        &["akvs.yaml", "external-secret.yaml"],
        EXTERNAL_SECRETS,
    )
    .named_in("examples/migration/external-secrets/README.md"),
    used(
        "mistakes",
        &["misspelt-object.yaml"],
        "examples/sync.rs::a_misspelt_object_is_told_with_the_name_that_is_meant",
    ),
    used(
        "mistakes/identity",
        &[
            "annotation-missing.yaml",
            "annotation-quoted.yaml",
            "audience-wrong.yaml",
            "client-id-differs.yaml",
            "client-secret-id.yaml",
            "label-on-deployment.yaml",
            "label-on-service-account.yaml",
            "pod-older-than-set-up.yaml",
            "secret-besides-workload-identity.yaml",
            "set-up-by-hand.yaml",
            "tenant-empty.yaml",
            "token-elsewhere.yaml",
            "variable-quoted.yaml",
            "variables-partial.yaml",
        ],
        "doctor/pods.rs::each_mistake_of_the_examples_is_named_and_what_is_whole_gives_no_finding",
    ),
    used(
        "sync",
        &[
            "01-secret.yaml",
            "02-secret-types.yaml",
            "03-certificate-tls.yaml",
            "04-certificate-public.yaml",
            "05-key.yaml",
            "06-multi-key-value-secret.yaml",
            "07-two-to-one.yaml",
            "08-secret-to-configmap.yaml",
            "09-pfx-in-secret.yaml",
        ],
        "examples/sync.rs::each_example_writes_just_what_it_says",
    ),
    used(
        "tenancy/by-label",
        &["secrets.yaml", "values.yaml"],
        "examples/tenancy.rs::a_controller_of_labelled_objects_leaves_all_others_alone",
    ),
    used(
        "tenancy/grants",
        &["denied.yaml", "teams.yaml", "values.yaml"],
        "examples/tenancy.rs::grants_give_each_team_its_own_objects_of_a_shared_vault_and_deny_the_other_teams",
    ),
    used(
        "tenancy/one-namespace",
        &["secrets.yaml", "values.yaml"],
        "examples/tenancy.rs::a_controller_of_one_namespace_leaves_others_alone_and_has_no_right_outside_it",
    ),
    used(
        "terraform",
        &["main.tf"],
        "docs/terraform.rs::subjects_and_audience_are_those_of_the_charts_and_the_examples_service_accounts",
    ),
];

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Every file below `folder` but pages, by its path below `examples`.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(path(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let below = [folder, &name]
            .iter()
            .filter(|it| !it.is_empty())
            .copied()
            .collect::<Vec<_>>()
            .join("/");
        if entry.path().is_dir() {
            found.extend(files(&below));
        } else if Path::new(&name).extension().is_none_or(|it| it != "md") {
            found.insert(below);
        }
    }
    found
}

#[test]
fn every_file_is_used_by_a_test() {
    let listed: Vec<_> = USED
        .iter()
        .flat_map(|it| it.files.iter().map(|file| format!("{}/{file}", it.folder)))
        .collect();
    let there = files("");
    assert_eq!(listed.iter().cloned().collect::<BTreeSet<_>>(), there);
    assert_eq!(listed.len(), there.len(), "one is listed twice");
    let trouble: Vec<_> = USED.iter().flat_map(Used::trouble).collect();
    assert!(trouble.is_empty(), "{trouble:#?}");
    println!("{} files", there.len());
}

#[test]
fn a_test_that_is_gone_and_a_file_that_is_not_named_are_noticed() {
    let gone = used("sync", &["01-secret.yaml"], "examples/sync.rs::nothing").trouble();
    assert_eq!(gone, ["there is no test examples/sync.rs::nothing"]);
    let other = used(
        "sync",
        &["10-new.yaml"],
        "examples/used.rs::every_file_is_used_by_a_test",
    )
    .named_in("README.md");
    assert_eq!(other.trouble(), ["README.md does not name sync/10-new.yaml"]);
}
