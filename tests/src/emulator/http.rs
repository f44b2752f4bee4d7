//! A request as handlers see it, and what they answer.

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{HeaderMap, Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

/// Requests larger than this are refused (certificates of the largest kind stay far below).
const LARGEST_BODY: usize = 4 << 20;

/// A request, read completely.
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The path as received.
    pub(crate) path: String,
    /// Percent-decoded, without empty segments: a trailing slash means nothing.
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// Reads the body; the error is a text for a 400 or 413.
    pub(crate) async fn read(request: hyper::Request<Incoming>) -> Result<Self, String> {
        let (parts, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_BODY)
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            segments: parts
                .uri
                .path()
                .split('/')
                .filter(|s| !s.is_empty())
                .filter_map(percent_decoded)
                .collect(),
            query: form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
                .into_owned()
                .collect(),
            headers: parts.headers,
            body,
        })
    }

    pub(crate) fn segments(&self) -> Vec<&str> {
        self.segments.iter().map(String::as_str).collect()
    }

    pub(crate) fn query(&self, key: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(k, _)| k.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The token of `Authorization: Bearer`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then(|| token.trim())
            .filter(|token| !token.is_empty())
    }

    /// The host without its port, lower-cased.
    pub(crate) fn host(&self) -> String {
        let host = self.header("host").unwrap_or("");
        let name = if host.starts_with('[') {
            host
        } else {
            host.split(':').next().unwrap_or("")
        };
        name.trim_end_matches('.').to_ascii_lowercase()
    }

    /// The body as JSON of type `T`; an empty body counts as `{}`.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, String> {
        let text: &[u8] = if self.body.is_empty() { b"{}" } else { &self.body };
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// The body as a form.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// Decodes a path segment; `+`, `=` and `&` are themselves there, unlike in a form.
fn percent_decoded(segment: &str) -> Option<String> {
    let escaped = segment.replace('+', "%2B").replace('=', "%3D").replace('&', "%26");
    form_urlencoded::parse(escaped.as_bytes())
        .map(|(key, _)| key.into_owned())
        .next()
}

/// A complete answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self {
            status,
            headers: vec![(
                header::CONTENT_TYPE.to_string(),
                "application/json; charset=utf-8".into(),
            )],
            body: body.to_string().into(),
        }
    }

    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(crate) fn empty(status: StatusCode) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            headers: vec![(header::CONTENT_TYPE.to_string(), "text/plain; charset=utf-8".into())],
            body: Bytes::from(text.into()),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}
