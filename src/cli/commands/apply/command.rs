//! The command: its arguments, and the run from the first line to the last.

use std::io::{self, BufRead};
use std::path::Path;

use clap::{Args, ValueEnum};

use crate::base::{Error, ErrorKind, Result};
use crate::cli::context::Context;
use crate::cli::run::Outcome;
use crate::doc::{Documents, Line, WriteOptions};
use crate::wal::Durability;

use super::answer::{Answers, applied_line, synced_line};
use super::parse::{Asked, parse};
use super::pool;
use super::read::{Input, LINE_BYTES_MAX, next_line};

/// Do the operations of another program
///
/// Reads one JSON operation a line from standard input and answers each with one JSON line, when
/// it is as durable as asked. With several threads, answers come as they are ready; operations on
/// the same document or key keep their order. A bad line is answered with an error and the rest
/// goes on; the exit code is 3 then.
#[derive(Args, Debug)]
#[command(
    after_help = "Operations: put, patch, delete, kv_put, kv_delete, batch, sync, checkpoint.\n\n\
                  Example:\n  echo '{\"op\":\"put\",\"collection\":\"pots\",\"id\":\"p1\",\"doc\":\
                  {\"colour\":\"red\"}}' | jidoka apply"
)]
pub(in crate::cli) struct ApplyArgs {
    /// How durable an operation is when it is answered
    #[arg(long, value_enum, default_value_t = DurabilityArg::Sync)]
    durability: DurabilityArg,
    /// Operations done at once
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    threads: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// It survives a power cut
    Sync,
    /// It survives the end of the process
    Buffered,
    /// It survives nothing yet
    Memory,
}

pub(in crate::cli) fn run(args: &ApplyArgs, context: &mut Context) -> Result<Outcome> {
    let durability = match args.durability {
        DurabilityArg::Sync => Durability::Sync,
        DurabilityArg::Buffered => Durability::Buffered,
        DurabilityArg::Memory => Durability::Memory,
    };
    let options = context.write_options(durability);
    context.with_store_or_new(|context, documents| {
        let answers = Answers::new(&mut context.out);
        let mut input = io::stdin().lock();
        if args.threads == 1 {
            one_by_one(documents, &options, &mut input, answers)
        } else {
            pool::run(documents, &options, args.threads, (&mut input, answers))
        }
    })
}

/// Lines with their numbers from 1, and what they ask for.
pub(super) fn next_asked(
    input: &mut dyn BufRead,
    n: &mut u64,
) -> Result<Option<Result<(Asked, usize)>>> {
    let line = next_line(input, LINE_BYTES_MAX)
        .map_err(|error| Error::io("read the operations", Path::new("standard input"), error))?;
    *n += 1;
    Ok(line.map(|line| match line {
        Input::Line(line) => parse(&line).map(|asked| (asked, line.len())),
        Input::TooLong => {
            let what = format!("the line is longer than {LINE_BYTES_MAX} bytes; split it");
            Err(Error::new(ErrorKind::Invalid, what))
        }
    }))
}

fn one_by_one(
    documents: &Documents,
    options: &WriteOptions,
    input: &mut dyn BufRead,
    mut answers: Answers<'_>,
) -> Result<Outcome> {
    let mut n = 0;
    while answers.can_answer()
        && let Some(asked) = next_asked(input, &mut n)?
    {
        answers.give(n, asked.and_then(|(asked, _)| perform(documents, options, n, asked)));
    }
    answers.finish()
}

/// Does what a line asks for.
pub(super) fn perform(
    documents: &Documents,
    options: &WriteOptions,
    n: u64,
    asked: Asked,
) -> Result<Line> {
    match asked {
        Asked::Sync => {
            documents.store().sync()?;
            Ok(synced_line(n, documents.store().durable().0))
        }
        Asked::Checkpoint => {
            documents.store().checkpoint()?;
            Ok(synced_line(n, documents.store().table_stats().checkpoint.0))
        }
        Asked::Write { operations, request, is_batch } => {
            let options = WriteOptions { request, ..options.clone() };
            let applied = documents.apply(&operations, &options)?;
            Ok(applied_line(n, &applied, is_batch))
        }
    }
}
