//! `publish`: a policy into the KV namespace of a Cloudflare Worker.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Serialize;

use super::output::{Answer, Exit, Failure, Format, count};
use super::policy;
use velvetrope::internal::policy::bundle;
use velvetrope::internal::request::Target;
use velvetrope_worker::{Precompiled, precompile};

/// The largest value that KV keeps, in bytes.
const KV_MAX: usize = 25 << 20;

/// The key of a policy, and that of the integration JSON as the public connector has it.
const POLICY: &str = "policy";
const INTEGRATION: &str = "info";

/// The key of what another Worker manages.
const MANAGED: &str = "managed";

/// For how long KV keeps what was compiled, in seconds; Workers compile it again where they need it after that.
const KEPT: u32 = 90 * 86_400;

/// Publish a policy to a Cloudflare Worker
///
/// Checks the policy for a Worker, and lets wrangler put it into the Worker's KV namespace: rooms, bypass rules, lists and
/// settings under the key `policy`. Workers pick it up within a minute. The integration JSON that Queue-it publishes
/// stays: it stands in for the policy's own. Before the texts goes what they are compiled to, together with what else the
/// namespace holds, so that no Worker has to do that.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope publish policy/
  velvetrope publish policy/ --integration -- --config deploy/cloudflare/wrangler.toml
  velvetrope publish policy/ --into upload/      # writes files, prints the commands
  velvetrope publish policy/ -- --local          # into the store of `wrangler dev`

JSON: uploads (key, file, bytes, command), integrations, rules, lists, published, not_compiled")]
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
    /// Why Workers have to compile it themselves, if they do.
    not_compiled: Option<String>,
}

/// One value of the KV namespace.
#[derive(Serialize)]
struct Upload {
    key: String,
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
        let compiled = self.compiled(&values)?;
        let mut uploads = Vec::new();
        if let Ok(Precompiled { key, value }) = &compiled {
            let lives = ["--ttl".into(), KEPT.to_string().into()];
            uploads.push(self.upload(key, &folder.join("compiled.vrp"), value, &lives)?);
        }
        for (key, text) in &values {
            uploads.push(self.upload(key, &folder.join(format!("{key}.json")), text.as_bytes(), &[])?);
        }
        let report = PublishReport {
            uploads,
            integrations: policy.integrations().all.len(),
            rules: policy.rules().len(),
            lists: policy.lists().len(),
            published: self.into.is_none(),
            not_compiled: compiled.err(),
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

    /// What Workers will look for when they see these texts beside what else KV holds; or why there is nothing.
    fn compiled(&self, values: &[(&str, String)]) -> Result<Result<Precompiled, String>, Failure> {
        if self.into.is_some() {
            return Ok(Err("what else the namespace holds is not known".to_owned()));
        }
        let of = |wanted| values.iter().find(|(key, _)| *key == wanted).map(|(_, text)| text.clone());
        let info = of(INTEGRATION).map_or_else(|| self.get(INTEGRATION), |text| Ok(Some(text)))?;
        let managed = self.get(MANAGED)?;
        let compiled = precompile(info.as_deref(), of(POLICY).as_deref(), managed.as_deref(), "");
        Ok(compiled.and_then(|compiled| match compiled.value.len() {
            ..=KV_MAX => Ok(compiled),
            length => Err(format!("it has {length} bytes, more than the {KV_MAX} that KV keeps")),
        }))
    }

    /// What KV holds, if it does.
    fn get(&self, key: &str) -> Result<Option<String>, Failure> {
        let ran = run(&self.arguments(&["get", key], &[]))?;
        if ran.status.success() {
            // wrangler says so of its local store where other programs would fail.
            let is_there = ran.stdout.trim_ascii_end() != b"Value not found";
            return Ok(String::from_utf8(ran.stdout).ok().filter(|_| is_there));
        }
        match String::from_utf8_lossy(&ran.stderr).contains(" 404") {
            true => Ok(None),
            false => Err(failed("get", key, &ran)),
        }
    }

    fn upload(&self, key: &str, file: &Path, value: &[u8], more: &[OsString]) -> Result<Upload, Failure> {
        write(file, value).map_err(|error| Failure::new(format!("cannot write {}: {error}", file.display())))?;
        let path = ["--path".into(), file.into()];
        let arguments = self.arguments(&["put", key], &[&path, more].concat());
        if self.into.is_none() {
            let ran = run(&arguments)?;
            if !ran.status.success() {
                return Err(failed("put", key, &ran));
            }
        }
        let command = shown(&arguments);
        Ok(Upload { key: key.to_owned(), file: file.display().to_string(), bytes: value.len(), command })
    }

    /// Of wrangler, for one key of the namespace.
    fn arguments(&self, action: &[&str; 2], more: &[OsString]) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["wrangler", "kv", "key"].map(Into::into).into();
        arguments.extend(action.map(OsString::from));
        arguments.extend_from_slice(more);
        arguments.extend(["--binding", &self.binding].map(OsString::from));
        if !self.wrangler.iter().any(|argument| argument == "--local") {
            arguments.push("--remote".into());
        }
        arguments.extend(self.wrangler.iter().cloned());
        arguments
    }
}

fn write(file: &Path, value: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, value)
}

/// What to do where wrangler does not help.
const HELP: &str = "`--into FOLDER` writes the files and prints the commands, to be run wherever wrangler is";

fn run(arguments: &[OsString]) -> Result<Output, Failure> {
    Command::new("npx").args(arguments).output().map_err(|error| {
        Failure::new(format!("wrangler cannot be run, because npx of Node.js cannot: {error}")).help(HELP)
    })
}

fn failed(action: &str, key: &str, ran: &Output) -> Failure {
    let said = [&*ran.stdout, &*ran.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    Failure::new(format!("wrangler could not {action} `{key}`\n\n{}", said.trim())).help(HELP)
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
        let keys = [POLICY, INTEGRATION].into_iter().filter(|key| self.uploads.iter().any(|upload| upload.key == *key));
        let keys: Vec<_> = keys.map(|key| format!("`{key}`")).collect();
        writeln!(f, "published {}: {}", keys.join(" and "), parts.join(", "))?;
        let Some(why) = &self.not_compiled else { return Ok(()) };
        writeln!(f, "Workers have to compile it themselves: {why}")
    }
}
