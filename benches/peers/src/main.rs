//! jidoka beside its peers: commits alone and in groups, what is taken in, read and opened again.
//!
//! ```sh
//! cd benches/peers
//! cargo run --release -- --rounds 3 --seconds 3 --bytes 1GiB
//! cargo run --release -- --work group-64 --engines jidoka,surrealkv-prefilled --json
//! cargo run --release --features rocksdb                  # takes minutes more to build
//! cargo run --release --no-default-features               # jidoka and raw alone, built in seconds
//! ```
//!
//! # How it compares
//!
//! - Each engine runs in a process of its own for each round, which is this program started again
//!   with `--child`; within a round the engines take turns, and each round begins with another.
//! - 16-byte random keys, values that are slices of random bytes, no compression, a cache of
//!   512 MiB, checksums as each engine has them by default. The versions are pinned in
//!   `Cargo.toml`, the options are in `engines/`, one file each.
//! - `ingest` is two processes: the first takes the keys in, waits until it is idle, reads and
//!   closes; the second opens what that left, which is the clean open, compacts where there is such
//!   a thing, and reads again. Each reading begins with as many random gets as there are keys,
//!   which are not counted, as is the first of the scans. A thread reads in one snapshot or
//!   transaction where an engine has such, and touches a byte of each 64 of a value.
//! - Idle is an engine whose process has for 0.8 s taken no processor time to speak of and left its
//!   files as large as they are; then the kernel writes what it holds back. Files are counted by
//!   the blocks they take, live bytes by keys and values.
//! - `latency` has turns of a second: the store's, then raw's, beside which a thread writes and
//!   syncs, ten times a second, what the store wrote behind its commits in its turn.
//! - A lone commit is measured in blocks of 200, each followed by as many of `raw` and of
//!   `raw-direct` in files beside it: what the disk does meanwhile, it does to all three. The
//!   ratio is the median over these turns of p50 to the p50 of the faster raw of the turn.
//! - A log's `raw` is what any log must do at least: write the whole pages that the entries take.
//! - Work that is asynchronous (surrealkv) runs as tasks, with one thread on a runtime of one.
//!
//! # What counts as durable
//!
//! Nothing that an engine says. A last round runs each engine under `strace`, for a second, and
//! counts the sync calls and the writes to descriptors opened for synchronised data that returned
//! success while commits were acknowledged. A sync covers at most one commit for each committing
//! thread, so an engine with more commits than threads times syncs is told as NOT DURABLE. The
//! engine `unsynced` is a negative control: it must be told so, or the count is blind. `strace`
//! was chosen because it is outside of the process: a preloaded library sees no calls of engines
//! that do not go through the C library, and the disk's own count of flushes includes everybody
//! else's. That count is printed too, from `/proc/diskstats`, of the rounds that are not traced.
//!
//! # On a busy machine
//!
//! Where the kernel preempts at its tick only (`PREEMPT_NONE`, 250 Hz), a thread whose sync is
//! through waits for up to 4 ms while anybody computes, and every percentile says 4 ms. The whole
//! comparison can be run with `chrt -r 1` then: it comes before the others, while the kernel's own
//! threads do not, so that files that grow, whose syncs wait for the file system's thread, still
//! look slower than they are. `others' CPU %` says what others took of the processors' time.
//!
//! # Bounds
//!
//! A run ends after `--seconds`, or when it has committed `--bytes`; the working directory is
//! in the package's `target`, or in `--dir`, and is removed at the end; one that a kill left begins
//! with `.jidoka-peers-`.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "outside the engine: real files, clocks, threads and locks, and a table on stdout"
)]
#![cfg_attr(
    not(feature = "peers"),
    allow(dead_code, reason = "some of what all engines share, only the peers need")
)]

mod arguments;
mod child;
mod committer;
mod disk;
mod engine;
mod engines;
mod histogram;
mod ingest;
mod latency;
mod numbers;
mod others;
mod overwrite;
mod paired;
mod random;
mod reads;
mod reopen;
mod session;
mod settle;
mod summary;
mod syncs;
mod table;
mod work;

use std::process::ExitCode;

/// Whatever went wrong, told to the person at the terminal.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, rest @ ..] = arguments.as_slice()
        && first == "--child"
    {
        return child::run(&child::Order::from_json(rest)?);
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{}", arguments::help());
        return Ok(());
    }
    session::run(&arguments::Settings::from(&arguments)?)
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("jidoka-peers: {error}");
            ExitCode::FAILURE
        }
    }
}
