//! `schema`: JSON Schemas of what an operator writes.

use super::output::{Answer, Exit, Failure};
use velvetrope::internal::policy::schemas;

/// Print the JSON Schema of a file of a policy, or the names of all schemas
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  velvetrope schema
  velvetrope schema rules > rules.schema.json")]
pub struct Schema {
    /// Which one; without it the names are printed
    name: Option<String>,
}

impl Schema {
    pub fn run(self) -> Result<Answer, Failure> {
        let known = schemas();
        let text = match &self.name {
            None => known.iter().map(|(file, _)| bare(file).to_owned() + "\n").collect(),
            Some(name) => {
                let found = known.into_iter().find(|(file, _)| bare(file) == bare(name));
                let unknown = || Failure::new(format!("there is no schema `{name}`"));
                found.ok_or_else(|| unknown().help("`velvetrope schema` prints the names"))?.1
            }
        };
        Ok(Answer { text, exit: Exit::Fine })
    }
}

fn bare(file: &str) -> &str {
    file.trim_end_matches(".json")
}
