//! Saving compiled policies, and loading them again without reading any text.
//!
//! A saved policy is a header and a payload. The header tells what it is, how it is written, and whether it is whole;
//! only then is the payload read. What it refers to is checked once, so that even a payload that somebody made up
//! yields an error, or a policy that works.

use std::sync::LazyLock;

use super::Policy;
use crate::language::Function;
use crate::request::Field;

/// What every saved policy begins with. As in PNG, it shows what treats a file as text, or cuts the eighth bit off.
const MAGIC: [u8; 8] = *b"\x89VRP\r\n\x1a\n";

/// How the payload is written. It changes with everything that is saved: with the fields of [`Policy`] and of all that
/// is in it, and with their order.
const FORMAT: u32 = 4;

/// Why there is no policy in some bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// They are something else.
    #[error("this is no compiled policy")]
    NotCompiled,
    /// Another version wrote them.
    #[error("it was written in format {found}, and this version reads format {FORMAT}: compile the policy again")]
    OtherFormat {
        /// The format it is written in.
        found: u32,
    },
    /// A version with other fields or functions wrote them.
    #[error("it was written by a version that knows other fields or functions: compile the policy again")]
    OtherVocabulary,
    /// Bytes are missing, or there are more than were written.
    #[error("it is damaged: {expected} bytes were written, and there are {found}")]
    Length {
        /// How many were written.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// They are no longer what was written.
    #[error("it is damaged: its checksum does not match")]
    Checksum,
    /// No version can have written them.
    #[error("it holds what no version can have written: compile the policy again")]
    Invalid,
}

/// What stands before the payload. Numbers are little-endian.
struct Header {
    format: u32,
    vocabulary: u32,
    /// Of the payload, in bytes.
    length: u64,
    /// CRC-32 of the payload.
    checksum: u32,
}

/// What saved policies have to have in common to be loaded, and to decide alike: how they are written, what names their
/// numbers stand for, and the version of the compiler.
pub fn saved_format() -> String {
    format!("{FORMAT}-{:08x}-{}", *VOCABULARY, env!("CARGO_PKG_VERSION"))
}

impl Policy {
    /// The whole policy as bytes for [`Policy::load`], without the texts of its expressions and its lists' members'
    /// texts. The same policy is the same bytes, whenever and wherever it is saved by the same version.
    pub fn save(&self) -> Vec<u8> {
        let payload = postcard::to_allocvec(self).expect("all lengths are known before");
        let mut bytes = Header::of(&payload).to_bytes();
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// A policy that was saved. It decides as the one that was saved; what it was compiled from it no longer knows.
    pub fn load(bytes: &[u8]) -> Result<Policy, LoadError> {
        let (header, payload) = Header::read(bytes)?;
        header.check(payload)?;
        let (policy, rest) = postcard::take_from_bytes::<Policy>(payload).map_err(|_| LoadError::Invalid)?;
        let is_whole = rest.is_empty()
            && policy.program.entries() == policy.integrations.all.len()
            && policy.program.rules() == policy.rules.len();
        is_whole.then_some(policy).ok_or(LoadError::Invalid)
    }
}

impl Header {
    fn of(payload: &[u8]) -> Header {
        Header {
            format: FORMAT,
            vocabulary: *VOCABULARY,
            length: payload.len() as u64,
            checksum: crc32fast::hash(payload),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(self.format.to_le_bytes());
        bytes.extend(self.vocabulary.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
        bytes.extend(self.checksum.to_le_bytes());
        bytes
    }

    /// The header, and what follows it.
    fn read(bytes: &[u8]) -> Result<(Header, &[u8]), LoadError> {
        let mut rest = bytes.strip_prefix(&MAGIC).ok_or(LoadError::NotCompiled)?;
        let header = Header {
            format: u32::from_le_bytes(next(&mut rest)?),
            vocabulary: u32::from_le_bytes(next(&mut rest)?),
            length: u64::from_le_bytes(next(&mut rest)?),
            checksum: u32::from_le_bytes(next(&mut rest)?),
        };
        Ok((header, rest))
    }

    fn check(&self, payload: &[u8]) -> Result<(), LoadError> {
        let found = payload.len() as u64;
        if self.format != FORMAT {
            Err(LoadError::OtherFormat { found: self.format })
        } else if self.vocabulary != *VOCABULARY {
            Err(LoadError::OtherVocabulary)
        } else if self.length != found {
            Err(LoadError::Length { expected: self.length, found })
        } else if self.checksum != crc32fast::hash(payload) {
            Err(LoadError::Checksum)
        } else {
            Ok(())
        }
    }
}

/// The next bytes of a header.
fn next<const COUNT: usize>(rest: &mut &[u8]) -> Result<[u8; COUNT], LoadError> {
    let (next, behind) = rest.split_first_chunk().ok_or(LoadError::NotCompiled)?;
    *rest = behind;
    Ok(*next)
}

/// CRC-32 of the names of all fields and functions: they are saved by number, and other names would be other numbers.
static VOCABULARY: LazyLock<u32> = LazyLock::new(|| {
    let fields = Field::ALL.iter().map(|field| field.info().name);
    let functions = Function::ALL.iter().map(|function| function.name());
    let mut hasher = crc32fast::Hasher::new();
    fields.chain(functions).for_each(|name| {
        hasher.update(name.as_bytes());
        hasher.update(b"\n");
    });
    hasher.finalize()
});
