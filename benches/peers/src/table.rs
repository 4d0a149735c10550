//! What is printed.

use serde_json::{Map, Value, json};

use crate::summary::{Row, Syncs};
use crate::work::{Manner, Work};

/// Columns: title, figure, decimals.
type Column = (&'static str, &'static str, usize);

const COMMITS: &[Column] = &[
    ("entries/s", "per_second", 0),
    ("p50 µs", "p50_us", 1),
    ("p99 µs", "p99_us", 1),
    ("CPU µs/commit", "cpu_us", 1),
];
const LONE: &[Column] = &[
    ("of raw", "raw_cpu_us", 1),
    ("raw p50", "raw_p50_us", 1),
    ("direct p50", "direct_p50_us", 1),
    ("p50 ratio", "ratio", 3),
    ("low", "ratio_low", 3),
    ("high", "ratio_high", 3),
    ("p99 ratio", "p99_ratio", 2),
    ("turns", "turns", 0),
];
const TOGETHER: &[Column] = &[
    ("disk: commits/flush", "commits_per_flush", 1),
    ("disk: bytes/byte", "device_bytes_per_byte", 2),
];
const REOPEN: &[Column] = &[
    ("ms", "milliseconds", 0),
    ("MB/s of keys and values", "mb_per_second", 0),
    ("CPU ms", "cpu_ms", 0),
    ("log bytes/byte", "log_bytes_per_byte", 2),
];

const INGEST: &[Column] = &[
    ("entries/s", "per_second", 0),
    ("batch p50 µs", "p50_us", 0),
    ("p99 µs", "p99_us", 0),
    ("longest µs", "longest_us", 0),
    ("disk: bytes/byte acknowledged", "device_bytes_per_byte", 2),
    ("of its own", "own_bytes_per_byte", 2),
    ("settled", "settled_device_bytes_per_byte", 2),
    ("of its own", "settled_own_bytes_per_byte", 2),
    ("seconds to settle", "settle_seconds", 1),
    ("files/live", "files_per_live", 2),
    ("clean open ms", "open_ms", 1),
];
const READS: &[Column] = &[
    ("gets/s, 1 thread", "gets_1", 0),
    ("2 threads", "gets_2", 0),
    ("absent/s", "absent", 0),
    ("scan entries/s", "scan", 0),
    ("compacted: gets/s, 1 thread", "compacted_gets_1", 0),
    ("2 threads", "compacted_gets_2", 0),
    ("absent/s", "compacted_absent", 0),
    ("scan entries/s", "compacted_scan", 0),
    ("seconds to compact", "compact_seconds", 1),
    ("files/live", "compacted_files_per_live", 2),
];
const OVERWRITE: &[Column] = &[
    ("entries/s", "per_second", 0),
    ("p99 µs", "p99_us", 0),
    ("longest µs", "longest_us", 0),
    ("disk: bytes/byte settled", "settled_device_bytes_per_byte", 2),
    ("of its own", "settled_own_bytes_per_byte", 2),
    ("seconds to settle", "settle_seconds", 1),
    ("files/live", "files_per_live", 2),
    ("closed", "closed_files_per_live", 2),
];
const LATENCY: &[Column] = &[
    ("puts/s", "per_second", 0),
    ("p50 µs", "p50_us", 0),
    ("p99", "p99_us", 0),
    ("p99.9", "p999_us", 0),
    ("longest", "longest_us", 0),
    ("raw p50", "raw_p50_us", 0),
    ("p99", "raw_p99_us", 0),
    ("p99.9", "raw_p999_us", 0),
    ("longest", "raw_longest_us", 0),
    ("p99.9 to raw", "p999_ratio", 2),
    ("> 10 ms", "over_10_ms", 0),
    ("> 50 ms", "over_50_ms", 0),
    ("raw > 10 ms", "raw_over_10_ms", 0),
    ("raw > 50 ms", "raw_over_50_ms", 0),
    ("commits that waited", "waits", 0),
    ("checkpoints", "checkpoints", 0),
    ("merges", "merges", 0),
    ("MB/s behind", "behind_mb_per_second", 1),
];

fn columns(work: Work) -> Vec<Vec<Column>> {
    let mut tables = match work.manner {
        Manner::Lone => vec![[COMMITS, LONE].concat()],
        Manner::Together => vec![[COMMITS, TOGETHER].concat()],
        Manner::Reopen => vec![REOPEN.to_vec()],
        Manner::Ingest => vec![INGEST.to_vec(), READS.to_vec()],
        Manner::Overwrite => vec![OVERWRITE.to_vec()],
        Manner::Latency => vec![LATENCY.to_vec()],
    };
    for columns in &mut tables {
        columns.push(("others' CPU %", "others_cpu_percent", 0));
    }
    tables
}

fn syncs(row: &Row) -> String {
    match row.syncs {
        Syncs::Covered(commits) => format!("{commits:.1}"),
        Syncs::NotDurable { commits, syncs } => {
            format!("**NOT DURABLE**: {syncs} syncs for {commits} commits")
        }
        Syncs::NotCounted(_) => "–".to_owned(),
    }
}

/// Tables of Markdown, best first.
pub fn markdown(work: Work, rows: &[Row]) -> String {
    let tables: Vec<String> =
        columns(work).iter().map(|columns| one_table(work, columns, rows)).collect();
    format!("\n### `{}`: {}\n\n{}", work.name, work.title, tables.join("\n"))
}

fn one_table(work: Work, columns: &[Column], rows: &[Row]) -> String {
    let counted = work.is_traced();
    let mut titles: Vec<&str> = vec!["engine"];
    titles.extend(columns.iter().map(|(title, ..)| *title));
    if counted {
        titles.push("traced: commits/sync");
    }
    let mut text = line(titles.iter().map(|title| (*title).to_owned()));
    text += &line(titles.iter().map(|_| "---".to_owned()));
    let mut rows: Vec<&Row> = rows.iter().collect();
    rows.sort_by(|a, b| slowness(a).total_cmp(&slowness(b)));
    for row in rows {
        let mut cells = vec![row.kind.name.to_owned()];
        cells.extend(columns.iter().map(|(_, name, decimals)| {
            row.figure(name).map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
        }));
        if counted {
            cells.push(syncs(row));
        }
        text += &line(cells.into_iter());
        for failure in &row.failures {
            text += &line([format!("{} failed: {failure}", row.kind.name)].into_iter());
        }
    }
    text
}

/// What the rows of a table are sorted by: where rounds were not equally quiet, the ratio is.
fn slowness(row: &Row) -> f64 {
    let by = |name| row.figure(name);
    let speed = by("per_second").or_else(|| by("mb_per_second"));
    by("ratio").or_else(|| speed.map(|speed| -speed)).unwrap_or(f64::INFINITY)
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A line of JSON for each row: medians, and under `rounds` what each round said.
pub fn json(rows: &[Row]) -> String {
    let lines: Vec<String> = rows.iter().map(|row| object(row).to_string()).collect();
    lines.join("\n")
}

fn object(row: &Row) -> Value {
    let mut object = Map::new();
    let mut rounds = Map::new();
    object.insert("work".into(), json!(row.work.name));
    object.insert("engine".into(), json!(row.kind.name));
    for name in row.names() {
        object.insert(name.clone(), json!(row.figure(name)));
        rounds.insert(name.clone(), json!(row.each(name)));
    }
    let (durable, per_sync) = match row.syncs {
        Syncs::Covered(commits) => (Value::Bool(true), json!(commits)),
        Syncs::NotDurable { .. } => (Value::Bool(false), Value::Null),
        Syncs::NotCounted(_) => (Value::Null, Value::Null),
    };
    object.insert("durable".into(), durable);
    object.insert("commits_per_sync".into(), per_sync);
    object.insert("failures".into(), json!(row.failures));
    object.insert("rounds".into(), Value::Object(rounds));
    Value::Object(object)
}
