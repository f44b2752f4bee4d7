//! How an answer leaves: whole, or broken on the wire as a fault wants it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Shared;
use super::http::Reply;

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How much of an answer reaches the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// All of it.
    #[default]
    Whole,
    /// Headers and half of the body, then the connection ends.
    Truncated,
    /// Headers and half of the body, then silence.
    Stalled,
    /// Nothing: the connection is reset.
    Reset,
}

/// Sends `reply` in this way; the error closes the connection without an answer.
pub(crate) fn deliver(
    shared: &Shared,
    reply: Reply,
    delivery: Delivery,
    reset: &AtomicBool,
) -> Result<Response<Body>, io::Error> {
    match delivery {
        Delivery::Whole => Ok(complete(shared, &reply)),
        Delivery::Truncated => Ok(incomplete(shared, reply, false)),
        Delivery::Stalled => Ok(incomplete(shared, reply, true)),
        Delivery::Reset => {
            reset.store(true, Ordering::Relaxed);
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
}

fn complete(shared: &Shared, reply: &Reply) -> Response<Body> {
    let body = Full::new(reply.body.clone())
        .map_err(|never: Infallible| match never {})
        .boxed_unsync();
    build(shared, reply, body)
}

/// The headers of the whole answer with half of its body; then an end, or nothing more.
fn incomplete(shared: &Shared, reply: Reply, stall: bool) -> Response<Body> {
    let half = reply.body.slice(..reply.body.len() / 2);
    let length = reply.body.len().to_string();
    let frames = stream::unfold(Some(half), move |half| async move {
        match half {
            Some(half) => Some((Ok(Frame::data(half)), None)),
            None if stall => std::future::pending().await,
            None => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
        }
    });
    build(
        shared,
        &reply.header("content-length", length),
        StreamBody::new(frames).boxed_unsync(),
    )
}

fn build(shared: &Shared, reply: &Reply, body: Body) -> Response<Body> {
    let mut response = Response::builder()
        .status(reply.status)
        .header("date", shared.clock.http_date());
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    response.body(body).unwrap_or_else(|error| {
        let text = format!("a fault's headers are not valid HTTP: {error}\n");
        let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// A TCP connection that a fault can reset: the client sees RST, not an orderly end.
pub(crate) struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Socket {
    /// A connection that is reset as soon as `reset` is set.
    pub(crate) fn new(stream: TcpStream, reset: Arc<AtomicBool>) -> Self {
        Self { stream, reset }
    }

    fn check(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Relaxed) {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(())
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
