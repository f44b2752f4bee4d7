//! What runs in the pods of the test bed's node, in images that hold nothing else.
//!
//! | arguments | what it does |
//! |---|---|
//! | `env` | prints its environment and arguments as JSON |
//! | `cat FILE` | prints a file |
//! | `exit CODE` | ends with this exit code |
//! | `live [CODE]` | prints as `env`, then goes on as `wait` |
//! | `wait [CODE]` | prints `ready`, sleeps until SIGTERM, prints `SIGTERM`, ends with this exit code (0) |
//! | `resolve NAME` | prints the IPv4 addresses of a name, one a line |
//! | `get HOST:PORT` | asks for `/` by HTTP and prints the body |
//! | `serve PORT` | answers HTTP requests with the name of its host, until SIGTERM |
//! | `bare ENTRY PROGRAM…` | becomes a program with this entry behind its environment; it needs no `=` |
//! | `peak PROGRAM…` | runs a program and prints its largest resident memory, in KiB |

use std::convert::Infallible;
use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use anyhow::{Context, bail};
use hickory_resolver::TokioResolver;
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::execve;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["bare", entry, program @ ..] => bare(entry, program).map(|never| match never {}),
        ["peak", program, arguments @ ..] => peak(program, arguments),
        words => waiting(words),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("guest: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn waiting(words: &[&str]) -> anyhow::Result<u8> {
    run(words).await
}

async fn run(words: &[&str]) -> anyhow::Result<u8> {
    match words {
        ["env", ..] => environment()?,
        ["cat", file] => print!(
            "{}",
            fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?
        ),
        ["exit", code] => return Ok(code.parse()?),
        ["live", rest @ ..] => {
            environment()?;
            wait().await?;
            return rest.first().map_or(Ok(0), |code| Ok(code.parse()?));
        }
        ["wait"] => wait().await?,
        ["wait", code] => {
            wait().await?;
            return Ok(code.parse()?);
        }
        ["resolve", name] => resolve(name).await?.iter().for_each(|address| println!("{address}")),
        ["get", target] => print!("{}", get(target).await?),
        ["serve", port] => serve(port.parse()?).await?,
        _ => bail!("no such thing to do: {words:?}"),
    }
    Ok(0)
}

fn environment() -> anyhow::Result<()> {
    let text = |it: std::ffi::OsString| it.to_string_lossy().into_owned();
    let variables: serde_json::Map<_, _> = env::vars_os()
        .map(|(name, value)| (text(name), text(value).into()))
        .collect();
    let arguments: Vec<String> = env::args_os().map(text).collect();
    let directory = env::current_dir().context("there is no current directory")?;
    let document = json!({"env": variables, "args": arguments, "dir": directory, "pid": std::process::id()});
    println!("{document}");
    Ok(())
}

/// The standard library takes and gives variables with a name and a value only.
fn bare(entry: &str, words: &[&str]) -> anyhow::Result<Infallible> {
    let variable = |(name, value): (_, std::ffi::OsString)| {
        let name: std::ffi::OsString = name;
        CString::new([&name.into_vec()[..], b"=", &value.into_vec()].concat())
    };
    let mut environment = env::vars_os().map(variable).collect::<Result<Vec<_>, _>>()?;
    environment.push(CString::new(entry)?);
    let words = words
        .iter()
        .map(|&word| CString::new(word))
        .collect::<Result<Vec<_>, _>>()?;
    let program = words.first().context("a program is asked for")?;
    execve(program, &words, &environment).context("cannot become the program")
}

/// Small as this program is, it is the least that can be told: until it has become a program of its own, a child counts as its parent.
fn peak(program: &str, arguments: &[&str]) -> anyhow::Result<u8> {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "{program}: {status}");
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss());
    Ok(0)
}

async fn wait() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    println!("ready");
    terminate.recv().await;
    println!("SIGTERM");
    Ok(())
}

async fn resolve(name: &str) -> anyhow::Result<Vec<Ipv4Addr>> {
    let resolver = TokioResolver::builder_tokio()
        .context("cannot read /etc/resolv.conf")?
        .build()?;
    let found = resolver.lookup_ip(name).await;
    let addresses = found.with_context(|| format!("cannot resolve {name}"))?;
    let v4 = addresses.iter().filter_map(|address| match address {
        std::net::IpAddr::V4(address) => Some(address),
        std::net::IpAddr::V6(_) => None,
    });
    Ok(v4.collect())
}

async fn get(target: &str) -> anyhow::Result<String> {
    let (host, port) = target.rsplit_once(':').context("HOST:PORT is asked for")?;
    let address = match host.parse() {
        Ok(address) => address,
        Err(_) => *resolve(host).await?.first().context("it has no IPv4 address")?,
    };
    let address = SocketAddr::from((address, port.parse()?));
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.with_context(|| format!("cannot connect to {address}"))?;
    let request = format!("GET / HTTP/1.0\r\nHost: {target}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
    Ok(body.to_owned())
}

async fn serve(port: u16) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    println!("ready");
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => return Ok(()),
        };
        let Ok((mut stream, _)) = accepted else { continue };
        let answer = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{name}", name.len());
        // A client that leaves early is its own affair.
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}
