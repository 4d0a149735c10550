//! How fast a log of 1 GiB is opened and checked: the log alone, and with the store on it.
//!
//! `cargo bench --bench recover [-- MIB SEGMENT_MIB log]`, with `log` for the log alone; set
//! `JIDOKA_BENCH_DIR` to measure another file system than that of the temporary directory. Each
//! log is read once beforehand, so that the page cache is warm, and opened five times; the median
//! is told. Reading the same files in chunks, by one thread and by two, is told beside it.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]
#![expect(clippy::print_stdout, reason = "a bench prints what it measured")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::os::OsVfs;
use jidoka::vfs::{FileExt, OpenMode, Runtime, Vfs, thread};
use jidoka::wal::{Durability, OpenSettings, Wal};

const ROUNDS: usize = 5;
const CHUNK: usize = 1 << 20;

/// What a log is full of: operations of a batch, and bytes of a value.
const SHAPES: [(&str, u64, usize); 3] =
    [("256 B", 1, 256), ("4 KiB", 1, 4096), ("1,000 x 256 B", 1000, 256)];

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|text| text.parse::<u64>().ok());
    let log_bytes = numbers.next().unwrap_or(1024) << 20;
    let segment_bytes = numbers.next().unwrap_or(16) << 20;
    let parent =
        std::env::var_os("JIDOKA_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    for (name, operations, value_bytes) in SHAPES {
        let dir = tempfile::tempdir_in(&parent).unwrap();
        let store = dir.path().join("store");
        write(&store, (log_bytes, segment_bytes), (operations, value_bytes));
        let log = store.join("wal");
        read_all(&log, 1);
        for readers in [1, 2] {
            tell(name, &format!("read by {readers}"), median(|| read_all(&log, readers)));
        }
        tell(name, "log alone", median(|| open_log(&store)));
        if !std::env::args().any(|text| text == "log") {
            tell(name, "store", median(|| open_store(&store)));
        }
    }
}

fn write(dir: &Path, (log_bytes, segment_bytes): (u64, u64), (operations, value): (u64, usize)) {
    let store = Store::builder(dir).segment_bytes(segment_bytes).open().unwrap();
    let keyspace = Keyspace::new("bench").unwrap();
    let (mut number, mut bytes) = (0_u64, vec![0; value]);
    while store.log_stats().active_segment * segment_bytes <= log_bytes {
        let mut batch = Batch::new();
        batch.durability(Durability::Memory);
        for _ in 0..operations {
            number += 1;
            // Keys in no order, values that no two are alike.
            let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let key = [random.to_le_bytes(), number.to_le_bytes()].concat();
            bytes.chunks_mut(8).for_each(|eight| eight.copy_from_slice(&random.to_le_bytes()));
            batch.put(&keyspace, &key, &bytes);
        }
        store.commit(batch).unwrap();
    }
    store.close().unwrap();
}

fn median(mut body: impl FnMut() -> (Duration, u64)) -> (Duration, u64) {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| body()).collect();
    times.sort_unstable();
    times.get(ROUNDS / 2).copied().unwrap()
}

fn tell(name: &str, what: &str, (time, bytes): (Duration, u64)) {
    let rate = bytes / u64::try_from(time.as_millis()).unwrap().max(1) / 1000;
    println!("{name:<14} {what:<10} {:>8.1} ms {rate:>6} MB/s", time.as_secs_f64() * 1e3);
}

fn read_all(log: &Path, readers: usize) -> (Duration, u64) {
    let names: Vec<_> = OsVfs.list(log).unwrap().into_iter().map(|entry| entry.name).collect();
    let started = Instant::now();
    let workers: Vec<_> = (0..readers)
        .map(|reader| {
            let mine: Vec<_> =
                names.iter().skip(reader).step_by(readers).map(|name| log.join(name)).collect();
            thread::spawn("reader", move || mine.iter().map(|path| read_one(path)).sum::<u64>())
                .unwrap()
        })
        .collect();
    let bytes = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    (started.elapsed(), bytes)
}

fn read_one(path: &Path) -> u64 {
    let file = OsVfs.open(path, OpenMode::Read).unwrap();
    let (mut buffer, mut offset) = (vec![0; CHUNK], 0);
    loop {
        let count = u64::try_from(file.read_up_to(&mut buffer, offset).unwrap()).unwrap();
        offset += count;
        if count == 0 {
            return offset;
        }
    }
}

fn open_log(dir: &Path) -> (Duration, u64) {
    let started = Instant::now();
    let settings = OpenSettings::default();
    let log = Wal::open(dir, &Runtime::default(), &settings, &mut |_| Ok(())).unwrap();
    let elapsed = started.elapsed();
    (elapsed, log.report().bytes)
}

fn open_store(dir: &Path) -> (Duration, u64) {
    let started = Instant::now();
    let store = Store::open(dir).unwrap();
    let elapsed = started.elapsed();
    (elapsed, store.recovery().bytes)
}
