//! The client as the transport of Microsoft's crates.

use azure_core::http::headers::Headers;
use azure_core::http::{AsyncRawResponse, Body, Method, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::AUTHORIZATION;

use super::{Failure, FailureKind, HttpClient, Response};

#[async_trait::async_trait]
impl azure_core::http::HttpClient for HttpClient {
    async fn execute_request(&self, request: &azure_core::http::Request) -> azure_core::Result<AsyncRawResponse> {
        let host = request.url().host_str().unwrap_or_default();
        let converted = convert(request, host).map_err(into_azure)?;
        let answer = self.send(converted).await.map_err(into_azure)?;
        Ok(answer.into())
    }
}

fn convert(request: &azure_core::http::Request, host: &str) -> Result<hyper::Request<Full<Bytes>>, Failure> {
    let Body::Bytes(body) = request.body() else {
        return Err(Failure::new(FailureKind::Invalid, host, "streamed bodies are not sent"));
    };
    let method = match request.method() {
        Method::Get => hyper::Method::GET,
        Method::Post => hyper::Method::POST,
        other => {
            return Err(Failure::new(
                FailureKind::Invalid,
                host,
                format!("method {other} is not used"),
            ));
        }
    };
    let mut builder = hyper::Request::builder().method(method).uri(request.url().as_str());
    for (name, value) in request.headers().iter() {
        builder = builder.header(name.as_str(), value.as_str());
    }
    let mut converted = builder
        .body(Full::new(body.clone()))
        .map_err(|error| Failure::new(FailureKind::Invalid, host, error.to_string()))?;
    // Whatever prints the request does not print the token.
    if let Some(token) = converted.headers_mut().get_mut(AUTHORIZATION) {
        token.set_sensitive(true);
    }
    Ok(converted)
}

impl From<Response> for AsyncRawResponse {
    fn from(answer: Response) -> Self {
        let mut headers = Headers::new();
        for (name, value) in &answer.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        Self::from_bytes(StatusCode::from(answer.status.as_u16()), headers, answer.body)
    }
}

fn into_azure(failure: Failure) -> azure_core::Error {
    let text = failure.to_string();
    azure_core::Error::with_error(azure_core::error::ErrorKind::Io, failure, text)
}
