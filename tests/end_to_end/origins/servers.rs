//! Real origins: what they serve a request, they say themselves.

use crate::ports;
use std::fs;
use std::io::{BufRead, BufReader, Result};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::rope::line::Line;

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
        let applications = [gunicorn(folder.path()), node(folder.path())];
        let addresses: Addresses = applications.iter().flat_map(|(_, addresses)| addresses.clone()).collect();
        let servers = [nginx(folder.path(), &addresses), apache(folder.path(), &addresses)];
        let (processes, addresses): (Vec<_>, Vec<_>) = applications.into_iter().chain(servers).unzip();
        let addresses = addresses.concat();
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
        "named.example/index.html",
        "named.example/about",
        "named.example/x/index.html",
        "named.example/@artist/index.html",
        "named.example/@artist/x",
        "named.example/@artist/fans/index.html",
        "named.example/@artist/help/index.html",
        "named.example/live+2026/index.html",
        "named.example/live+2026/x",
        "named.example/caf\u{e9}/index.html",
        "named.example/caf\u{e9}/menu/index.html",
        "named.example/~user/index.html",
        "named.example/last night/index.html",
        "named.example/vip;gold/index.html",
        "named.example/vip;gold/x",
        "named.example/box/office/index.html",
        "named.example/box/office/x",
        "named.example/m\u{fc}nchen/index.html",
        "named.example/open/x/index.html",
        "named.example/open/x/~owner/index.html",
        "named.example/open/~owner/index.html",
        "named.example/open/caf\u{e9}",
        "staff.example/index.html",
        "staff.example/shop/index.html",
    ];
    for file in files.map(|file| www.join(file)) {
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, "served").expect("a file");
    }
}

type Addresses = Vec<(String, SocketAddr)>;
type Started = (Process, Addresses);

fn nginx(folder: &Path, before: &[(String, SocketAddr)]) -> Started {
    let mut all = Configuration::of(include_str!("nginx.conf"));
    for merged in ["on", "off"] {
        let mut sites = Configuration::of(&include_str!("nginx-sites.conf").replace("MERGED", merged));
        sites.listen("LOCATIONS", &format!("nginx, merge_slashes {merged}, locations"));
        sites.listen("FILES", &format!("nginx, merge_slashes {merged}, files"));
        all.add("SITES", sites);
    }
    all.before(before, "nginx");
    fs::write(folder.join("nginx.conf"), all.text).expect("a file");
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "nginx.log"]);
    (spawn(command), all.addresses)
}

fn apache(folder: &Path, before: &[(String, SocketAddr)]) -> Started {
    let mut all = Configuration::of(include_str!("apache.conf"));
    for (slashes, merged) in [("Off", "On"), ("On", "On"), ("NoDecode", "On"), ("NoDecode", "Off")] {
        let sites = include_str!("apache-sites.conf").replace("SLASHES", slashes).replace("MERGED", merged);
        let mut sites = Configuration::of(&sites);
        sites.listen("LOCATIONS", &format!("Apache, AllowEncodedSlashes {slashes}, MergeSlashes {merged}, locations"));
        sites.listen("FILES", &format!("Apache, AllowEncodedSlashes {slashes}, MergeSlashes {merged}, files"));
        all.add("SITES", sites);
    }
    all.before(before, "Apache");
    let text = all.text.replace("FOLDER", folder.to_str().expect("a path"));
    fs::write(folder.join("apache.conf"), text).expect("a file");
    let mut command = Command::new("apache2");
    // One process, which ends with this.
    command.arg("-X").arg("-f").arg(folder.join("apache.conf"));
    (spawn(command), all.addresses)
}

/// A server's configuration with free ports in it.
struct Configuration {
    text: String,
    addresses: Addresses,
}

impl Configuration {
    fn of(text: &str) -> Configuration {
        Configuration { text: text.to_owned(), addresses: Vec::new() }
    }

    /// Lets it listen at a free port under a name.
    fn listen(&mut self, placeholder: &str, name: &str) {
        let address = ports::free();
        self.text = self.text.replace(placeholder, &address.port().to_string());
        self.addresses.push((name.to_owned(), address));
    }

    /// Puts another before a place.
    fn add(&mut self, placeholder: &str, other: Configuration) {
        self.text = self.text.replacen(placeholder, &format!("{placeholder}\n{}", other.text), 1);
        self.addresses.extend(other.addresses);
    }

    /// Lets it pass requests to the applications.
    fn before(&mut self, applications: &[(String, SocketAddr)], name: &str) {
        for (application, address) in applications {
            let placeholder = application.to_uppercase();
            self.listen(&format!("BEFORE_{placeholder}"), &format!("{name} before {application}"));
            self.text = self.text.replace(&placeholder, &address.to_string());
        }
    }
}

fn gunicorn(folder: &Path) -> Started {
    fs::write(folder.join("sites.py"), include_str!("sites.py")).expect("a file");
    let address = ports::free();
    let mut command = Command::new("gunicorn");
    let bind = address.to_string();
    command.args(["--bind", &bind, "--worker-class", "gthread", "--threads", "32", "--keep-alive", "600"]);
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
