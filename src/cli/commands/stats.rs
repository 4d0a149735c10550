//! `stats`: how large the store is, and where it stands.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use crate::base::{Error, Histogram, Lsn, Result, StoreId};
use crate::checkpoint::DIR_NAME as TABLES;
use crate::cli::context::{Context, Reading};
use crate::cli::run::Outcome;
use crate::doc::{DocumentsAt, Line, Listing};
use crate::store::{Namespace, ReadOnlyStore, Store, TableStats};
use crate::vfs::{OpenMode, Vfs};
use crate::wal::segment::{DIR_NAME, parse_file_name};
use crate::wal::{LogStats, RecoveryReport};

/// Say how large the store is, where its log stands and what recovery did
///
/// Opens the store, so it waits for no writer but exits 11 beside one.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  jidoka stats --json")]
pub(in crate::cli) struct StatsArgs {
    #[command(flatten)]
    reading: Reading,
}

pub(in crate::cli) fn run(args: &StatsArgs, context: &mut Context) -> Result<Outcome> {
    if args.reading.read_only {
        context.looking(|context, store| {
            let documents = DocumentsAt::over(store.snapshot());
            show(context, &documents, &Standing::of_looking(store))
        })?;
    } else {
        context.with_store(|context, documents| {
            show(context, &documents.now(), &Standing::of_open(documents.store()))
        })?;
    }
    Ok(Outcome::Done)
}

fn show(context: &mut Context, documents: &DocumentsAt, standing: &Standing<'_>) -> Result<()> {
    let line = gather(context, documents, standing)?.finish();
    if context.json {
        return context.out.line(&line);
    }
    let text = String::from_utf8_lossy(&line);
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut told = String::new();
    tell(&mut told, "", &value);
    context.out.text(&told)
}

/// Where the log stands.
struct Standing<'a> {
    store_id: StoreId,
    segment_bytes: u64,
    term: u64,
    lsn: Lsn,
    durable: Lsn,
    active_segment: u64,
    memory_bytes: usize,
    recovery: &'a RecoveryReport,
    /// What it did since it was opened; nothing, when it is only looked at.
    log: LogStats,
    tables: TableStats,
}

impl<'a> Standing<'a> {
    fn of_open(store: &'a Store) -> Self {
        let log = store.log_stats();
        Self {
            store_id: store.identity().store_id,
            segment_bytes: store.identity().segment_bytes,
            term: log.term,
            lsn: store.visible(),
            durable: store.durable(),
            active_segment: log.active_segment,
            memory_bytes: store.memory_bytes(),
            recovery: store.recovery(),
            log,
            tables: store.table_stats(),
        }
    }

    fn of_looking(store: &'a ReadOnlyStore) -> Self {
        Self {
            store_id: store.identity().store_id,
            segment_bytes: store.identity().segment_bytes,
            term: store.log().term.0,
            lsn: store.visible(),
            durable: store.claimed(),
            active_segment: store.log().segment.0,
            memory_bytes: store.memory_bytes(),
            recovery: store.recovery(),
            log: LogStats::default(),
            tables: store.table_stats(),
        }
    }
}

/// Everything, in the order of the contract.
fn gather(context: &Context, documents: &DocumentsAt, standing: &Standing<'_>) -> Result<Line> {
    let (vfs, store) = (context.runtime.vfs.as_ref(), context.store.as_path());
    let mut collections = Line::new();
    let mut total = 0;
    for name in documents.collections() {
        let mut count = 0;
        for document in documents.list(&name, &Listing::default())? {
            document?;
            count += 1;
        }
        collections = collections.number(&name, count);
        total += count;
    }
    let keyspaces = documents.snapshot().keyspaces();
    let plain = keyspaces.iter().filter(|one| one.namespace() == Namespace::Keyspace).count();
    Ok(Line::new()
        .text("store_id", &standing.store_id.to_string())
        .number("term", standing.term)
        .number("lsn", standing.lsn.0)
        .number("durable_lsn", standing.durable.0)
        .number("documents", total)
        .value("keyspaces", &json!(plain))
        .object("collections", collections)
        .object("log", log_line(standing, &segments_of(vfs, store, standing.active_segment)?))
        .object("tables", tables_line(&standing.tables, table_bytes(vfs, store)?))
        .number("disk_bytes", disk_bytes(vfs, store)?)
        .value("memory_bytes", &json!(standing.memory_bytes))
        .object("recovery", recovery_line(standing.recovery))
        .object("since_open", work_line(&standing.log, &standing.tables))
        .flag("clock_suspect", standing.log.clock_suspect))
}

fn log_line(standing: &Standing<'_>, files: &Segments) -> Line {
    Line::new()
        .number("segments", files.segments)
        .number("bytes", files.bytes)
        .number("pool", files.pool)
        .number("free", standing.log.free_segments)
        .number("oldest_lsn", standing.log.oldest.0)
        .number("pins", standing.log.pins)
        .number("held_bytes", standing.log.held_bytes)
        .number("segment_bytes", standing.segment_bytes)
}

fn tables_line(tables: &TableStats, bytes: u64) -> Line {
    Line::new()
        .number("tables", tables.tables)
        .number("runs", tables.runs)
        .number("bytes", bytes)
        .number("checkpoint_lsn", tables.checkpoint.0)
        .number("cache_bytes", tables.cache_bytes)
}

fn recovery_line(recovery: &RecoveryReport) -> Line {
    Line::new()
        .number("segments", recovery.segments)
        .number("records", recovery.records)
        .number("bytes", recovery.bytes)
        .value("seconds", &json!(recovery.seconds))
        .number("bytes_per_s", recovery.bytes_per_second())
        .number("cut_bytes", recovery.cut_bytes)
        .number("rewritten_bytes", recovery.rewritten_bytes)
        .text("case", recovery.case)
}

fn work_line(log: &LogStats, tables: &TableStats) -> Line {
    let pool = Line::new()
        .number("hits", log.pool_hits)
        .number("misses", log.pool_misses)
        .number("waits", log.pool_waits)
        .number("delay_us", log.pool_delay_micros)
        .number("filled", log.filled_segments)
        .number("zeroed_bytes", log.zeroed_bytes)
        .number("recycled", log.recycled_segments);
    let tables = Line::new()
        .number("checkpoints", tables.checkpoints)
        .number("merges", tables.merges)
        .number("written_bytes", tables.written_bytes)
        .number("waits", tables.waits)
        .number("cache_hits", tables.cache_hits)
        .number("cache_misses", tables.cache_misses);
    Line::new()
        .number("commits", log.commits)
        .number("groups", log.groups)
        .number("syncs", log.syncs)
        .number("written_bytes", log.written_bytes)
        .object("commit_us", spread(&log.commit_micros))
        .object("group_commits", spread(&log.group_commits))
        .object("pool", pool)
        .object("tables", tables)
}

fn spread(values: &Histogram) -> Line {
    Line::new()
        .number("count", values.count())
        .number("p50", values.permille(500))
        .number("p99", values.permille(990))
        .number("p999", values.permille(999))
        .number("max", values.max())
}

struct Segments {
    segments: u64,
    bytes: u64,
    pool: u64,
}

/// The files of the log; those after the active one are prepared for later.
fn segments_of(vfs: &dyn Vfs, store: &Path, active: u64) -> Result<Segments> {
    let dir = store.join(DIR_NAME);
    let fail = |error| Error::io("list the log", Path::new(DIR_NAME), error);
    let mut found = Segments { segments: 0, bytes: 0, pool: 0 };
    for entry in vfs.list(&dir).map_err(fail)? {
        match parse_file_name(&entry.name) {
            Some(number) if number.0 > active => found.pool += 1,
            Some(_) => {
                found.segments += 1;
                found.bytes += size(vfs, &dir.join(&entry.name))?;
            }
            None => {}
        }
    }
    Ok(found)
}

/// Bytes of the files of tables.
fn table_bytes(vfs: &dyn Vfs, store: &Path) -> Result<u64> {
    let dir = store.join(TABLES);
    let entries = match vfs.list(&dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        listed => listed.map_err(|error| Error::io("list the tables", &dir, error))?,
    };
    entries.iter().map(|entry| size(vfs, &dir.join(&entry.name))).sum()
}

fn disk_bytes(vfs: &dyn Vfs, dir: &Path) -> Result<u64> {
    let entries = vfs.list(dir).map_err(|error| Error::io("list the files", dir, error))?;
    let mut bytes = 0;
    for entry in entries {
        let path = dir.join(&entry.name);
        bytes += if entry.is_dir { disk_bytes(vfs, &path)? } else { size(vfs, &path)? };
    }
    Ok(bytes)
}

/// A file that its owner has just renamed or removed takes no space under this name.
fn size(vfs: &dyn Vfs, path: &Path) -> Result<u64> {
    match vfs.open(path, OpenMode::Read).and_then(|file| file.size()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        size => size.map_err(|error| Error::io("look at the size of", path, error)),
    }
}

/// For people: a line for each number, with the path to it.
fn tell(told: &mut String, name: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (inner, value) in members {
                let inner = if name.is_empty() { inner.clone() } else { format!("{name} {inner}") };
                tell(told, &inner, value);
            }
        }
        Value::String(text) => told.push_str(&format!("{name:<26} {text}\n")),
        other => told.push_str(&format!("{name:<26} {other}\n")),
    }
}
