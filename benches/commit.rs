//! What a durable commit costs beside the disk's own write and sync, alone and in company.
//!
//! `cargo bench --bench commit`; set `JIDOKA_BENCH_DIR` to measure another file system than that
//! of the temporary directory. The raw figure is a 4 KiB write and a data sync on a file prepared
//! as a segment is.
#![expect(clippy::unwrap_used, clippy::as_conversions, reason = "a bench that cannot go on stops")]
#![expect(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jidoka::store::{Batch, Keyspace, Store};
use jidoka::vfs::os::OsVfs;
use jidoka::vfs::{File, FileExt, OpenMode, Vfs, thread};

fn fresh_dir() -> tempfile::TempDir {
    let parent =
        std::env::var_os("JIDOKA_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).unwrap()
}

/// A file of zeroes that were really written, page by page.
fn prepared_file(dir: &tempfile::TempDir) -> Arc<dyn File> {
    let file = OsVfs.open(&dir.path().join("raw"), OpenMode::CreateNew).unwrap();
    for page in 0..1024 {
        file.write_all_at(&[0; 4096], page * 4096).unwrap();
    }
    file.sync_all().unwrap();
    file
}

fn put(store: &Store, keyspace: &Keyspace, number: u64) {
    let mut batch = Batch::new();
    batch.put(keyspace, &number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(), &[7; 256]);
    store.commit(batch).unwrap();
}

/// Time for `total` commits by `threads` committers.
fn commit_by(store: &Store, keyspace: &Keyspace, threads: u64, total: u64) -> Duration {
    let started = Instant::now();
    let workers: Vec<_> = (0..threads)
        .map(|worker| {
            let (store, keyspace) = (store.clone(), keyspace.clone());
            let body = move || {
                (0..total / threads).for_each(|n| put(&store, &keyspace, n * threads + worker));
            };
            thread::spawn("committer", body).unwrap()
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
    started.elapsed()
}

fn commits(criterion: &mut Criterion) {
    let dir = fresh_dir();
    let mut group = criterion.benchmark_group("commit");
    group.sample_size(20).throughput(Throughput::Elements(1));
    let raw = prepared_file(&dir);
    let mut page = 0;
    group.bench_function("raw 4 KiB write and sync", |bencher| {
        bencher.iter(|| {
            page = (page + 1) % 1024;
            raw.write_all_at(&[7; 4096], page * 4096).unwrap();
            raw.sync_data().unwrap();
        });
    });
    let store = Store::open(dir.path().join("store")).unwrap();
    let keyspace = Keyspace::new("bench").unwrap();
    for threads in [1, 16, 64] {
        group.bench_function(format!("256 B, {threads} threads"), |bencher| {
            bencher.iter_custom(|count| {
                let total = count.max(threads).next_multiple_of(threads);
                let elapsed = commit_by(&store, &keyspace, threads, total);
                elapsed.mul_f64(count as f64 / total as f64)
            });
        });
    }
    group.finish();
    store.close().unwrap();
}

criterion_group!(benches, commits);
criterion_main!(benches);
