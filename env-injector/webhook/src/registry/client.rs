//! The reading half of a registry's API.
//!
//! Format: <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pull>; tokens:
//! <https://distribution.github.io/distribution/spec/auth/token/>.

use std::collections::BTreeSet;

use akv2k8s_shared::diagnosis::Diagnosis;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::http::{Failure, HttpClient, Limits, Response};
use akv2k8s_shared::secret::SecretBytes;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use super::challenge::{self, Challenge};
use super::credentials::Login;
use super::digest::Digest;
use super::host_port::HostPort;
use super::manifest::{self, Descriptor, Manifest};
use super::name::Repository;
use super::problem::Problem;
use crate::admission::ImageConfig;

/// Most redirects that are followed for one request.
const MOST_REDIRECTS: usize = 3;
/// Longest token that is taken, in bytes: it travels in a header.
const LONGEST_TOKEN: usize = 16 << 10;
/// The ports of addresses that name none.
const HTTP: u16 = 80;
const HTTPS: u16 = 443;
/// Who asks.
pub(super) const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("akv2k8s-envinjector/", env!("CARGO_PKG_VERSION")));

/// How registries are reached. Cheap to clone.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) ways: Ways,
    /// Registries that are asked without TLS.
    pub(super) insecure: BTreeSet<HostPort>,
    /// Registries that may be on this machine or its link.
    pub(super) local: BTreeSet<HostPort>,
}

/// Two ways with the same trust. Cheap to clone.
#[derive(Clone)]
pub(super) struct Ways {
    /// For whatever pods and registries name.
    pub(super) outward: HttpClient,
    /// For what the installation lists.
    pub(super) listed: HttpClient,
}

impl Ways {
    /// `authorities`: PEM, believed besides all others.
    ///
    /// # Errors
    /// Proxy or certificate authorities cannot be used.
    pub(super) fn new(
        environment: &Environment,
        limits: &Limits,
        authorities: Option<&[u8]>,
    ) -> Result<Self, Box<Diagnosis>> {
        let listed = match authorities {
            Some(pem) => HttpClient::with_authorities(environment, limits.clone(), pem)?,
            None => HttpClient::from_environment(environment, limits.clone())?,
        };
        Ok(Self {
            outward: HttpClient::outward(environment, limits.clone(), authorities)?,
            listed,
        })
    }
}

/// One repository, read by somebody. What the registry gave for the login is kept from request to request.
pub(super) struct Session {
    client: Client,
    repository: Repository,
    login: Option<Login>,
    authorization: Option<HeaderValue>,
}

impl Session {
    /// Nothing is asked yet. Without a `login` it is whoever comes along, and so it is at a registry without TLS: whoever sits on the
    /// way to it could name a token service of his own.
    pub(super) fn new(client: Client, repository: Repository, login: Option<Login>) -> Self {
        let login = login.filter(|_| !client.is_plain(&repository));
        Self {
            client,
            repository,
            login,
            authorization: None,
        }
    }

    /// What `tag` is now. By HEAD, which registries with a limit do not count.
    pub(super) async fn resolve(&mut self, tag: &str) -> Result<Digest, Problem> {
        let path = format!("manifests/{tag}");
        let head = self.ask(&Method::HEAD, &path).await?;
        if head.status == StatusCode::OK
            && let Some(digest) = head.headers.get("docker-content-digest")
            && let Some(digest) = digest.to_str().ok().and_then(Digest::parse)
        {
            return Ok(digest);
        }
        // Not every registry answers HEAD, or tells the digest.
        let body = content(self.ask(&Method::GET, &path).await?)?;
        Ok(Digest::of(&body))
    }

    /// The manifest that `digest` names.
    pub(super) async fn manifest(&mut self, digest: &Digest) -> Result<Manifest, Problem> {
        let body = content(self.ask(&Method::GET, &format!("manifests/{digest}")).await?)?;
        if !digest.names(&body) {
            return Err(Problem::Unusable(
                "its manifest is not what its digest names".to_owned(),
            ));
        }
        Manifest::parse(&body).map_err(|flaw| Problem::Unusable(flaw.to_owned()))
    }

    /// The configuration that an image's manifest names.
    pub(super) async fn config(&mut self, config: &Descriptor) -> Result<ImageConfig, Problem> {
        let unusable = |flaw: &str| Problem::Unusable(flaw.to_owned());
        let body = content(self.ask(&Method::GET, &format!("blobs/{}", config.digest)).await?)?;
        if body.len() != config.size || !config.digest.names(&body) {
            return Err(unusable("its configuration is not what its manifest names"));
        }
        manifest::config(&body).map_err(unusable)
    }

    /// Asks as whoever this is; a first refusal says how to prove it.
    async fn ask(&mut self, method: &Method, path: &str) -> Result<Response, Problem> {
        let registry = self.repository.api();
        let is_plain = self.client.is_plain(&self.repository);
        let scheme = if is_plain { "http" } else { "https" };
        let url = format!("{scheme}://{registry}/v2/{}/{path}", self.repository.path());
        let url = Url::parse(&url).map_err(|error| Problem::Unavailable(format!("{registry}: {error}")))?;
        let answer = self
            .client
            .follow(method, url.clone(), self.authorization.as_ref())
            .await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let challenge = challenge::parse(&answer.headers).map_err(|flaw| Problem::Denied(flaw.to_owned()))?;
        let proof = self.prove(challenge).await?;
        let answer = self.client.follow(method, url, Some(&proof)).await?;
        self.authorization = Some(proof);
        Ok(answer)
    }

    async fn prove(&self, challenge: Challenge) -> Result<HeaderValue, Problem> {
        match (challenge, &self.login) {
            (Challenge::Basic, Some(login)) => authorization(&login.basic()),
            (Challenge::Basic, None) => Err(Problem::Denied(
                "it asks for user and password, and there are none for it".to_owned(),
            )),
            (Challenge::Bearer { realm, service }, login) => {
                let scope = format!("repository:{}:pull", self.repository.path());
                let service = service.iter().map(|service| ("service", service.as_str()));
                let mut url = realm;
                url.query_pairs_mut()
                    .extend_pairs(service.chain([("scope", scope.as_str())]));
                self.client.token(url, login.as_ref()).await
            }
        }
    }
}

impl Client {
    /// Whether the registry of `repository` is asked without TLS.
    fn is_plain(&self, repository: &Repository) -> bool {
        let place = repository.api().parse::<HostPort>();
        place.is_ok_and(|place| place.is_among(&self.insecure, HTTP))
    }

    /// Sends a request and follows redirects: never without TLS but to registries that have none, and with `proof` only to where it was
    /// meant to go.
    async fn follow(&self, method: &Method, start: Url, proof: Option<&HeaderValue>) -> Result<Response, Problem> {
        let origin = start.origin();
        let mut url = start;
        for _ in 0..=MOST_REDIRECTS {
            let proof = proof.filter(|_| url.origin() == origin);
            let answer = self.send(method, &url, proof).await?;
            if answer.status == StatusCode::UNAUTHORIZED && url.origin() != origin {
                // Credentials are for the registry; whom it sends us to has no say in where they go.
                let host = url.host_str().unwrap_or_default();
                return Err(Problem::Denied(format!(
                    "it redirects to {host}, which wants credentials"
                )));
            }
            if !answer.status.is_redirection() {
                return Ok(answer);
            }
            let location = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| url.join(location).ok());
            url = next
                .filter(|next| self.may_follow(next))
                .ok_or_else(|| Problem::Unavailable("it redirects to what is no https address".to_owned()))?;
        }
        Err(Problem::Unavailable(format!(
            "it redirects more than {MOST_REDIRECTS} times"
        )))
    }

    fn may_follow(&self, url: &Url) -> bool {
        let plain = url.scheme() == "http" && leads_to(url, &self.insecure);
        (url.scheme() == "https" || plain) && url.username().is_empty() && url.password().is_none()
    }

    async fn send(&self, method: &Method, url: &Url, proof: Option<&HeaderValue>) -> Result<Response, Problem> {
        let mut request = Request::builder()
            .method(method)
            .uri(url.as_str())
            .header(USER_AGENT, AGENT)
            .header(ACCEPT, manifest::ACCEPT);
        if let Some(proof) = proof {
            request = request.header(AUTHORIZATION, proof);
        }
        let request = request
            .body(Full::new(Bytes::new()))
            .map_err(|error| Problem::Unavailable(error.to_string()))?;
        self.exchange(url, request)
            .await
            .map_err(|failure| Problem::unanswered(&failure))
    }

    /// Sends a request to `url` by the way that is right for it.
    pub(super) async fn exchange(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Response, Failure> {
        let is_listed = leads_to(url, &self.insecure) || leads_to(url, &self.local);
        let way = if is_listed {
            &self.ways.listed
        } else {
            &self.ways.outward
        };
        way.send(request).await
    }

    /// Asks a token service, which is no registry: no redirects.
    async fn token(&self, url: Url, login: Option<&Login>) -> Result<HeaderValue, Problem> {
        #[derive(Deserialize)]
        struct Body<'b> {
            #[serde(borrow, default)]
            token: &'b str,
            #[serde(borrow, default)]
            access_token: &'b str,
        }
        let proof = login.map(|login| authorization(&login.basic())).transpose()?;
        let answer = self.send(&Method::GET, &url, proof.as_ref()).await?;
        let host = url.host_str().unwrap_or_default();
        if matches!(answer.status.as_u16(), 400 | 401 | 403) {
            let whom = login.map_or_else(
                || "whoever comes along".to_owned(),
                |login| format!("the user '{}'", login.user),
            );
            return Err(Problem::Denied(format!(
                "{host} gives no token to {whom} ({})",
                answer.status.as_u16()
            )));
        }
        let body = SecretBytes::new(content(answer)?.into());
        let read: Body<'_> = serde_json::from_slice(body.expose())
            .map_err(|_| Problem::Unavailable(format!("the token service {host} answers with what is no token")))?;
        let token = if read.token.is_empty() {
            read.access_token
        } else {
            read.token
        };
        if token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(Problem::Unavailable(format!(
                "the token service {host} answers without a token"
            )));
        }
        authorization(&Zeroizing::new(format!("Bearer {token}")))
    }
}

/// Whether an address leads to one of `listed`.
fn leads_to(url: &Url, listed: &BTreeSet<HostPort>) -> bool {
    let usual = if url.scheme() == "http" { HTTP } else { HTTPS };
    HostPort::of(url).is_some_and(|place| place.is_among(listed, usual))
}

/// The body of a good answer.
fn content(answer: Response) -> Result<Bytes, Problem> {
    match answer.status.as_u16() {
        200 => Ok(answer.body),
        401 => Err(Problem::Denied("it does not take the credentials (401)".to_owned())),
        403 => Err(Problem::Denied("the credentials are not enough (403)".to_owned())),
        404 => Err(Problem::NotFound),
        429 => Err(Problem::Throttled),
        status => Err(Problem::Unavailable(format!("it answers with status {status}"))),
    }
}

fn authorization(text: &str) -> Result<HeaderValue, Problem> {
    let mut header = HeaderValue::from_str(text)
        .map_err(|_| Problem::Denied("the token for it has characters that no token has".to_owned()))?;
    // Whatever prints the request does not print it.
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::super::name::ImageName;
    use super::*;

    fn client() -> Client {
        Client {
            ways: Ways::new(&Environment::default(), &Limits::default(), None).unwrap(),
            insecure: ["Registry.local:5000", "plain.local:80", "plain.two"]
                .map(|it| it.parse().unwrap())
                .into(),
            local: ["localhost:443"].map(|it| it.parse().unwrap()).into(),
        }
    }

    #[test]
    fn a_registry_is_recognised_however_list_image_and_address_write_it() {
        let client = client();
        for (image, is_plain, is_listed) in [
            ("registry.local:5000/a", true, true),
            ("REGISTRY.local:5000/a", true, true),
            ("registry.local/a", false, false),
            ("plain.local/a", true, true),
            ("plain.local:80/a", true, true),
            ("plain.two:80/a", true, true),
            ("plain.two:443/a", false, true),
            ("localhost/a", false, true),
            ("localhost:443/a", false, true),
            ("localhost:5000/a", false, false),
        ] {
            let repository = ImageName::parse(image).unwrap().repository;
            assert_eq!(client.is_plain(&repository), is_plain, "{image}");
            let scheme = if is_plain { "http" } else { "https" };
            let url = Url::parse(&format!("{scheme}://{}/v2/", repository.api())).unwrap();
            let found = leads_to(&url, &client.insecure) || leads_to(&url, &client.local);
            assert_eq!(found, is_listed, "{image}");
            assert!(client.may_follow(&url), "{image}");
        }
    }

    #[test]
    fn redirects_lead_to_https_or_to_a_registry_that_is_listed() {
        let client = client();
        for (url, followed) in [
            ("https://storage.example/blob?sig=x", true),
            ("https://storage.example:8443/blob", true),
            ("http://registry.local:5000/blob", true),
            ("http://registry.local/blob", false),
            ("http://storage.example/blob", false),
            ("http://169.254.169.254/metadata", false),
            ("https://user:pw@storage.example/blob", false),
            ("file:///etc/passwd", false),
        ] {
            assert_eq!(client.may_follow(&url.parse().unwrap()), followed, "{url}");
        }
    }

    #[test]
    fn a_registry_without_tls_is_asked_without_a_login_whatever_it_answers() {
        let client = client();
        for (image, has_login) in [("registry.local:5000/a", false), ("registry.local/a", true)] {
            let login = Login {
                user: "robot".to_owned(),
                password: SecretBytes::from("canary"),
            };
            let repository = ImageName::parse(image).unwrap().repository;
            let session = Session::new(client.clone(), repository, Some(login));
            assert_eq!(session.login.is_some(), has_login, "{image}");
        }
    }

    #[test]
    fn every_status_has_its_meaning() {
        let problem = |status: u16| {
            let answer = Response {
                status: StatusCode::from_u16(status).unwrap(),
                headers: hyper::HeaderMap::new(),
                body: Bytes::new(),
            };
            content(answer).err()
        };
        assert_eq!(problem(200), None);
        assert_eq!(problem(404), Some(Problem::NotFound));
        assert_eq!(problem(429), Some(Problem::Throttled));
        assert!(matches!(problem(401), Some(Problem::Denied(_))));
        assert!(matches!(problem(403), Some(Problem::Denied(_))));
        for status in [204, 206, 400, 500, 503] {
            assert!(matches!(problem(status), Some(Problem::Unavailable(_))), "{status}");
        }
    }

    #[test]
    fn what_authorises_is_never_printed() {
        let header = authorization("Bearer canary").unwrap();
        assert!(!format!("{header:?}").contains("canary"));
        assert!(authorization("Bearer a\nb").is_err());
    }
}
