//! The Secret in which all replicas find the same state. It has no owner, so that it outlives the installation.

use std::collections::BTreeMap;
use std::fmt;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::secret::SecretBytes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;

use super::clause;
use super::state::State;

/// The Secret's place.
pub(super) struct Store {
    secrets: Api<Secret>,
    namespace: String,
    name: String,
}

/// What was read.
pub(super) struct Kept {
    pub(super) state: State,
    secret: Secret,
}

impl Store {
    pub(super) fn new(client: kube::Client, namespace: &str, name: &str) -> Self {
        Self {
            secrets: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The state as it is kept now; `None`: there is no Secret.
    pub(super) async fn read(&self) -> Result<Option<Kept>, Box<Diagnosis>> {
        let found = self.secrets.get_opt(&self.name).await;
        let Some(secret) = found.map_err(|error| self.failed("read", "get", &error))? else {
            return Ok(None);
        };
        let part = |name: &str| {
            let data = secret.data.as_ref()?;
            data.get(name).map(|bytes| SecretBytes::new(bytes.0.clone()))
        };
        let state = State::read(part).map_err(|error| self.unusable(error))?;
        Ok(Some(Kept { state, secret }))
    }

    /// There is a Secret, and no authority in it. Others may still know what was there, and pods trust it.
    pub(super) fn emptied(&self) -> Diagnosis {
        self.unusable("there is no certificate authority in it")
    }

    fn unusable(&self, error: impl fmt::Display) -> Diagnosis {
        let Self { namespace, name, .. } = self;
        let what = format!("The injector's certificates in Secret '{name}' of namespace '{namespace}' cannot be used.");
        let error = &clause(error);
        Diagnosis::case(case::SecretUnusable { error, name, namespace }, what)
    }

    /// Makes the Secret. `false`: another replica was faster.
    pub(super) async fn create(&self, state: &State) -> Result<bool, Box<Diagnosis>> {
        let mut secret = Secret::default();
        secret.metadata.name = Some(self.name.clone());
        secret.metadata.labels = Some(BTreeMap::from([(
            "app.kubernetes.io/managed-by".to_owned(),
            "akv2k8s-envinjector".to_owned(),
        )]));
        secret.data = Some(data(state));
        let created = self.secrets.create(&PostParams::default(), &secret).await;
        self.outcome("create", created)
    }

    /// Puts `state` in the place of what was read. `false`: it has changed since.
    pub(super) async fn replace(&self, kept: Kept, state: &State) -> Result<bool, Box<Diagnosis>> {
        // The resource version in it makes the API server refuse to overwrite anything newer.
        let mut secret = kept.secret;
        secret.data = Some(data(state));
        let replaced = self.secrets.replace(&self.name, &PostParams::default(), &secret).await;
        self.outcome("update", replaced)
    }

    fn outcome(&self, verb: &str, outcome: kube::Result<Secret>) -> Result<bool, Box<Diagnosis>> {
        match outcome {
            Ok(_) => Ok(true),
            // A Secret that is gone by now is a change, too.
            Err(kube::Error::Api(status)) if status.code == 409 || status.is_not_found() && verb == "update" => {
                Ok(false)
            }
            Err(error) => Err(self.failed("written", verb, &error).into()),
        }
    }

    fn failed(&self, done: &str, verb: &str, error: &kube::Error) -> Diagnosis {
        let Self { namespace, name, .. } = self;
        let what = format!("Secret '{name}' of namespace '{namespace}' cannot be {done}.");
        of_api(what, &format!("{verb} secrets in namespace '{namespace}'"), error)
    }
}

fn data(state: &State) -> BTreeMap<String, ByteString> {
    let parts = state.parts().into_iter();
    parts
        .map(|(name, bytes)| (name.to_owned(), ByteString(bytes.expose().to_vec())))
        .collect()
}

/// A request that the API server refused, or did not get. `right` is what RBAC has to allow.
pub(super) fn of_api(what: String, right: &str, error: &kube::Error) -> Diagnosis {
    let forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
    if forbidden {
        Diagnosis::case(case::InjectorForbidden { error, right: &right }, what)
    } else {
        Diagnosis::case(case::InjectorNotAnswered { error }, what)
    }
}
