//! Proxies as people have them: one that serves `CONNECT` and nothing else, and one of SOCKS 5 (RFC 1928).

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

/// A running proxy, which sends every tunnel to one port of this machine, whatever name was asked for. Dropping it closes every connection.
pub struct Tunnel {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

#[derive(Clone, Copy)]
enum Protocol {
    Connect,
    Socks,
}

impl Tunnel {
    /// Starts one of `CONNECT` in front of `target`. It does not check credentials.
    ///
    /// # Errors
    /// The system refuses a port.
    pub async fn start(target: u16) -> io::Result<Self> {
        Self::of(Protocol::Connect, "http://user:pass@", target).await
    }

    /// Starts one of SOCKS in front of `target`.
    ///
    /// # Errors
    /// The system refuses a port.
    pub async fn socks(target: u16) -> io::Result<Self> {
        Self::of(Protocol::Socks, "socks5://", target).await
    }

    async fn of(protocol: Protocol, scheme: &str, target: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let url = format!("{scheme}{}", listener.local_addr()?);
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = asked.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(protocol, stream, target, noted.clone()));
            }
        });
        Ok(Self {
            url,
            asked,
            task: task.abort_handle(),
        })
    }

    /// Its address, for `HTTPS_PROXY`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What was asked for so far: the heads of all requests, or `HOST:PORT` with SOCKS.
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
async fn serve(protocol: Protocol, stream: TcpStream, target: u16, noted: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (asked, answer): (_, &[u8]) = match protocol {
        Protocol::Connect => (head(&mut stream).await?, b"HTTP/1.1 200 OK\r\n\r\n"),
        Protocol::Socks => (destination(&mut stream).await?, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    };
    noted.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
    stream.write_all(answer).await?;
    copy_bidirectional(&mut stream, &mut upstream).await.map(drop)
}

async fn head(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

/// Lets anybody in, and reads a request for a name.
async fn destination(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let [_version, methods] = stream.read_u16().await?.to_be_bytes();
    stream.read_exact(&mut vec![0; methods.into()]).await?;
    stream.write_all(&[5, 0]).await?;
    let mut request = [0; 5];
    stream.read_exact(&mut request).await?;
    let [5, 1, 0, 3, length] = request else {
        return Err(io::Error::other(format!("not a request for a name: {request:?}")));
    };
    let mut name = vec![0; length.into()];
    stream.read_exact(&mut name).await?;
    let port = stream.read_u16().await?;
    Ok(format!("{}:{port}", String::from_utf8_lossy(&name)))
}
