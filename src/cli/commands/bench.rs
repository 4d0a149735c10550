//! `bench`: what the store costs beside the disk's own calls.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use crate::base::Result;
use crate::cli::context::Context;
use crate::cli::output::{self, Output};
use crate::cli::run::Outcome;
use crate::doc::Line;
use crate::ops::bench::{BenchKind, BenchRequest, Event, Measurement, bench, place};

/// Time between lines that say that it goes on.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// What is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kind {
    /// Lone durable commits of 256 B, then of 4096 B, in turns with raw writes of the same pages
    Commit,
    /// Durable commits of many threads, in turns with as many threads that write raw pages
    Group,
    /// Asynchronous commits of one thread, at most 1,000 under way, each counted when it is durable
    Async,
    /// Durable batches of 1,000 values, in turns with raw writes of the same pages
    Ingest,
    /// The time to open what a killed writer left
    Recover,
    /// Which way of making a page durable this disk likes
    Calibrate,
}

/// Measure what the store costs beside the disk itself
///
/// Works in a fresh directory beside the store, on its file system, and removes it afterwards;
/// one that is left after the bench was killed has a name that begins with .jidoka-bench- and
/// can be removed. Takes at most about 1 GiB of space and 64 MiB of values at a time. Prints one
/// line for each measurement; ratio compares what was measured in turns, so it means something
/// also on a busy machine: latency to raw latency for commit and calibrate, throughput to raw
/// throughput otherwise.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  jidoka bench commit\n  \
                        jidoka bench group --threads 1,64 --seconds 10")]
pub(in crate::cli) struct BenchArgs {
    /// What to measure
    kind: Kind,
    /// Time for each line
    #[arg(long, value_name = "S", default_value = "5", value_parser = parse_seconds)]
    seconds: Duration,
    /// For group: how many threads commit, one measurement for each number
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', default_value = "1,4,16,64",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Vec<u16>,
    /// Bytes of each value, up to 8 MiB
    #[arg(long, value_name = "B", value_parser = clap::value_parser!(u32).range(0..=8 << 20))]
    value_bytes: Option<u32>,
    /// Let the stores write past the page cache, in one call in place of a write and a sync
    #[arg(long)]
    write_through: bool,
    /// For ingest and recover: measure the log by itself, without keys. Ingest then releases what
    /// it wrote as it goes, so that the files are used again
    #[arg(long)]
    log_alone: bool,
    /// For recover: with nothing of the log in the page cache. For ingest with --log-alone: release
    /// nothing, so that each segment is filled with zeroes first, as ingest without it always does
    #[arg(long)]
    cold: bool,
    /// For recover: bytes of log, if the time is enough to write them; takes twice the space
    #[arg(long, value_name = "B", default_value_t = 256 << 20,
          value_parser = clap::value_parser!(u64).range(1 << 20..=4 << 30))]
    log_bytes: u64,
    /// A directory on the file system to measure, instead of the one beside the store
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

fn parse_seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.05..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give 0.05 to 3600 seconds".to_owned())
}

pub(in crate::cli) fn run(args: BenchArgs, context: &mut Context) -> Result<Outcome> {
    let parent = match &args.dir {
        Some(dir) => place::checked(dir)?,
        None => place::beside(&context.store)?,
    };
    let request = BenchRequest {
        kind: match args.kind {
            Kind::Commit => BenchKind::Commit,
            Kind::Group => BenchKind::Group,
            Kind::Async => BenchKind::Async,
            Kind::Ingest => BenchKind::Ingest,
            Kind::Recover => BenchKind::Recover,
            Kind::Calibrate => BenchKind::Calibrate,
        },
        parent,
        time: args.seconds,
        threads: args.threads,
        value_bytes: args.value_bytes,
        write_through: args.write_through,
        log_alone: args.log_alone,
        cold: args.cold,
        log_bytes: args.log_bytes,
    };
    let (clock, quiet) = (context.runtime.clock.clone(), context.quiet);
    let mut noted = clock.monotonic();
    let runtime = context.runtime.clone();
    let out = &mut context.out;
    let mut tell = |event: Event<'_>| match event {
        Event::Measured(measured) => print(out, measured),
        Event::Skipped(what) => {
            if !quiet {
                output::note(&format!("not measured: {what}"));
            }
            Ok(())
        }
        Event::Going(what) => {
            let now = clock.monotonic();
            if !quiet && now.saturating_sub(noted) >= NOTE_EVERY {
                noted = now;
                output::note(what);
            }
            Ok(())
        }
    };
    bench(&request, &runtime, &mut tell)?;
    Ok(Outcome::Done)
}

/// One line, at once.
fn print(out: &mut Output, said: &Measurement) -> Result<()> {
    let raw = Line::new()
        .value("p50_us", &json!(said.raw.p50_us))
        .value("p99_us", &json!(said.raw.p99_us))
        .value("ops_per_s", &json!(said.raw.ops_per_s));
    let mut line = Line::new().text("bench", said.bench);
    if let Some((sync, file)) = said.way {
        line = line.text("sync", sync).text("file", file);
    }
    line = line
        .number("threads", said.threads)
        .number("value_bytes", said.value_bytes)
        .number("ops", said.ops)
        .value("seconds", &json!(said.seconds))
        .value("ops_per_s", &json!(said.ops_per_s))
        .value("p50_us", &json!(said.p50_us))
        .value("p99_us", &json!(said.p99_us))
        .value("p999_us", &json!(said.p999_us))
        .number("syncs", said.syncs)
        .object("raw", raw)
        .value("ratio", &json!(said.ratio));
    if said.ingested.is_some() || said.recovered.is_some() {
        line = line.value("log_alone", &json!(said.log_alone)).value("cold", &json!(said.cold));
    }
    if let Some(ingested) = &said.ingested {
        line = line
            .value("device_bytes_per_byte", &json!(ingested.device_bytes_per_byte))
            .value("zeroed_bytes_per_byte", &json!(ingested.zeroed_bytes_per_byte))
            .number("filled", ingested.filled)
            .number("recycled", ingested.recycled);
    }
    if let Some(recovered) = &said.recovered {
        line = line
            .number("log_bytes", recovered.log_bytes)
            .value("bytes_per_s", &json!(recovered.bytes_per_s))
            .value("first_get_ms", &json!(recovered.first_get_ms));
    }
    out.line(&line.finish())?;
    out.flush()
}
