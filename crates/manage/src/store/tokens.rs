//! Tokens, and the sessions of people who have shown one to the dashboard. Of both only digests are kept.

use super::audit::About;
use super::{DatabaseError, Row, Store};
use crate::secrets::digest;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To look.
    Read,
    /// To look and to change.
    Write,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// 32 hexadecimal digits.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// SHA-256 of the secret, in hexadecimal.
    pub digest: String,
    /// When it was created, in RFC 3339.
    pub created_on: String,
    /// When it was revoked, if it was.
    pub revoked_on: Option<String>,
}

/// A session of the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The id of the token that was shown; of the host's own its digest.
    pub token: String,
    /// What forms must carry to be believed.
    pub csrf: String,
}

/// How long a session lasts, in milliseconds.
pub(crate) const SESSION_MS: i64 = 12 * 3_600_000;

impl Store<'_> {
    /// Creates a token; its secret is known to nobody after this.
    pub fn create_token(&self, name: &str, scope: Scope) -> Result<(Token, String), DatabaseError> {
        let secret = format!("vr_{}", self.random_hex::<32>());
        let token = Token {
            id: self.new_id(),
            name: name.to_owned(),
            scope,
            digest: digest(&secret),
            created_on: self.now(),
            revoked_on: None,
        };
        self.query(
            "INSERT INTO tokens (id, name, scope, digest, created_on) VALUES (?1, ?2, ?3, ?4, ?5)",
            &[(&token.id).into(), name.into(), scope.name().into(), (&token.digest).into(), (&token.created_on).into()],
        )?;
        self.note("token.create", About { subject: &token.id, ..About::default() }, None, token.told())?;
        Ok((token, secret))
    }

    /// All tokens, the revoked ones too, oldest first.
    pub fn tokens(&self) -> Result<Vec<Token>, DatabaseError> {
        let sql = "SELECT id, name, scope, digest, created_on, revoked_on FROM tokens ORDER BY created_on, id";
        self.query(sql, &[])?.iter().map(token).collect()
    }

    /// Revokes a token, and ends the sessions that were begun with it; false if there is no such token in force.
    pub fn revoke_token(&self, id: &str) -> Result<bool, DatabaseError> {
        let sql = "UPDATE tokens SET revoked_on = ?2 WHERE id = ?1 AND revoked_on IS NULL RETURNING id";
        if self.first(sql, &[id.into(), self.now().into()])?.is_none() {
            return Ok(false);
        }
        self.query("DELETE FROM sessions WHERE token = ?1", &[id.into()])?;
        self.note("token.revoke", About { subject: id, ..About::default() }, None, None)?;
        Ok(true)
    }

    /// Begins a session for who has shown this token; the secret that its cookie holds.
    pub fn begin_session(&self, token: &str) -> Result<String, DatabaseError> {
        let secret = self.random_hex::<32>();
        self.query("DELETE FROM sessions WHERE expires < ?1", &[self.now.into()])?;
        self.query(
            "INSERT INTO sessions (digest, token, csrf, expires) VALUES (?1, ?2, ?3, ?4)",
            &[
                digest(&secret).into(),
                token.into(),
                self.random_hex::<32>().into(),
                (self.now.saturating_add(SESSION_MS)).into(),
            ],
        )?;
        Ok(secret)
    }

    /// The session of a cookie, if it has not ended. Looked up by digest: what an attacker could learn from how long
    /// that takes is of a digest, which tells nothing of the secret.
    pub fn session(&self, secret: &str) -> Result<Option<Session>, DatabaseError> {
        let sql = "SELECT token, csrf FROM sessions WHERE digest = ?1 AND expires >= ?2";
        let row = self.first(sql, &[digest(secret).into(), self.now.into()])?;
        let session = |row: Row| Ok(Session { token: row.text(0)?.to_owned(), csrf: row.text(1)?.to_owned() });
        row.map(session).transpose()
    }

    /// Ends a session.
    pub fn end_session(&self, secret: &str) -> Result<(), DatabaseError> {
        self.query("DELETE FROM sessions WHERE digest = ?1", &[digest(secret).into()]).map(drop)
    }
}

impl Token {
    /// What the audit trail tells of it.
    fn told(&self) -> Option<String> {
        Some(serde_json::json!({ "name": self.name, "scope": self.scope.name() }).to_string())
    }
}

impl Scope {
    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
        }
    }
}

fn token(row: &Row) -> Result<Token, DatabaseError> {
    Ok(Token {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        scope: if row.text(2)? == "write" { Scope::Write } else { Scope::Read },
        digest: row.text(3)?.to_owned(),
        created_on: row.text(4)?.to_owned(),
        revoked_on: row.maybe_text(5)?.map(str::to_owned),
    })
}
