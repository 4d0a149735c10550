//! From the program's arguments to its exit code.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapErrorKind;

use crate::base::{Error, ErrorKind, Result};

use super::args::{Cli, Command, LogCommand};
use super::commands;
use super::context::Context;
use super::output;

/// What a command came to, when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was done.
    Done,
    /// The report says which items failed.
    Partly,
    /// The report lists damage.
    Damaged,
    /// The report says what failed, and nothing more will succeed.
    Failed,
}

impl Outcome {
    const fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Partly => 3,
            Self::Damaged => 13,
            Self::Failed => 1,
        }
    }
}

/// Runs the program with the arguments it was started with.
#[must_use]
pub fn main() -> ExitCode {
    program(dispatch)
}

/// [`main`], with the crash lab for `simulate`.
#[cfg(feature = "sim")]
#[must_use]
pub fn main_with_lab(lab: super::lab::Lab) -> ExitCode {
    program(|command, context| match command {
        Command::Simulate(args) => commands::simulate::run(&args, lab, context),
        command => dispatch(command, context),
    })
}

fn program(dispatch: impl FnOnce(Command, &mut Context) -> Result<Outcome>) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(usage(&error)),
    };
    let mut context = Context::new(cli.global);
    let outcome = dispatch(cli.command, &mut context).and_then(|outcome| {
        context.out.flush()?;
        Ok(outcome)
    });
    ExitCode::from(match outcome {
        Ok(outcome) => outcome.exit_code(),
        // Whoever reads the results has seen enough.
        Err(error) if output::is_closed_pipe(&error) => 0,
        Err(error) => {
            // What was found before the failure still belongs to the result.
            let _ignored = context.out.flush();
            output::report(&error, context.json);
            exit_code(error.kind())
        }
    })
}

fn dispatch(command: Command, context: &mut Context) -> Result<Outcome> {
    match command {
        Command::Demo(args) => commands::demo::run(&args, context),
        Command::Put(args) => commands::put::run(args, context),
        Command::Get(args) => commands::get::run(&args, context),
        Command::Delete(args) => commands::delete::run(args, context),
        Command::Patch(args) => commands::patch::run(args, context),
        Command::List(args) => commands::list::run(args, context),
        Command::Query(args) => commands::query::run(&args, context),
        Command::Changes(args) => commands::changes::run(args, context),
        Command::Import(args) => commands::import::run(args, context),
        Command::Export(args) => commands::export::run(&args, context),
        Command::Apply(args) => commands::apply::run(&args, context),
        Command::Dump(args) => commands::dump::run(&args, context),
        Command::Backup(args) => commands::backup::run(&args, context),
        Command::Restore(args) => commands::restore::run(args, context),
        Command::Verify(args) => commands::verify::run(&args, context),
        Command::Bench(args) => commands::bench::run(args, context),
        Command::Checkpoint(_) => commands::checkpoint::checkpoint(context),
        Command::Compact(_) => commands::checkpoint::compact(context),
        Command::Stats(args) => commands::stats::run(&args, context),
        Command::Log(LogCommand::List) => commands::log_list::run(context),
        Command::Log(LogCommand::Dump(args)) => commands::log_dump::run(&args, context),
        Command::Log(LogCommand::Salvage(args)) => commands::log_salvage::run(&args, context),
        Command::Log(LogCommand::Tail(args)) => commands::log_tail::run(&args, context),
        Command::Inspect(args) => commands::inspect::run(&args, context),
        #[cfg(feature = "sim")]
        Command::Simulate(_) => {
            let what = "this program was started without the crash lab";
            Err(Error::new(ErrorKind::Unsupported, what))
        }
    }
}

/// The exit code of a failure.
const fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Invalid => 2,
        ErrorKind::NotFound => 4,
        ErrorKind::Conflict => 5,
        ErrorKind::Refused => 6,
        ErrorKind::Locked => 11,
        ErrorKind::Corrupt => 13,
        ErrorKind::Unreachable => 14,
        ErrorKind::Expired => 15,
        ErrorKind::Diverged => 16,
        ErrorKind::Full | ErrorKind::Io => 74,
        ErrorKind::Unsupported
        | ErrorKind::ReadOnly
        | ErrorKind::Closed
        | ErrorKind::Poisoned
        | ErrorKind::OutcomeUnknown
        | ErrorKind::Bug => 1,
    }
}

/// Prints help or the version where they were asked for, else what is wrong with the arguments.
fn usage(error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    match error.kind() {
        ClapErrorKind::DisplayHelp | ClapErrorKind::DisplayVersion => {
            // Nobody is left to be told that the help could not be printed.
            let _unheard = output::Output::new().text(&text);
            0
        }
        _ => {
            let what = one_sentence(&text);
            let json = std::env::args_os().any(|argument| argument == "--json");
            output::report(&Error::new(ErrorKind::Invalid, what), json);
            exit_code(ErrorKind::Invalid)
        }
    }
}

/// What is wrong with the arguments, without the paragraphs around it.
fn one_sentence(text: &str) -> String {
    let mut sentence = String::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for line in lines.take_while(|line| !line.starts_with("Usage:")) {
        if line.starts_with("For more information") {
            break;
        }
        match sentence.chars().last() {
            None => {}
            Some(':') => sentence.push(' '),
            Some(_) => sentence.push_str("; "),
        }
        sentence.push_str(line.trim_start_matches("error: "));
    }
    sentence + "; --help explains the arguments"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_arguments_are_told_in_one_sentence() {
        for arguments in [&["jidoka"][..], &["jidoka", "get"], &["jidoka", "put", "--bogus"]] {
            let error = Cli::try_parse_from(arguments).unwrap_err();
            let told = one_sentence(&error.render().to_string());
            assert!(!told.contains('\n') && !told.contains("Usage"), "{told}");
            assert!(told.ends_with("--help explains the arguments"), "{told}");
        }
    }

    #[test]
    fn every_kind_of_error_has_the_exit_code_of_the_contract() {
        for (kind, code) in [
            (ErrorKind::Unsupported, 1),
            (ErrorKind::Invalid, 2),
            (ErrorKind::NotFound, 4),
            (ErrorKind::Conflict, 5),
            (ErrorKind::Refused, 6),
            (ErrorKind::Locked, 11),
            (ErrorKind::Corrupt, 13),
            (ErrorKind::Unreachable, 14),
            (ErrorKind::Expired, 15),
            (ErrorKind::Diverged, 16),
            (ErrorKind::Full, 74),
        ] {
            assert_eq!(exit_code(kind), code, "{kind}");
        }
    }

    #[test]
    fn the_arguments_are_declared_without_contradictions() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
