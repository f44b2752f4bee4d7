//! A proxy as companies have them: it serves `CONNECT` and nothing else.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A running proxy, which sends every tunnel to one port of this machine, whatever name was asked for. Dropping it closes every connection.
pub struct Tunnel {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Tunnel {
    /// Starts one in front of `target`.
    ///
    /// # Errors
    /// The system refuses a port.
    pub async fn start(target: u16) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("http://user:pass@{}", listener.local_addr()?);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, target, noted.clone()));
            }
        });
        Ok(Self {
            url,
            asked,
            task: task.abort_handle(),
        })
    }

    /// Its address, with credentials that it does not check: for `HTTPS_PROXY`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The heads of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection, to its end.
async fn serve(stream: TcpStream, target: u16, noted: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    copy_bidirectional(&mut stream, &mut upstream).await.map(drop)
}
