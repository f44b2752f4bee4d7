//! From a bearer token to the pod that holds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use akv2k8s_shared::diagnosis::{Diagnosis, Explanation, case};
use akv2k8s_shared::injection::names::{self, TOKEN_AUDIENCE};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::Api;
use sha2::{Digest, Sha256};

use super::refusal::Refused;
use super::review;
use super::token::claimed_pod;
use crate::cluster::{Cluster, Knowledge};
use crate::server::Peer;
use akv2k8s_program::server::places::Places;

/// How long a pod that was recognised is not asked about again.
const KEPT: Duration = Duration::from_secs(10);
/// How long one that gets nothing is not asked about again: nothing makes its token good but time.
const REFUSED: Duration = Duration::from_secs(5);
/// Questions to the API server at the same time.
const QUESTIONS: usize = 32;
/// Questions for one address at the same time.
const OF_ONE: usize = 8;
/// How long a question may wait for its turn.
const TURN: Duration = Duration::from_secs(5);
/// Pods that are remembered at the same time.
const MOST: usize = 20_000;

/// A pod that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) namespace: String,
    pub(super) service_account: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) standing: Standing,
}

/// How the pod stands in the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was prepared by the injector.
    Prepared,
    /// Nothing in it was.
    Unprepared,
    /// It is gone, or another pod has its name.
    Gone,
}

/// SHA-256 of the token, and the UID of the pod it is bound to.
type Key = ([u8; 32], String);

/// What became of a token: a pod, or why it gets nothing.
type Known = Result<Arc<Caller>, Refused>;

/// Asks the API server who holds a token.
pub(super) struct Authenticator {
    client: kube::Client,
    cluster: Cluster,
    known: Mutex<HashMap<Key, (Instant, Known)>>,
    questions: Places<Peer>,
}

impl Authenticator {
    pub(super) fn new(client: kube::Client, cluster: Cluster) -> Self {
        Self {
            client,
            cluster,
            known: Mutex::default(),
            questions: Places::new(QUESTIONS, OF_ONE),
        }
    }

    /// The pod that `token`, which came from `peer`, is bound to.
    pub(super) async fn authenticate(&self, token: &str, peer: Peer) -> Result<Arc<Caller>, Refused> {
        let uid = claimed_pod(token, Timestamp::now().as_second()).map_err(refused)?;
        let key = (Sha256::digest(token).into(), uid);
        if let Some(known) = self.remembered(&key) {
            return known;
        }
        let turn = tokio::time::timeout(TURN, self.questions.take(peer)).await;
        let _turn = turn.map_err(|_| Refused::busy())?;
        // Whoever sent the same at the same time may have had the answer meanwhile.
        if let Some(known) = self.remembered(&key) {
            return known;
        }
        let asked = Instant::now();
        let known = self.ask(token).await?.map(Arc::new);
        self.keep(key, asked, known.clone());
        known
    }

    fn remembered(&self, key: &Key) -> Option<Known> {
        let known = self.known();
        let (at, known) = known.get(key)?;
        (at.elapsed() < lasts(key, known)).then(|| known.clone())
    }

    /// What becomes of `token`, which may be remembered; else that it could not be found out.
    async fn ask(&self, token: &str) -> Result<Result<Caller, Refused>, Refused> {
        let status = self.review(token).await?;
        let (namespace, service_account, pod, uid) = match subject(status) {
            Ok(subject) => subject,
            Err(why) => return Ok(Err(refused(why))),
        };
        // Its pods are none of ours to look at, and nothing gives us the right.
        if self.cluster.knowledge(&namespace) == Knowledge::NotServed {
            return Ok(Err(Refused::not_served(&namespace)));
        }
        let found = Api::<Pod>::namespaced(self.client.clone(), &namespace)
            .get_opt(&pod)
            .await;
        let found = found.map_err(|error| unanswered(&format!("get pods in namespace '{namespace}'"), &error))?;
        let standing = standing(found.as_ref(), &uid);
        Ok(Ok(Caller {
            namespace,
            service_account,
            pod,
            uid,
            standing,
        }))
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, Refused> {
        let answer = review::ask(&self.client, token).await;
        answer.map_err(|error| unanswered("create tokenreviews", &error))
    }

    fn keep(&self, key: Key, asked: Instant, answer: Known) {
        let mut known = self.known();
        if known.len() >= MOST {
            known.retain(|key, (at, known)| at.elapsed() < lasts(key, known));
        }
        if known.len() < MOST {
            known.insert(key, (asked, answer));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Key, (Instant, Known)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long an answer counts.
fn lasts((_, claimed): &Key, known: &Known) -> Duration {
    match known {
        Ok(caller) if caller.standing == Standing::Prepared && caller.uid == *claimed => KEPT,
        _ => REFUSED,
    }
}

/// Namespace, ServiceAccount, pod and its UID, when the API server vouches for all of them.
fn subject(status: TokenReviewStatus) -> Result<(String, String, String, String), Explanation> {
    if status.authenticated != Some(true) {
        return Err(case::TokenNotRecognised.into());
    }
    // An API server that knows nothing of audiences leaves them out, and would take any token.
    if !status
        .audiences
        .unwrap_or_default()
        .iter()
        .any(|it| it == TOKEN_AUDIENCE)
    {
        return Err(case::TokenOfOtherAudience.into());
    }
    of_user(&status.user.unwrap_or_default()).ok_or_else(|| case::TokenOfNoPod.into())
}

fn of_user(user: &UserInfo) -> Option<(String, String, String, String)> {
    let account = user.username.as_deref()?.strip_prefix("system:serviceaccount:")?;
    let (namespace, account) = account.split_once(':')?;
    let extra = |name: &str| match user.extra.as_ref()?.get(name)?.as_slice() {
        [value] if !value.is_empty() => Some(value.clone()),
        _ => None,
    };
    let pod = extra("authentication.kubernetes.io/pod-name")?;
    let uid = extra("authentication.kubernetes.io/pod-uid")?;
    Some((namespace.to_owned(), account.to_owned(), pod, uid))
}

fn standing(found: Option<&Pod>, uid: &str) -> Standing {
    let Some(pod) = found.filter(|pod| pod.metadata.uid.as_deref() == Some(uid)) else {
        return Standing::Gone;
    };
    let Some(spec) = &pod.spec else {
        return Standing::Unprepared;
    };
    let init_containers = spec.init_containers.as_deref().unwrap_or_default();
    let has_copy = init_containers.iter().any(|it| it.name == names::INIT_CONTAINER);
    let mut containers = init_containers.iter().chain(&spec.containers);
    if has_copy && containers.any(starts_wrapper) {
        Standing::Prepared
    } else {
        Standing::Unprepared
    }
}

fn starts_wrapper(container: &Container) -> bool {
    let first = container.command.as_ref().and_then(|command| command.first());
    first.is_some_and(|it| it == names::WRAPPER)
}

fn refused(why: Explanation) -> Refused {
    Refused::new(
        401,
        Diagnosis::case(why, "The broker does not accept the token that it was sent."),
    )
}

fn unanswered(right: &str, error: &kube::Error) -> Refused {
    let forbidden = matches!(error, kube::Error::Api(status) if status.is_forbidden());
    let what = "The broker could not ask the API server who sends the request.";
    if forbidden {
        let forbidden = case::InjectorForbidden { error, right: &right };
        return Refused::new(503, Diagnosis::case(forbidden, what));
    }
    Refused::new(503, Diagnosis::case(case::InjectorNotAnswered { error }, what)).again(Duration::from_secs(2))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use akv2k8s_shared::diagnosis::Code;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use hyper::http;
    use serde_json::{Value, json};

    use super::*;

    fn review(status: Value) -> Result<(String, String, String, String), Explanation> {
        subject(serde_json::from_value(status).unwrap())
    }

    fn vouched() -> Value {
        json!({
            "authenticated": true,
            "audiences": [TOKEN_AUDIENCE],
            "user": {"username": "system:serviceaccount:shop:cart", "extra": {
                "authentication.kubernetes.io/pod-name": ["cart-1"],
                "authentication.kubernetes.io/pod-uid": ["u-1"],
            }},
        })
    }

    #[test]
    fn who_asks_is_what_the_api_server_vouches_for() {
        let (namespace, account, pod, uid) = review(vouched()).unwrap();
        assert_eq!(
            [namespace, account, pod, uid],
            ["shop", "cart", "cart-1", "u-1"].map(str::to_owned)
        );
    }

    #[test]
    fn nobody_is_recognised_by_half_an_answer() {
        let extra = "/user/extra/authentication.kubernetes.io~1";
        for (path, value, why) in [
            ("/authenticated".to_owned(), json!(false), "does not recognise"),
            ("/audiences".to_owned(), json!([]), "audience"),
            (
                "/audiences".to_owned(),
                json!(["https://kubernetes.default.svc"]),
                "audience",
            ),
            ("/user/username".to_owned(), json!("system:node:n1"), "bound"),
            (format!("{extra}pod-name"), json!([]), "bound"),
            (format!("{extra}pod-uid"), json!([""]), "bound"),
            (format!("{extra}pod-uid"), json!(["u-1", "u-2"]), "bound"),
        ] {
            let mut status = vouched();
            *status.pointer_mut(&path).unwrap() = value;
            assert!(review(status).unwrap_err().cause.contains(why), "{path}");
        }
    }

    /// A token that may be a pod's, for all that can be seen of it.
    fn token(number: usize) -> String {
        let claims = json!({"aud": [TOKEN_AUDIENCE], "exp": i64::MAX, "kubernetes.io": {"pod": {"uid": "u"}}});
        format!("e30.{}.{number}", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_many_tokens_keeps_nobody_else_waiting_and_is_refused_in_time() {
        // An API server that answers nothing: every question stays open.
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let silent = tower::service_fn(move |_: http::Request<kube::client::Body>| {
            counter.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<http::Response<kube::client::Body>, std::io::Error>>()
        });
        let client = kube::Client::new(silent, "default");
        let (cluster, _) = Cluster::watch(&client, None);
        let authenticator = Authenticator::new(client, cluster);
        let peer = |last| Peer([10, 0, 0, last].into());
        let all_of = async |last: u8| {
            let tokens: Vec<_> = (0..20).map(token).collect();
            let all = tokens.iter().map(|it| authenticator.authenticate(it, peer(last)));
            let all = all.map(|one| tokio::time::timeout(TURN * 2, one));
            let answers = futures::future::join_all(all).await;
            answers
                .into_iter()
                .filter_map(Result::ok)
                .map(|it| it.unwrap_err().code)
                .collect::<Vec<_>>()
        };
        let (greedy, other) = tokio::join!(all_of(1), all_of(2));
        for refused in [greedy, other] {
            assert_eq!(refused, vec![Code::BrokerBusy; 20 - OF_ONE]);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 2 * OF_ONE);
    }

    #[test]
    fn a_pod_is_prepared_when_any_container_starts_the_wrapper_that_was_copied() {
        let pod = |init: Value, containers: Value| -> Pod {
            let spec = json!({"initContainers": init, "containers": containers});
            serde_json::from_value(json!({"metadata": {"uid": "u-1"}, "spec": spec})).unwrap()
        };
        let copy = json!({"name": names::INIT_CONTAINER});
        let wrapped = json!({"name": "a", "command": [names::WRAPPER], "args": ["x"]});
        let plain = json!({"name": "b", "command": ["x"]});
        for (init, containers, expected) in [
            (json!([copy]), json!([wrapped, plain]), Standing::Prepared),
            (json!([copy, wrapped]), json!([plain]), Standing::Prepared),
            (json!([copy]), json!([plain]), Standing::Unprepared),
            (json!([]), json!([wrapped]), Standing::Unprepared),
        ] {
            assert_eq!(standing(Some(&pod(init, containers)), "u-1"), expected);
        }
        assert_eq!(
            standing(Some(&pod(json!([copy]), json!([wrapped]))), "u-2"),
            Standing::Gone
        );
        assert_eq!(standing(None, "u-1"), Standing::Gone);
    }
}
