//! `man`: the manual pages of the commands.

use std::path::PathBuf;

use clap::CommandFactory;

use super::output::{Answer, Exit, Failure};

/// Write manual pages, one for each command
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope man ~/.local/share/man/man1
  velvetrope man . && man ./velvetrope-explain.1")]
pub struct Man {
    /// The folder to write them into, which must be there
    folder: PathBuf,
}

impl Man {
    pub fn run(self) -> Result<Answer, Failure> {
        clap_mangen::generate_to(super::Arguments::command(), &self.folder)
            .map_err(|error| Failure::new(format!("cannot write into {}: {error}", self.folder.display())))?;
        Ok(Answer { text: String::new(), exit: Exit::Fine })
    }
}
