//! One origin that is all of them: it writes every request that comes to it to each, byte by byte as it came.

use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::rope::line::{Head, Line, latin1};

/// The header by which a request is known again.
pub const CASE: &str = "x-case";

/// A request that came through.
#[derive(Clone, Debug)]
pub struct Passed {
    /// As it came, each byte a character.
    pub request: String,
    /// Every header that some origin takes for the verdict.
    pub verdicts: Vec<String>,
    pub served: Vec<Served>,
}

/// What an origin made of it.
#[derive(Clone, Debug)]
pub struct Served {
    pub server: String,
    /// The server, and which way of reading it has.
    pub by: String,
    /// The place it found: `shop`, `public`, … or a status without one.
    pub place: String,
    /// The verdict as it sees it, where it tells.
    pub saw: Option<String>,
}

/// Connections with every origin.
pub struct Origins {
    addresses: Arc<Vec<(String, SocketAddr)>>,
    lines: Vec<Option<Line>>,
}

impl Origins {
    pub fn new(addresses: &Arc<Vec<(String, SocketAddr)>>) -> Origins {
        Origins { addresses: Arc::clone(addresses), lines: addresses.iter().map(|_| None).collect() }
    }

    /// Asks all of them at once.
    pub async fn ask(&mut self, head: &Head, body: &[u8]) -> Passed {
        let request = [&head.0[..], body].concat();
        let mut written = Vec::new();
        for index in 0..self.lines.len() {
            written.push(self.write(index, &request).await.is_ok());
        }
        let mut served = Vec::new();
        for (index, written) in written.into_iter().enumerate() {
            let answer = if written { self.answer(index, &request).await } else { Err(ErrorKind::NotConnected.into()) };
            served.extend(places(&self.addresses[index].0, answer));
        }
        Passed { request: latin1(&head.0), verdicts: verdicts(head), served }
    }

    async fn write(&mut self, index: usize, request: &[u8]) -> Result<()> {
        if let Some(line) = &mut self.lines[index]
            && line.write(request).await.is_ok()
        {
            return Ok(());
        }
        self.write_anew(index, request).await
    }

    async fn write_anew(&mut self, index: usize, request: &[u8]) -> Result<()> {
        self.lines[index] = None;
        let mut line = Line::to(self.addresses[index].1).await?;
        line.write(request).await?;
        self.lines[index] = Some(line);
        Ok(())
    }

    async fn answer(&mut self, index: usize, request: &[u8]) -> Result<Head> {
        let to_head = request.starts_with(b"HEAD ");
        let mut answer = self.read(index, to_head).await;
        if answer.is_err() {
            // The connection was given up before the request came, or because of it.
            self.write_anew(index, request).await?;
            answer = self.read(index, to_head).await;
        }
        if answer.as_ref().map_or(true, Head::is_last) {
            self.lines[index] = None;
        }
        answer
    }

    async fn read(&mut self, index: usize, to_head: bool) -> Result<Head> {
        let line = self.lines[index].as_mut().ok_or(Error::from(ErrorKind::NotConnected))?;
        Ok(line.answer(to_head).await?.0)
    }
}

/// What an answer says was served; one server may read in several ways.
fn places(by: &str, answer: Result<Head>) -> Vec<Served> {
    let one = |place: String| vec![Served { server: by.to_owned(), by: by.to_owned(), place, saw: None }];
    let answer = match answer {
        Ok(answer) => answer,
        Err(err) => return one(format!("no answer: {err}")),
    };
    let served = answer.values("x-served").join(", ");
    if served.is_empty() || answer.status() >= 400 {
        return one(answer.status().to_string());
    }
    let saw = answer.values("x-saw").pop();
    let ways = served.split(", ").map(|one| one.split_once('=').unwrap_or(("", one)));
    let ways = ways.map(|(way, place)| Served {
        server: by.to_owned(),
        by: format!("{by} {way}").trim().to_owned(),
        place: place.to_owned(),
        saw: saw.clone(),
    });
    ways.collect()
}

/// Servers and frameworks do not tell `-` from `_` and cases in names.
fn verdicts(head: &Head) -> Vec<String> {
    let is_one = |name: &str| name.to_ascii_lowercase().replace('_', "-") == "x-velvetrope-verdict";
    head.headers().into_iter().filter(|(name, _)| is_one(name)).map(|(_, value)| value).collect()
}

/// Where the proxies forward to.
pub struct Fan {
    pub address: SocketAddr,
    seen: Arc<Mutex<HashMap<String, Passed>>>,
    task: JoinHandle<()>,
}

impl Fan {
    pub async fn start(addresses: &Arc<Vec<(String, SocketAddr)>>) -> Fan {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::<Mutex<HashMap<_, _>>>::default();
        let (addresses, passed) = (Arc::clone(addresses), Arc::clone(&seen));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Origins::new(&addresses), Arc::clone(&passed)));
            }
        });
        Fan { address, seen, task }
    }

    /// What came of a request, if it came through.
    pub fn passed(&self, case: &str) -> Option<Passed> {
        self.seen.lock().expect("a lock").remove(case)
    }
}

impl Drop for Fan {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, mut origins: Origins, seen: Arc<Mutex<HashMap<String, Passed>>>) {
    let mut line = Line::new(stream);
    while let Ok((head, body)) = line.request().await {
        let passed = origins.ask(&head, &body).await;
        let case = head.values(CASE).pop().unwrap_or_default();
        seen.lock().expect("a lock").insert(case, passed);
        if line.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}
