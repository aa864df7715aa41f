//! `completions`: what a shell needs to complete commands.

use clap::CommandFactory;

use super::output::{Answer, Exit, Failure};

/// Print completions for a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope completions bash > ~/.local/share/bash-completion/completions/velvetrope
  velvetrope completions zsh > ~/.zfunc/_velvetrope
  velvetrope completions fish > ~/.config/fish/completions/velvetrope.fish")]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub fn run(self) -> Result<Answer, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Arguments::command(), "velvetrope", &mut script);
        Ok(Answer { text: String::from_utf8_lossy(&script).into_owned(), exit: Exit::Fine })
    }
}
