//! The commands.
//!
//! One file for each. A command turns its arguments into a report that prints itself as text or as JSON; what it
//! reports is computed by the library. Nothing is written before a command is done, except by those that serve.

mod admin;
mod bench;
mod check;
mod compile;
mod completions;
mod demo;
mod eval;
mod explain;
mod ext_proc;
mod fmt;
mod input;
mod man;
mod output;
mod plan;
mod policy;
mod publish;
mod request;
mod schema;
mod serve;
mod serving;
mod show;
mod store;
mod test;
mod time;
mod token;
mod trace;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use output::{Answer, Exit, Failure, Format};

/// The waiting-room connector: decides who may pass, who waits, and for whom the rope opens.
#[derive(Parser)]
#[command(name = "velvetrope", version, max_term_width = 100, after_help = EXIT_CODES)]
struct Arguments {
    /// How to print the answer: for people, or as JSON with stable keys
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, display_order = 900)]
    format: Format,

    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  fine
  1  findings: a problem in the policy, a failed case, a false expression, unformatted text,
     a token that is not valid
  2  wrong usage, or something that could not be read; for all but `check`, that is a policy
     with errors, too

Colour is used on terminals only, and never where NO_COLOR is set. `-` stands for standard input
wherever a file is expected.";

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Compile(compile::Compile),
    Explain(explain::Explain),
    Eval(eval::Eval),
    Fmt(fmt::Fmt),
    Test(test::Test),
    Show(show::Show),
    Bench(bench::Bench),
    Publish(publish::Publish),
    #[command(subcommand)]
    Token(token::Token),
    Serve(serve::Serve),
    ExtProc(ext_proc::ExtProcArgs),
    Demo(demo::Demo),
    #[command(subcommand)]
    Admin(admin::Admin),
    Export(store::Export),
    Import(store::Import),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
}

/// Does some work on this thread, and says how often it asked the heap for memory. Only a program can count that, by
/// the allocator it chooses; see `src/main.rs`.
pub type AllocationCounter = fn(work: &mut dyn FnMut()) -> u64;

/// Runs the command line of this process.
pub fn main(counter: Option<AllocationCounter>) -> ExitCode {
    run(std::env::args_os(), counter)
}

fn run(arguments: impl IntoIterator<Item = OsString>, counter: Option<AllocationCounter>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => finish(arguments.command.run(arguments.format, counter)),
        Err(refusal) => {
            // A closed pipe is no reason to complain of `--help | head`.
            let _ = refusal.print();
            if refusal.use_stderr() { Exit::Unusable.into() } else { Exit::Fine.into() }
        }
    }
}

impl Command {
    fn run(self, format: Format, counter: Option<AllocationCounter>) -> Result<Answer, Failure> {
        match self {
            Command::Check(command) => command.run(format),
            Command::Compile(command) => command.run(format),
            Command::Explain(command) => command.run(format),
            Command::Eval(command) => command.run(format),
            Command::Fmt(command) => command.run(format),
            Command::Test(command) => command.run(format),
            Command::Show(command) => command.run(format),
            Command::Bench(command) => command.run(format, counter),
            Command::Publish(command) => command.run(format),
            Command::Token(command) => command.run(format),
            Command::Serve(command) => command.run(format),
            Command::ExtProc(command) => command.run(format),
            Command::Demo(command) => command.run(),
            Command::Admin(command) => command.run(format),
            Command::Export(command) => command.run(format),
            Command::Import(command) => command.run(format),
            Command::Schema(command) => command.run(),
            Command::Completions(command) => command.run(),
            Command::Man(command) => command.run(),
        }
    }
}

fn finish(done: Result<Answer, Failure>) -> ExitCode {
    match done.and_then(|answer| output::print(&answer.text).map(|()| answer.exit)) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            Exit::Unusable.into()
        }
    }
}
