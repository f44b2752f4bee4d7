//! The AKVS of a pod's namespace: from the watch, and from the API server itself where the watch has not shown one that is mentioned. It
//! may have been created a moment before the pod, as when a folder is applied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use akv2k8s_program::server::places::Places;
use akv2k8s_shared::api::AzureKeyVaultSecret;
use futures::future::join_all;
use kube::Api;
use kube::api::{ApiResource, DynamicObject};
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::cluster::Specs;

/// Of how many names the API server is asked for one pod.
const MOST: usize = 16;

/// Why it is not known whether there is an AKVS of a name. A clause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTold {
    /// It may not be asked.
    Forbidden(String),
    /// The API server did not say.
    Silent(String),
}

/// What is known of a namespace's AKVS.
pub(super) struct Seen {
    /// Those that are there.
    pub(super) specs: Arc<Specs>,
    /// Those of which that is not known.
    pub(super) not_told: BTreeMap<String, NotTold>,
}

/// Adds to what is `known` of a namespace those of `mentioned` that are there all the same, asked for with one of `turns` each, until then.
pub(super) async fn seen(
    client: &kube::Client,
    namespace: &str,
    known: Arc<Specs>,
    mentioned: BTreeSet<String>,
    turns: &Places<String>,
    until: Instant,
) -> Seen {
    let missing = mentioned.into_iter().filter(|name| !known.contains_key(name));
    let mut missing: Vec<_> = missing.collect();
    let too_many = missing.split_off(missing.len().min(MOST));
    let resource = ApiResource::erase::<AzureKeyVaultSecret>(&());
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let ask = async |name: String| {
        let asked = async {
            let _turn = turns.take(namespace.to_owned()).await;
            api.get_opt(&name).await
        };
        let answer = told(timeout_at(until, asked).await.ok());
        (name, answer)
    };
    let answers = join_all(missing.into_iter().map(ask)).await;
    let mut seen = Seen {
        specs: known,
        not_told: BTreeMap::new(),
    };
    for name in too_many {
        let why = format!("More than {MOST} that the watch has not shown yet are not asked for at a time");
        seen.not_told.insert(name, NotTold::Silent(why));
    }
    for (name, answer) in answers {
        match answer {
            Ok(Some(spec)) => {
                Arc::make_mut(&mut seen.specs).insert(name, Arc::new(spec));
            }
            Ok(None) => {}
            Err(why) => {
                seen.not_told.insert(name, why);
            }
        }
    }
    seen
}

/// The spec that an answer has in it, `None` where there is no such object; no answer at all is one that did not come in time.
fn told(answer: Option<Result<Option<DynamicObject>, kube::Error>>) -> Result<Option<Value>, NotTold> {
    match answer {
        None => Err(NotTold::Silent("The API server did not answer in time".to_owned())),
        Some(Ok(found)) => Ok(found.map(|object| object.data["spec"].clone())),
        Some(Err(kube::Error::Api(status))) if status.is_forbidden() => {
            Err(NotTold::Forbidden(kube::Error::Api(status).to_string()))
        }
        Some(Err(error)) => Err(NotTold::Silent(error.to_string())),
    }
}
