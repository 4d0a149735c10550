//! Random gets, gets of what is not there, and scans.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::child::Figures;
use crate::engine::Engine;
use crate::numbers::{float, ratio};
use crate::random::{Keys, Random};

/// Gets between two looks at the clock.
const TURN: u64 = 256;

/// What a reader looks for, and whether it must be there.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Present(Keys),
    /// Keys of another seed: of 2^128, none is there by chance.
    Absent,
}

/// Reads for `time` in each way, after as many gets as there are keys; the names of the figures
/// begin with `prefix`.
pub fn measure(
    engine: &dyn Engine,
    keys: Keys,
    time: Duration,
    prefix: &str,
    figures: &mut Figures,
) -> Outcome<()> {
    let mut read = engine.reader()?;
    let mut random = Random::new(!keys.seed);
    for _ in 0..keys.count {
        if !read(&keys.any(&mut random))? {
            return Err("a key is not there".into());
        }
    }
    drop(read);
    let present = Wanted::Present(keys);
    for (name, threads, wanted) in
        [("gets_1", 1, present), ("gets_2", 2, present), ("absent", 1, Wanted::Absent)]
    {
        figures.insert(format!("{prefix}{name}"), gets(engine, threads, wanted, time)?);
    }
    figures.insert(format!("{prefix}scan"), scan(engine, keys.count, time)?);
    Ok(())
}

/// Gets per second of all threads.
fn gets(engine: &dyn Engine, threads: u64, wanted: Wanted, time: Duration) -> Outcome<f64> {
    let started = Instant::now();
    let until = started + time;
    let count: Outcome<u64> = thread::scope(|scope| {
        let readers: Vec<_> = (0..threads)
            .map(|one| scope.spawn(move || reader(engine, one, wanted, until)))
            .collect();
        let counts = readers.into_iter().map(|reader| {
            reader.join().unwrap_or_else(|_| Err("a reading thread panicked".into()))
        });
        counts.sum()
    });
    Ok(ratio(float(count?), started.elapsed().as_secs_f64()))
}

fn reader(engine: &dyn Engine, one: u64, wanted: Wanted, until: Instant) -> Outcome<u64> {
    let mut read = engine.reader()?;
    let mut random = Random::new(0x7265_6164 ^ (one << 32));
    let mut count = 0;
    while Instant::now() < until {
        for _ in 0..TURN {
            let (key, is_there) = match wanted {
                Wanted::Present(keys) => (keys.any(&mut random), true),
                Wanted::Absent => (random.key(), false),
            };
            if read(&key)? != is_there {
                return Err(format!("a key is there: {}", !is_there).into());
            }
        }
        count += TURN;
    }
    Ok(count)
}

/// Entries per second of whole scans, the first of them not counted.
fn scan(engine: &dyn Engine, expected: u64, time: Duration) -> Outcome<f64> {
    let mut seen = 0;
    let mut started = None;
    loop {
        let found = engine.scan()?;
        if found != expected {
            return Err(format!("{found} entries in place of {expected}").into());
        }
        let Some(started) = started else {
            started = Some(Instant::now());
            continue;
        };
        seen += found;
        let elapsed = started.elapsed();
        if elapsed >= time {
            return Ok(ratio(float(seen), elapsed.as_secs_f64()));
        }
    }
}
