use std::net::{Ipv4Addr, SocketAddr};

use axum::Extension;
use axum::routing::get;
use nix::sys::resource::{Resource, getrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::raise_limit;
use super::*;

/// A door with `/` at once and `/slow` when told to go on.
async fn door(limits: Limits) -> (SocketAddr, Phases, Arc<Notify>, Arc<Notify>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, waits) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = get(move || async move {
        told.notify_one();
        waits.notified().await;
        "slow"
    });
    let large = get(async || vec![b'x'; 64 << 20]);
    let whence = get(async |Extension(Peer(address))| address.to_string());
    let router = Router::new()
        .route("/", get(async || "fast"))
        .route("/slow", slow)
        .route("/large", large)
        .route("/whence", whence);
    let phases = Phases::default();
    phases.enter(Phase::Serving);
    let door = Door {
        listener,
        tls: None,
        router,
        limits,
    };
    let task = tokio::spawn(door.serve(phases.clone()));
    (address, phases, begun, go_on, task)
}

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// What came until `end`, or until the other side closed.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) && stream.read_buf(&mut text).await.unwrap() > 0 {}
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn while_draining_it_serves_on_and_each_connection_ends_with_its_answer() {
    let (address, phases, ..) = door(Limits::default()).await;
    let mut stream = ask(address, "/").await;
    let answer = until(&mut stream, "fast").await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && !answer.contains("connection: close"),
        "{answer}"
    );
    phases.enter(Phase::Draining);
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(
        rest.starts_with("HTTP/1.1 200") && rest.contains("connection: close"),
        "{rest}"
    );
    // Somebody may still find us.
    assert!(
        until(&mut ask(address, "/").await, "fast")
            .await
            .starts_with("HTTP/1.1 200")
    );
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_nothing_new_is_accepted() {
    let (address, phases, begun, go_on, task) = door(Limits::default()).await;
    let mut stream = ask(address, "/slow").await;
    begun.notified().await;
    phases.enter(Phase::Stopping);
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished());
    go_on.notify_one();
    assert!(until(&mut stream, "slow").await.starts_with("HTTP/1.1 200"));
    task.await.unwrap();
}

#[tokio::test]
async fn a_client_that_says_nothing_loses_its_place() {
    let limits = Limits {
        connections: 1,
        idle: Duration::from_millis(100),
        ..Limits::default()
    };
    let (address, ..) = door(limits).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let mut next = ask(address, "/").await;
    assert!(until(&mut next, "fast").await.starts_with("HTTP/1.1 200"));
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0, "it was closed");
}

/// A connection from an address of this machine's own.
async fn from(address: [u8; 4], to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((Ipv4Addr::from(address), 0)))?;
    socket.connect(to).await
}

#[tokio::test]
async fn ten_thousand_connections_of_one_address_keep_no_other_out() {
    let limits = Limits {
        connections: 100,
        of_one: 60,
        ..Limits::default()
    };
    // Both ends are in this process; where the system allows it fewer files, there are fewer connections, and that is told.
    raise_limit();
    let (allowed, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let count = 10_000.min(usize::try_from(allowed).unwrap_or(usize::MAX) - 500);
    println!("{count} connections");
    let (address, ..) = door(limits).await;
    let mut held = Vec::new();
    for number in 0..count {
        held.push(from([127, 0, 0, 2], address).await.unwrap());
        if number % 500 == 0 || number + 1 == count {
            let mut honest = from([127, 0, 0, 3], address).await.unwrap();
            honest
                .write_all(b"GET /whence HTTP/1.1\r\nhost: x\r\n\r\n")
                .await
                .unwrap();
            let answer = until(&mut honest, "127.0.0.3").await;
            assert!(answer.starts_with("HTTP/1.1 200"), "after {number}: {answer}");
        }
    }
    // Connections are accepted in their order, so all of them were seen by now.
    let is_open = |stream: TcpStream| {
        let read = io::Read::read(&mut stream.into_std().unwrap(), &mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    assert_eq!(held.into_iter().filter_map(|it| is_open(it).then_some(())).count(), 60);
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_loses_its_place() {
    let limits = Limits {
        connections: 1,
        delivery: Duration::from_millis(200),
        ..Limits::default()
    };
    let (address, ..) = door(limits).await;
    let mut lazy = ask(address, "/large").await;
    let mut next = ask(address, "/").await;
    assert!(until(&mut next, "fast").await.starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    let _ = lazy.read_to_end(&mut rest).await;
    assert!(rest.len() < 64 << 20, "it was closed in the middle");
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_so() {
    let limits = Limits {
        request: Duration::from_millis(100),
        ..Limits::default()
    };
    let (address, ..) = door(limits).await;
    let answer = until(&mut ask(address, "/slow").await, "too long\n").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}
