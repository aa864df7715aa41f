//! `token`: makes tokens and looks at them.

use std::fmt::{self, Display};
use std::net::IpAddr;

use clap::Subcommand;
use serde::Serialize;

use super::output::{Answer, BAD, Exit, Failure, Format, GOOD, printable, styled};
use super::request::address;
use super::{input, time};
use velvetrope::internal::queueit::Secrets;
use velvetrope::internal::queueit::token::{self, Check, Inspection, TokenFields};

/// Make a token, or look at one
///
/// The secret is read from an environment variable, so that it ends up in no shell's history and in no list of
/// processes. It is never printed.
#[derive(Subcommand)]
pub enum Token {
    Sign(Sign),
    Inspect(Inspect),
}

impl Token {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        match self {
            Token::Sign(command) => command.run(format),
            Token::Inspect(command) => command.run(format),
        }
    }
}

/// Where the secrets are.
#[derive(clap::Args)]
struct SecretOptions {
    /// The environment variable that holds the secret key
    #[arg(long, value_name = "NAME", default_value = "VELVETROPE_SECRET")]
    secret_env: String,
}

impl SecretOptions {
    fn secrets(&self) -> Result<Secrets, Failure> {
        let current = secret(&self.secret_env)?.ok_or_else(|| {
            Failure::new(format!("the environment variable {} is not set", self.secret_env))
                .help("put the secret key of your Queue-it account into it, or name another one by --secret-env")
        })?;
        let previous = secret(&format!("{}_PREVIOUS", self.secret_env))?;
        Ok(Secrets::new(current, previous))
    }
}

/// What an environment variable holds, if that is anything.
pub fn secret(name: &str) -> Result<Option<String>, Failure> {
    match std::env::var(name) {
        Ok(secret) if secret.is_empty() => Ok(None),
        Ok(secret) => Ok(Some(secret)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Failure::new(format!("the environment variable {name} does not hold UTF-8 text")))
        }
    }
}

/// Make a signed token, as the waiting room does it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope token sign --event ticketshop --valid-for 10m
  velvetrope token sign --event ticketshop --queue-id 42 --ip 192.0.2.7 --cookie-validity 20
  velvetrope explain policy \"https://tickets.example/shop?queueittoken=$(velvetrope token sign --event ticketshop)\"

JSON: token, expires")]
pub struct Sign {
    /// The waiting room's id
    #[arg(long, value_name = "ROOM")]
    event: String,
    /// The visitor's id in the queue
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    queue_id: String,
    /// How long the visitor may take to hand it in
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = time::span, allow_negative_numbers = true)]
    valid_for: i64,
    /// Until when the visitor may hand it in, instead of --valid-for: RFC 3339, or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = time::instant, conflicts_with = "valid_for")]
    expires: Option<i64>,
    /// Why the room lets the visitor in
    #[arg(long, value_name = "TYPE", default_value = "queue")]
    redirect_type: String,
    /// The address to bind it to
    #[arg(long, value_parser = address)]
    ip: Option<IpAddr>,
    /// How long the session lasts, in minutes, instead of what the integration says
    #[arg(long, value_name = "MINUTES")]
    cookie_validity: Option<u32>,
    #[command(flatten)]
    secret: SecretOptions,
}

#[derive(Serialize)]
struct SignReport {
    token: String,
    expires: String,
}

impl Sign {
    fn run(self, format: Format) -> Result<Answer, Failure> {
        for (what, value) in
            [("--event", &self.event), ("--queue-id", &self.queue_id), ("--redirect-type", &self.redirect_type)]
        {
            if !token::is_expressible(value) {
                return Err(Failure::new(format!("{what} `{value}` contains `~` or `_`, which a token cannot carry")));
            }
        }
        let secrets = self.secret.secrets()?;
        let expires = self.expires.map_or_else(|| now() + self.valid_for, |time| time.div_euclid(1000));
        let fields = TokenFields {
            event_id: self.event,
            queue_id: self.queue_id,
            expires,
            extendable: self.cookie_validity.is_none(),
            validity_minutes: self.cookie_validity,
            redirect_type: self.redirect_type,
            client_ip: self.ip.map(|ip| ip.to_string()),
        };
        let token = token::sign(&fields, secrets.current());
        Answer::of(&SignReport { token, expires: time::shown(expires.saturating_mul(1000)) }, format, Exit::Fine)
    }
}

fn now() -> i64 {
    time::now().div_euclid(1000)
}

impl Display for SignReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.token)
    }
}

/// Say what a token says, and whether a connector would take it
///
/// Ends with 0 if it passes every check, else with 1. The secret before the present one is accepted, too, if it is in
/// the environment variable of the same name and _PREVIOUS.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope token inspect \"$TOKEN\" --event ticketshop --ip 192.0.2.7
  velvetrope token inspect - < token.txt

JSON: event_id, queue_id, expires, redirect_type, validity_minutes, bound_to_address, valid, checks
(each with code, what, passed)")]
pub struct Inspect {
    /// The token; `-` reads it from standard input
    #[arg(allow_hyphen_values = true)]
    token: String,
    /// The visitor's address
    #[arg(long, value_parser = address)]
    ip: Option<IpAddr>,
    /// When: RFC 3339, or Unix seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::instant)]
    at: Option<i64>,
    /// The waiting room it should be for
    #[arg(long, value_name = "ROOM")]
    event: Option<String>,
    #[command(flatten)]
    secret: SecretOptions,
}

#[derive(Serialize)]
struct InspectReport {
    event_id: Option<String>,
    queue_id: Option<String>,
    /// RFC 3339; `null` where it says none.
    expires: Option<String>,
    redirect_type: Option<String>,
    validity_minutes: Option<f64>,
    bound_to_address: bool,
    valid: bool,
    checks: Vec<CheckReport>,
}

#[derive(Serialize)]
struct CheckReport {
    code: &'static str,
    what: &'static str,
    passed: bool,
}

impl Inspect {
    fn run(self, format: Format) -> Result<Answer, Failure> {
        let text = input::argument(&self.token)?;
        let secrets = self.secret.secrets()?;
        let ip = self.ip.map(|ip| ip.to_string());
        let at = self.at.map_or_else(now, |time| time.div_euclid(1000));
        let inspection = token::inspect(&text, &secrets, self.event.as_deref(), ip.as_deref(), at);
        let exit = if inspection.failure().is_none() { Exit::Fine } else { Exit::Findings };
        Answer::of(&InspectReport::from(inspection), format, exit)
    }
}

impl From<Inspection<'_>> for InspectReport {
    fn from(inspection: Inspection<'_>) -> InspectReport {
        let valid = inspection.failure().is_none();
        let Inspection { token, checks } = inspection;
        let owned = |text: Option<&str>| text.map(str::to_owned);
        InspectReport {
            event_id: owned(token.event_id),
            queue_id: owned(token.queue_id),
            expires: (token.expires != 0.0).then(|| time::shown((token.expires as i64).saturating_mul(1000))),
            redirect_type: owned(token.redirect_type),
            validity_minutes: token.validity_minutes,
            bound_to_address: token.hashed_ip.is_some_and(|hash| !hash.is_empty()),
            valid,
            checks: checks.into_iter().map(CheckReport::from).collect(),
        }
    }
}

impl From<Check> for CheckReport {
    fn from(Check { code, what, passed }: Check) -> CheckReport {
        CheckReport { code, what, passed }
    }
}

impl Display for InspectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none = |text: &Option<String>| text.as_deref().map_or("none".to_owned(), printable);
        writeln!(f, "waiting room   {}", none(&self.event_id))?;
        writeln!(f, "queue id       {}", none(&self.queue_id))?;
        writeln!(f, "expires        {}", none(&self.expires))?;
        writeln!(f, "redirect type  {}", none(&self.redirect_type))?;
        match self.validity_minutes {
            Some(minutes) => writeln!(f, "session        {minutes} minutes, not extended")?,
            None => writeln!(f, "session        as long as the integration says")?,
        }
        writeln!(f, "bound to       {}\n", if self.bound_to_address { "one address" } else { "no address" })?;
        for check in &self.checks {
            let result = if check.passed { styled(GOOD, "pass") } else { styled(BAD, "FAIL") };
            writeln!(f, "{result}  {:<32} {}", check.what, check.code)?;
        }
        Ok(())
    }
}
