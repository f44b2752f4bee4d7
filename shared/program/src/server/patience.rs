//! A stream whose other side has to take what it is sent within a time.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Reading waits as long as it takes; writing does not.
pub(super) struct Patience<S> {
    stream: S,
    limit: Duration,
    /// Runs from the first byte that was not taken at once until all are: taking one now and then does not help.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            timer: None,
        }
    }

    fn timed<T>(&mut self, outcome: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_pending() && self.timer.is_none() {
            self.timer = Some(Box::pin(sleep(self.limit)));
        }
        let is_over = self
            .timer
            .as_mut()
            .is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
        if is_over {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.timed(outcome, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.timed(outcome, cx)
    }

    /// Else hyper would copy each body behind its head into a buffer that nobody overwrites.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        let outcome = self.timed(outcome, cx);
        if matches!(outcome, Poll::Ready(Ok(()))) {
            self.timer = None;
        }
        outcome
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.timed(outcome, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: usize) -> io::Result<()> {
        stream.write_all(&vec![0; bytes]).await?;
        stream.flush().await
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_sent_in_parts_is_sent_without_a_copy_of_the_whole_and_within_the_same_time() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = Patience::new(ours, 10 * SECOND);
        assert!(ours.is_write_vectored(), "the stream can, and so hyper has to be told");
        let parts = [IoSlice::new(b"head"), IoSlice::new(b"body")];
        assert_eq!(ours.write_vectored(&parts).await.unwrap(), 8);
        theirs.read_exact(&mut [0; 8]).await.unwrap();
        let full = [IoSlice::new(&[0; 10])];
        assert_eq!(ours.write_vectored(&full).await.unwrap(), 10);
        let stuck = ours.write_vectored(&full).await;
        assert_eq!(stuck.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_or_too_little_is_given_up_and_who_takes_all_may_rest() {
        let (ours, mut theirs) = duplex(10);
        let mut ours = Patience::new(ours, 10 * SECOND);
        for _ in 0..3 {
            let read = async {
                sleep(9 * SECOND).await;
                theirs.read_exact(&mut [0; 20]).await
            };
            let (sent, read) = tokio::join!(send(&mut ours, 20), read);
            sent.unwrap();
            read.unwrap();
        }
        let trickle = async {
            loop {
                sleep(SECOND).await;
                theirs.read_exact(&mut [0; 1]).await.unwrap();
            }
        };
        let sent = tokio::select! {
            sent = send(&mut ours, 30) => sent,
            () = trickle => unreachable!("it never ends"),
        };
        assert_eq!(sent.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
