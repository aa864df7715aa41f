//! `admin`: who may use the API and the dashboard.

use std::fmt::{self, Display};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde::Serialize;

use super::output::{Answer, Exit, Failure, Format, printable};
use super::store::{existing, open, unusable};
use velvetrope_manage::store::tokens::{Scope, Token};

/// Say who may manage rooms, rules and lists
#[derive(Subcommand)]
pub enum Admin {
    #[command(subcommand)]
    Token(TokenCommand),
}

/// Make, list and revoke tokens for the API and the dashboard
///
/// Of a token the store keeps a digest only: it can be shown once, when it is made.
#[derive(Subcommand)]
pub enum TokenCommand {
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make a token, and print it, alone on standard output
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope admin token create --store velvetrope.db --scope write --name terraform
  TOKEN=$(velvetrope admin token create --store velvetrope.db --scope read)

JSON: token, id, name, scope")]
pub struct Create {
    /// The store; it is created if it does not exist
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// What the token allows
    #[arg(long, value_enum)]
    scope: ScopeName,
    /// What it is called in lists and in the audit trail
    #[arg(long, default_value = "command line")]
    name: String,
}

/// List tokens, those that were revoked too
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope admin token list --store velvetrope.db

JSON: tokens (each with id, name, scope, created_on, revoked_on)")]
pub struct List {
    /// The store
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
}

/// Revoke a token, and end the sessions that were begun with it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope admin token revoke --store velvetrope.db 0123456789abcdef0123456789abcdef

JSON: revoked")]
pub struct Revoke {
    /// The store
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
    /// The token's id, as `list` prints it
    id: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScopeName {
    /// To look
    Read,
    /// To look and to change
    Write,
}

#[derive(Serialize)]
struct CreateReport {
    token: String,
    id: String,
    name: String,
    scope: &'static str,
}

#[derive(Serialize)]
struct ListReport {
    tokens: Vec<TokenReport>,
}

#[derive(Serialize)]
struct TokenReport {
    id: String,
    name: String,
    scope: &'static str,
    created_on: String,
    revoked_on: Option<String>,
}

#[derive(Serialize)]
struct RevokeReport {
    revoked: String,
}

impl Admin {
    pub fn run(self, format: Format) -> Result<Answer, Failure> {
        let Admin::Token(command) = self;
        match command {
            TokenCommand::Create(command) => command.run(format),
            TokenCommand::List(command) => command.run(format),
            TokenCommand::Revoke(command) => command.run(format),
        }
    }
}

impl Create {
    fn run(self, format: Format) -> Result<Answer, Failure> {
        let scope = match self.scope {
            ScopeName::Read => Scope::Read,
            ScopeName::Write => Scope::Write,
        };
        let made = open(&self.store)?.change("command line", |store| store.create_token(&self.name, scope));
        let (Token { id, name, .. }, token) = made.map_err(unusable)?;
        Answer::of(&CreateReport { token, id, name, scope: scope.name() }, format, Exit::Fine)
    }
}

impl List {
    fn run(self, format: Format) -> Result<Answer, Failure> {
        let tokens = existing(&self.store)?.read(|store| store.tokens()).map_err(unusable)?;
        let tokens = tokens.into_iter().map(|Token { id, name, scope, created_on, revoked_on, .. }| TokenReport {
            id,
            name,
            scope: scope.name(),
            created_on,
            revoked_on,
        });
        Answer::of(&ListReport { tokens: tokens.collect() }, format, Exit::Fine)
    }
}

impl Revoke {
    fn run(self, format: Format) -> Result<Answer, Failure> {
        let revoked = existing(&self.store)?.change("command line", |store| store.revoke_token(&self.id));
        match revoked.map_err(unusable)? {
            true => Answer::of(&RevokeReport { revoked: self.id }, format, Exit::Fine),
            false => Err(Failure::new(format!("there is no token `{}` that could be revoked", printable(&self.id)))
                .help("`velvetrope admin token list` prints the ids of tokens")),
        }
    }
}

impl Display for CreateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.token)
    }
}

impl Display for ListReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for TokenReport { id, name, scope, created_on, revoked_on } in &self.tokens {
            write!(f, "{id}  {scope:5}  {created_on}  {}", printable(name))?;
            match revoked_on {
                Some(revoked_on) => writeln!(f, "  revoked {revoked_on}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

impl Display for RevokeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "revoked {}", self.revoked)
    }
}
