//! `publish`: a policy into the KV namespace of a Cloudflare Worker.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use super::output::{Answer, Exit, Failure, Format, count};
use super::policy;
use velvetrope::internal::policy::bundle;
use velvetrope::internal::request::Target;

/// The largest value that KV keeps, in bytes.
const KV_MAX: usize = 25 << 20;

/// The key of a policy, and that of the integration JSON as the public connector has it.
const POLICY: &str = "policy";
const INTEGRATION: &str = "info";

/// Publish a policy to a Cloudflare Worker
///
/// Checks the policy for a Worker, and lets wrangler put it into the Worker's KV namespace: rooms, bypass rules, lists and
/// settings under the key `policy`. Workers pick it up within a minute. The integration JSON that Queue-it publishes
/// stays: it stands in for the policy's own.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope publish policy/
  velvetrope publish policy/ --integration -- --config deploy/cloudflare/wrangler.toml
  velvetrope publish policy/ --into upload/      # writes files, prints the commands
  velvetrope publish policy/ -- --local          # into the store of `wrangler dev`

JSON: uploads (key, file, bytes, command), integrations, rules, lists, published")]
pub struct Publish {
    /// A folder with a velvetrope.toml, or that file
    policy: PathBuf,
    /// Also the policy's integration JSON, in place of what Queue-it published
    #[arg(long)]
    integration: bool,
    /// Write what is to be uploaded into this folder, and print the commands instead of running them
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// The binding of the KV namespace in the Worker's configuration
    #[arg(long, value_name = "NAME", default_value = "IntegrationConfigKV")]
    binding: String,
    /// Further arguments for `wrangler kv key put`; `--remote` is added unless `--local` is among them
    #[arg(last = true, value_name = "WRANGLER ARGUMENTS")]
    wrangler: Vec<OsString>,
}

/// What was published, or is to be.
#[derive(Serialize)]
struct PublishReport {
    uploads: Vec<Upload>,
    integrations: usize,
    rules: usize,
    lists: usize,
    published: bool,
}

/// One value of the KV namespace.
#[derive(Serialize)]
struct Upload {
    key: &'static str,
    file: String,
    bytes: usize,
    /// What puts it there.
    command: String,
}

impl Publish {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let values = self.values()?;
        let policy = policy::load_for(&self.policy, Some(Target::Worker))?;
        let temporary = tempfile::tempdir().map_err(|error| Failure::new(format!("no temporary folder: {error}")))?;
        let folder = self.into.as_deref().unwrap_or(temporary.path());
        let mut uploads = Vec::new();
        for (key, text) in values {
            let file = folder.join(format!("{key}.json"));
            write(&file, &text).map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
            let arguments = self.arguments(key, &file);
            if self.into.is_none() {
                put(key, &arguments)?;
            }
            let command = shown(&arguments);
            uploads.push(Upload { key, file: file.display().to_string(), bytes: text.len(), command });
        }
        let report = PublishReport {
            uploads,
            integrations: policy.integrations().all.len(),
            rules: policy.rules().len(),
            lists: policy.lists().len(),
            published: self.into.is_none(),
        };
        Answer::of(&report, format, Exit::Fine)
    }

    /// What belongs under which key.
    fn values(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let sources = policy::sources(&self.policy)?;
        let whole = bundle::bundle(&sources).map_err(|error| {
            let help = "publish the policy itself, not what it was compiled to: Workers compile it";
            Failure::new(error.to_string()).help(help)
        })?;
        let mut values = vec![(POLICY, whole)];
        if self.integration {
            let named = velvetrope::internal::policy::settings_of(&sources, Some(Target::Worker))
                .and_then(|settings| settings.integration);
            let text = named.and_then(|file| String::from_utf8(sources.get(&file)?.clone()).ok());
            let missing = || Failure::new("the policy has no integration JSON").help("leave out --integration");
            values.push((INTEGRATION, text.ok_or_else(missing)?));
        }
        match values.iter().find(|(_, text)| text.len() > KV_MAX) {
            Some((key, text)) => {
                let message = format!("`{key}` has {} bytes, more than the {KV_MAX} that KV keeps", text.len());
                Err(Failure::new(message).help("move the largest lists into fewer, wider networks"))
            }
            None => Ok(values),
        }
    }

    fn arguments(&self, key: &str, file: &Path) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["wrangler", "kv", "key", "put", key, "--path"].map(Into::into).into();
        arguments.push(file.into());
        arguments.extend(["--binding", &self.binding].map(OsString::from));
        if !self.wrangler.iter().any(|argument| argument == "--local") {
            arguments.push("--remote".into());
        }
        arguments.extend(self.wrangler.iter().cloned());
        arguments
    }
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, text)
}

fn put(key: &str, arguments: &[OsString]) -> Result<(), Failure> {
    let help = "`--into FOLDER` writes the files and prints the commands, to be run wherever wrangler is";
    let ran = Command::new("npx").args(arguments).output().map_err(|error| {
        Failure::new(format!("wrangler cannot be run, because npx of Node.js cannot: {error}")).help(help)
    })?;
    if ran.status.success() {
        return Ok(());
    }
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Err(Failure::new(format!("wrangler could not put `{key}`\n\n{}", said.trim())).help(help))
}

/// The command as one would type it.
fn shown(arguments: &[OsString]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let text = argument.to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:".contains(c);
        if text.chars().all(is_plain) { text.into_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
    });
    std::iter::once("npx".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
}

impl Display for PublishReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.published {
            return self.uploads.iter().try_for_each(|upload| writeln!(f, "{}", upload.command));
        }
        let parts = [(self.integrations, "integration"), (self.rules, "rule"), (self.lists, "list")];
        let parts = parts.map(|(number, what)| count(number, what));
        let keys: Vec<_> = self.uploads.iter().map(|upload| format!("`{}`", upload.key)).collect();
        writeln!(f, "published {}: {}", keys.join(" and "), parts.join(", "))
    }
}
