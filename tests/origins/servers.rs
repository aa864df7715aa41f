//! Real origins: what they serve a request, they say themselves.

use std::fs;
use std::io::{BufRead, BufReader, Result};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::line::Line;

/// nginx, Apache, gunicorn and Node, each in several settings, for as long as this lives.
pub struct Servers {
    pub addresses: Arc<Vec<(String, SocketAddr)>>,
    _processes: Vec<Process>,
    _folder: TempDir,
}

impl Servers {
    pub async fn start() -> Servers {
        let folder = tempfile::tempdir().expect("a folder");
        // Servers that give up being root must be able to read it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder for all");
        write_files(&folder.path().join("www"));
        let mut addresses = Vec::new();
        let mut processes = Vec::new();
        for start in [nginx, apache, gunicorn, node] {
            let (process, started) = start(folder.path());
            processes.push(process);
            addresses.extend(started);
        }
        for (name, address) in &addresses {
            wait_for(name, *address, folder.path()).await;
        }
        Servers { addresses: Arc::new(addresses), _processes: processes, _folder: folder }
    }
}

/// Ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // gunicorn has to end its workers itself.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

/// What is on the disk of the sites that are files.
fn write_files(www: &Path) {
    let files = [
        "any",
        "shop.example/index.html",
        "shop.example/about",
        "shop.example/x/index.html",
        "shop.example/shop/index.html",
        "shop.example/shop/tickets/index.html",
        "shop.example/shop/tickets/1",
        "shop.example/shop/assets/app.js",
        "tickets.example/index.html",
        "tickets.example/about",
        "tickets.example/x/index.html",
        "tickets.example/presale/index.html",
        "tickets.example/presale/x",
        "page.example/index.html",
        "page.example/about",
        "page.example/x/index.html",
        "page.example/buy/index.html",
        "page.example/buy/x",
        "staff.example/index.html",
        "staff.example/shop/index.html",
    ];
    for file in files.map(|file| www.join(file)) {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, "served").expect("a file");
    }
}

type Started = (Process, Vec<(String, SocketAddr)>);

fn nginx(folder: &Path) -> Started {
    let mut sites = String::new();
    let mut addresses = Vec::new();
    for merged in ["on", "off"] {
        let places = [("LOCATIONS", "locations"), ("FILES", "files")];
        let text = include_str!("nginx-sites.conf").replace("MERGED", merged);
        sites += &at_free_ports(text, places, &format!("nginx, merge_slashes {merged}"), &mut addresses);
    }
    fs::write(folder.join("nginx.conf"), include_str!("nginx.conf")).expect("a file");
    fs::write(folder.join("sites.conf"), sites).expect("a file");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.log"]);
    (spawn(command), addresses)
}

fn apache(folder: &Path) -> Started {
    let mut text = include_str!("apache.conf").to_owned();
    let mut addresses = Vec::new();
    for (slashes, merged) in [("Off", "On"), ("On", "On"), ("NoDecode", "On"), ("NoDecode", "Off")] {
        let places = [("LOCATIONS", "locations"), ("FILES", "files")];
        let name = format!("Apache, AllowEncodedSlashes {slashes}, MergeSlashes {merged}");
        let sites = include_str!("apache-sites.conf").replace("SLASHES", slashes).replace("MERGED", merged);
        text += &at_free_ports(sites, places, &name, &mut addresses);
    }
    let text = text.replace("FOLDER", folder.to_str().expect("a path"));
    fs::write(folder.join("apache.conf"), text).expect("a file");
    let mut command = Command::new("apache2");
    // One process, which ends with this.
    command.arg("-X").arg("-f").arg(folder.join("apache.conf"));
    (spawn(command), addresses)
}

fn gunicorn(folder: &Path) -> Started {
    fs::write(folder.join("sites.py"), include_str!("sites.py")).expect("a file");
    let address = free_port();
    let mut command = Command::new("gunicorn");
    command.args([
        "--bind",
        &address.to_string(),
        "--worker-class",
        "gthread",
        "--threads",
        "32",
        "--keep-alive",
        "600",
    ]);
    // One worker: a connection that stays open is a thread's.
    command.args(["--worker-connections", "1000", "--log-level", "critical", "sites:app"]).current_dir(folder);
    (spawn(command), vec![("gunicorn".to_owned(), address)])
}

fn node(folder: &Path) -> Started {
    fs::write(folder.join("sites.js"), include_str!("sites.js")).expect("a file");
    let mut command = Command::new("node");
    command.arg("sites.js").current_dir(folder).stdout(Stdio::piped());
    let mut process = spawn(command);
    let mut line = String::new();
    let stdout = process.0.stdout.take().expect("its output");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let port: u16 = line.trim().parse().expect("a port");
    (process, vec![("Node".to_owned(), ([127, 0, 0, 1], port).into())])
}

fn spawn(mut command: Command) -> Process {
    let spawned = command.stdin(Stdio::null()).spawn();
    Process(
        spawned.unwrap_or_else(|err| panic!("{}: {err}; `make tools` installs it", command.get_program().display())),
    )
}

/// Writes free ports into a configuration, and adds them to the addresses.
fn at_free_ports(
    mut text: String,
    places: [(&str, &str); 2],
    name: &str,
    addresses: &mut Vec<(String, SocketAddr)>,
) -> String {
    for (placeholder, kind) in places {
        let address = free_port();
        text = text.replace(placeholder, &address.port().to_string());
        addresses.push((format!("{name}, {kind}"), address));
    }
    text
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

/// Waits until a server serves what anybody may see.
async fn wait_for(name: &str, address: SocketAddr, folder: &Path) {
    let mut last = String::new();
    for _ in 0..600 {
        match public(address).await {
            Ok(served) if served.contains("public") => return,
            Ok(served) => last = served,
            Err(err) => last = err.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let log = |file| fs::read_to_string(folder.join(file)).unwrap_or_default();
    panic!("{name} does not serve: {last}\n{}{}", log("nginx.log"), log("apache.log"));
}

async fn public(address: SocketAddr) -> Result<String> {
    let mut line = Line::to(address).await?;
    line.write(b"GET /about HTTP/1.1\r\nHost: shop.example\r\n\r\n").await?;
    Ok(line.answer(false).await?.0.values("x-served").join(", "))
}
