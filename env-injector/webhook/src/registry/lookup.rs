//! From a question about an image to its answer: with which credentials, in which order, for how long.

use std::time::Duration;

use akv2k8s_shared::diagnosis::{Diagnosis, case};
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::Limits;
use akv2k8s_shared::identity::Provider;
use async_trait::async_trait;
use kube::Client as Kube;

use super::acr;
use super::cache::Cache;
use super::client::{Client, Session, Ways};
use super::credentials::{Fingerprint, Login};
use super::digest::Digest;
use super::manifest::Manifest;
use super::name::{ImageName, Repository, Version};
use super::platform;
use super::problem::{self, Problem};
use super::pull_secrets::{self, Found};
use super::settings::Settings;
use crate::admission::{ImageConfig, ImageLookup, ImageQuery, LookupError};
use akv2k8s_program::server::places::{Place, Places};

/// A tag may move; what it was is believed for so long.
const TAG_KEEPS: Duration = Duration::from_mins(1);
/// The same for pods that ask their kubelets to look each time.
const TAG_KEEPS_WHEN_ALWAYS_PULLED: Duration = Duration::from_secs(5);
/// A digest never moves; but credentials are taken back.
const DIGEST_KEEPS: Duration = Duration::from_hours(1);
/// Most logins that are tried for one image.
const MOST_LOGINS: usize = 8;
/// No look-up goes on for longer, even if nobody waits for it any more.
const LONGEST: Duration = Duration::from_mins(1);

/// Pods' pull secrets that are read at a time: in all, and for one namespace.
const READING: usize = 32;
const READING_OF_ONE: usize = 8;
/// Images that are asked for at a time: in all, and for one namespace.
const ASKING: usize = 64;
const ASKING_OF_ONE: usize = 16;

/// Looks images up in their registries.
pub struct Registries {
    client: Client,
    /// The same with everybody's authorities alone, for what this program's own identity reads.
    azure: Client,
    /// Turns to read pull secrets, by namespace.
    reading: Places<String>,
    /// Turns to ask registries, by namespace.
    asking: Places<String>,
    settings: Settings,
    kube: Kube,
    identity: Option<Provider>,
    answers: Cache<Question, Answer>,
    images: Cache<Pinned, Answer>,
}

type Answer = Result<ImageConfig, Problem>;

/// An image, and all that its answer depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    name: ImageName,
    architectures: Vec<&'static str>,
    readers: Vec<Fingerprint>,
}

/// An image that cannot change, read by somebody.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Pinned {
    repository: Repository,
    digest: Digest,
    architectures: Vec<&'static str>,
    reader: Reader,
}

/// As whom an image is read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Reader {
    /// The pod's credentials.
    Pod(Fingerprint),
    /// This program itself.
    Own,
    /// Whoever comes along.
    Anyone,
}

impl Registries {
    /// Asks nobody yet. `kube` reads pull secrets, `identity` is this program's own (for Azure Container Registry); `environment` says by
    /// which proxies and authorities registries are reached.
    ///
    /// # Errors
    /// Proxy or certificate authorities cannot be used.
    pub fn new(
        environment: &Environment,
        settings: Settings,
        kube: Kube,
        identity: Option<Provider>,
    ) -> Result<Self, Box<Diagnosis>> {
        let limits = Limits {
            connect: Duration::from_secs(3),
            exchange: settings.deadline,
            idle_per_host: 4,
            ..Limits::default()
        };
        let client = Client {
            ways: Ways::new(environment, &limits, settings.authorities.as_deref())?,
            insecure: settings.insecure.clone(),
            local: settings.local.clone(),
        };
        // Authorities that somebody named for registries of his own do not vouch for Azure's.
        let azure = Client {
            ways: Ways::new(environment, &limits, None)?,
            ..client.clone()
        };
        Ok(Self {
            client,
            azure,
            reading: Places::new(READING, READING_OF_ONE),
            asking: Places::new(ASKING, ASKING_OF_ONE),
            identity: identity.filter(|_| settings.acr_identity),
            settings,
            kube,
            answers: Cache::new(),
            images: Cache::new(),
        })
    }

    /// With what the image may be read: the pod's credentials that are meant for it, the program's own identity, nothing at all.
    async fn readers(&self, query: &ImageQuery, repository: &Repository) -> (Vec<Login>, Vec<String>) {
        let Found { keyring, mut notes } = if self.settings.pull_secrets {
            pull_secrets::read(&self.kube, query).await
        } else {
            let notes =
                vec!["This installation does not read pull secrets (IMAGE_LOOKUP_PULL_SECRETS=false).".to_owned()];
            Found {
                notes,
                ..Found::default()
            }
        };
        let mut logins = keyring.matching(repository);
        if logins.len() > MOST_LOGINS {
            logins.truncate(MOST_LOGINS);
            notes.push(format!("Only the first {MOST_LOGINS} logins for it were tried."));
        }
        (logins, notes)
    }

    /// A place to ask a registry, for the namespace of the pod; `None`: there was none for too long.
    async fn place(&self, query: &ImageQuery) -> Option<Place> {
        let place = self.asking.take(query.namespace.clone());
        tokio::time::timeout(self.settings.deadline / 2, place).await.ok()
    }

    async fn look_up(&self, query: &ImageQuery, name: &ImageName) -> Result<ImageConfig, Diagnosis> {
        let turn = self.reading.take(query.namespace.clone()).await;
        let (logins, mut notes) = self.readers(query, &name.repository).await;
        drop(turn);
        let architectures = platform::architectures(&query.node_selector, &query.node_affinity);
        let question = Question {
            name: name.clone(),
            architectures: architectures.clone(),
            readers: logins.iter().map(Login::fingerprint).collect(),
        };
        let oldest = match (&name.version, query.pull_policy.as_deref()) {
            (Version::Digest(_), _) => DIGEST_KEEPS,
            (Version::Tag(_), Some("Always")) => TAG_KEEPS_WHEN_ALWAYS_PULLED,
            (Version::Tag(_), _) => TAG_KEEPS,
        };
        let keep = move |answer: &Answer| answer.as_ref().map_or_else(Problem::keeps, |_| oldest);
        let search = Search {
            client: self.client.clone(),
            azure: self.azure.clone(),
            images: self.images.clone(),
            name: name.clone(),
            architectures,
        };
        let answer = match self.answers.known(&question, oldest).await {
            known @ Some(_) => known,
            // Each asker waits for a place of his own: who asks for the same from elsewhere does not wait for it.
            None => match self.place(query).await {
                None => Some(Err(Problem::Busy)),
                Some(place) => {
                    let work = Box::pin(search.by_any(logins, self.identity.clone()));
                    let work = async move {
                        let _place = place;
                        let answer = tokio::time::timeout(LONGEST, work).await;
                        answer.unwrap_or_else(|_| Err(late(LONGEST)))
                    };
                    self.answers.get(question, oldest, keep, work).await
                }
            },
        };
        let broken = || Err(Problem::Unavailable("the look-up ended without an answer".to_owned()));
        answer.unwrap_or_else(broken).map_err(|problem| {
            notes.sort();
            problem.explain(&query.image, &name.repository, &notes)
        })
    }
}

#[async_trait]
impl ImageLookup for Registries {
    async fn config(&self, query: &ImageQuery) -> Result<ImageConfig, LookupError> {
        let name = ImageName::parse(&query.image)
            .map_err(|flaw| LookupError(Box::new(problem::no_name(&query.image, flaw))))?;
        let deadline = self.settings.deadline;
        let found = tokio::time::timeout(deadline, self.look_up(query, &name))
            .await
            .unwrap_or_else(|_| Err(late(deadline).explain(&query.image, &name.repository, &[])));
        found
            .inspect(|found| tracing::debug!(image = %name, words = found.entrypoint.len() + found.cmd.len(), "image looked up"))
            .map_err(|diagnosis| LookupError(Box::new(diagnosis)))
    }
}

fn late(deadline: Duration) -> Problem {
    Problem::Unavailable(format!("it was not found out within {deadline:?}"))
}

/// One look-up on its way. It goes on when the pod's author does not wait for it, so that the next attempt finds the answer.
struct Search {
    client: Client,
    azure: Client,
    images: Cache<Pinned, Answer>,
    name: ImageName,
    architectures: Vec<&'static str>,
}

impl Search {
    /// Tries one reader after the other, until one may read the image.
    async fn by_any(self, logins: Vec<Login>, identity: Option<Provider>) -> Answer {
        let mut refused = None;
        for login in logins {
            match self
                .by(&self.client, Reader::Pod(login.fingerprint()), Some(login))
                .await
            {
                Err(problem) if problem.is_about_credentials() => refused = Some(problem),
                answer => return answer,
            }
        }
        let mut note = None;
        if let Some(provider) = identity {
            match acr::login(&self.azure, &provider, &self.name.repository).await {
                acr::Outcome::NotOurs => {}
                acr::Outcome::Nothing(why) => note = Some(why),
                acr::Outcome::Login(login) => match self.by(&self.azure, Reader::Own, Some(login)).await {
                    Err(problem) if problem.is_about_credentials() => refused = Some(problem),
                    answer => return answer,
                },
            }
        }
        let answer = self.by(&self.client, Reader::Anyone, None).await;
        match (answer, refused) {
            // What the registry said to somebody it knows tells more than what it says to everybody.
            (Err(problem), Some(refused)) if problem.is_about_credentials() => Err(refused),
            (Err(Problem::Denied(detail)), None) => Err(Problem::Denied(match note {
                Some(note) => format!("{detail}. {}", note.trim_end_matches('.')),
                None => detail,
            })),
            (answer, _) => answer,
        }
    }

    async fn by(&self, client: &Client, reader: Reader, login: Option<Login>) -> Answer {
        let mut session = Session::new(client.clone(), self.name.repository.clone(), login);
        let digest = match &self.name.version {
            Version::Digest(digest) => digest.clone(),
            Version::Tag(tag) => session.resolve(tag).await?,
        };
        let pinned = Pinned {
            repository: self.name.repository.clone(),
            digest: digest.clone(),
            architectures: self.architectures.clone(),
            reader,
        };
        let keep = |answer: &Answer| answer.as_ref().map_or_else(Problem::keeps, |_| DIGEST_KEEPS);
        let architectures = self.architectures.clone();
        let work = async move { program(&mut session, &digest, &architectures).await };
        let answer = self.images.get(pinned, DIGEST_KEEPS, keep, work).await;
        answer.unwrap_or_else(|| Err(Problem::Unavailable("the look-up ended without an answer".to_owned())))
    }
}

/// What the image of a digest starts on any of `architectures`.
async fn program(session: &mut Session, digest: &Digest, architectures: &[&str]) -> Answer {
    if architectures.is_empty() {
        return Err(Problem::Platform(case::ArchitectureExcluded.into()));
    }
    let index = match session.manifest(digest).await? {
        Manifest::Image(config) => return session.config(&config).await,
        Manifest::Index(index) => index,
    };
    let mut found: Option<ImageConfig> = None;
    for digest in index.fitting(architectures) {
        let Manifest::Image(config) = session.manifest(digest).await? else {
            return Err(Problem::Unusable("its list of images contains another list".to_owned()));
        };
        let config = session.config(&config).await?;
        if found.as_ref().is_some_and(|known| *known != config) {
            let architectures = &architectures.join(" and ");
            return Err(Problem::Platform(case::ProgramsDiffer { architectures }.into()));
        }
        found = Some(config);
    }
    found.ok_or_else(|| {
        let none = case::NoImageFits {
            architectures: &architectures.join(" or "),
            platforms: &index.platforms(),
        };
        Problem::Platform(none.into())
    })
}
