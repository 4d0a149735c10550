//! The log by itself: a queue of orders that survives the power, and forgets what was shipped.
//!
//! `cargo run --example log_alone [DIRECTORY]` takes orders, ships them, and says what is left. Its
//! log is in `target/orders` unless a directory is named.
#![expect(clippy::print_stdout, reason = "it shows what it does")]

use jidoka::base::{ErrorKind, Lsn, Result};
use jidoka::wal::{Durability, OpenSettings, Wal};

fn main() -> Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "target/orders".to_owned());
    // Small segments, so that this short program gets to see one go.
    let settings = OpenSettings { segment_bytes: 16 << 10, ..OpenSettings::default() };
    let log = Wal::open_alone(&dir, &settings)?;
    println!("{dir}: opened, its oldest order is number {}", log.oldest());

    // A thousand orders in memory, and the last of them makes all of them durable.
    for number in 1..1000 {
        log.commit(order(number), Durability::Memory)?;
    }
    let last = log.commit(order(1000), Durability::Sync)?;
    println!("taken up to number {last}");

    // Ships what is durable, and nothing else.
    let mut follower = log.follow(Lsn(log.oldest().0 - 1))?;
    let (mut shipped, mut count) = (Lsn::ZERO, 0);
    while let Some(record) = follower.next_commit()? {
        shipped = record.header.lsn;
        count += 1;
    }
    println!("shipped {count} orders, up to number {shipped}");

    // What was shipped is needed no more. Whole segments go, and become the next ones.
    let released = log.release(shipped)?;
    println!("{} segments released; the oldest order is {}", released.segments, released.oldest);
    match log.follow(Lsn::ZERO) {
        Err(error) if error.kind() == ErrorKind::Expired => println!("from the start: {error}"),
        followed => drop(followed?),
    }
    log.close()
}

fn order(number: u64) -> Vec<u8> {
    format!("order {number}: {} bells", number % 12 + 1).into_bytes()
}
