//! A host of one's own around [`host::handle`], as small as can be: it answers itself where a real one would ask the
//! site. Requests borrow from what was received, and what is decided is kept in memory that the next request reuses.
//!
//! ```sh
//! cargo run --example own_host            # serves until it is stopped
//! curl -i http://127.0.0.1:8090/shop
//! ```
//!
//! What it leaves out and a host must have: time limits, keep-alive, TLS, addresses behind proxies, bodies; and before a
//! request goes to a site, what visitors must not tell it is removed (`host::is_verdict_header`,
//! `host::is_forwarding_header`). The proxy in `crates/serve` has all of it.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use velvetrope::engine::{NoFacts, Scratch};
use velvetrope::host::{self, CanonicalUrl, Header, Identity, Incoming, Outcome, Reply, Site};
use velvetrope::{Malformed, Policy, Secrets};

/// A room for everything below `/shop`.
const SETTINGS: &str = "customer_id = \"acme\"\nrooms = \"rooms.json\"";
const ROOMS: &str = r#"[{"name": "shop", "host": "127.0.0.1", "path": "/shop"}]"#;

/// The most that the head of a request may have, in bytes.
const MAX_HEAD: u64 = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:8090")?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener.incoming())
}

/// Answers one connection after the other.
fn serve(connections: impl Iterator<Item = io::Result<TcpStream>>) -> Result<(), Box<dyn Error>> {
    let policy = Policy::from_texts([("velvetrope.toml", SETTINGS), ("rooms.json", ROOMS)])?;
    let secrets = Secrets::new("an example, which guards nothing", None);
    let identity = Identity::of_host("own");
    let site = Site { policy: &policy, secrets: &secrets, identity: &identity };
    // One for each thread; this host has one.
    let mut scratch = Scratch::default();
    for connection in connections {
        if let Err(error) = connection.and_then(|connection| talk(site, connection, &mut scratch)) {
            eprintln!("a connection broke: {error}");
        }
    }
    Ok(())
}

/// Answers one request.
fn talk(site: Site<'_>, mut connection: TcpStream, scratch: &mut Scratch) -> io::Result<()> {
    let address = connection.peer_addr()?.ip();
    let head = head(&connection)?;
    let Some((method, target, version, mut headers)) = parsed(&head) else {
        return connection.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
    };
    let url = match url(target, &headers) {
        Ok(url) => url,
        Err(malformed) => return answer(connection, &host::refuse(malformed, site.identity, scratch)),
    };
    // The one Host header says what the URL says, in its one spelling.
    headers.iter_mut().filter(|(name, _)| is_host(name)).for_each(|(_, value)| *value = url.authority().as_bytes());
    let incoming = Incoming {
        method,
        url: &url,
        version,
        headers: &headers,
        client_ip: Some(address),
        body: "",
        has_body: false,
        now_ms: SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis() as i64),
        facts: &NoFacts,
    };
    answer(connection, &host::handle(site, &incoming, scratch))
}

/// The request line and the headers; a body is not read.
fn head(connection: &TcpStream) -> io::Result<String> {
    let mut head = String::new();
    let mut lines = BufReader::new(connection.take(MAX_HEAD));
    while lines.read_line(&mut head)? > 2 {}
    Ok(head)
}

type Head<'h> = (&'h str, &'h str, &'h str, Vec<(&'h str, &'h [u8])>);

fn parsed(head: &str) -> Option<Head<'_>> {
    let mut lines = head.strip_suffix("\r\n\r\n")?.split("\r\n");
    let mut line = lines.next()?.split(' ');
    let (method, target, version) = (line.next()?, line.next()?, line.next()?);
    let headers = lines.map(|line| line.split_once(':').map(|(name, value)| (name, value.trim().as_bytes())));
    Some((method, target, version, headers.collect::<Option<_>>()?))
}

/// What is asked for; everything goes by that.
fn url(target: &str, headers: &[(&str, &[u8])]) -> Result<CanonicalUrl<'static>, Malformed> {
    let mut hosts = headers.iter().filter(|(name, _)| is_host(name));
    match (hosts.next(), hosts.next()) {
        (None, _) => Err(Malformed::NoHost),
        (Some(_), Some(_)) => Err(Malformed::SeveralHosts),
        (Some((_, host)), None) => {
            let host = std::str::from_utf8(host).map_err(|_| Malformed::NotAHost)?;
            CanonicalUrl::new("http", host, target)
        }
    }
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host")
}

/// Does what is to be done.
fn answer(mut connection: TcpStream, reply: &Reply<'_>) -> io::Result<()> {
    match reply.outcome {
        Outcome::Answer { status, headers, body } => write(&mut connection, status, headers, body),
        Outcome::Forward { response_headers, .. } => {
            write(&mut connection, 200, response_headers, "Hello from the site.\n")
        }
    }
}

fn write(connection: &mut TcpStream, status: u16, headers: &[Header<'_>], body: &str) -> io::Result<()> {
    write!(connection, "HTTP/1.1 {status} .\r\nconnection: close\r\ncontent-length: {}\r\n", body.len())?;
    for (name, value) in headers {
        write!(connection, "{name}: {value}\r\n")?;
    }
    write!(connection, "\r\n{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_is_queued_for_and_the_rest_is_not() {
        for (path, host, status) in [("/", "127.0.0.1", "200"), ("/shop", "127.0.0.1", "302"), ("/%", "a", "400")] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
            let mut client = TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
            write!(client, "GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").expect("it reads");
            serve(listener.incoming().take(1)).expect("it serves");
            let mut response = String::new();
            client.read_to_string(&mut response).expect("it answers");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {response}");
        }
    }
}
