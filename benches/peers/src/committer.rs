//! One who commits: what, how often, and how long it took.

use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::engine::Entry;
use crate::histogram::Histogram;
use crate::random::{Pool, Random};
use crate::work::{Durability, Work};

/// A committer of a work, until its time or its bytes are used.
#[derive(Debug)]
pub struct Committer {
    work: Work,
    random: Random,
    pool: Pool,
    entries: Vec<Entry>,
    until: Instant,
    left: u64,
    pub commits: u64,
    pub times: Histogram,
}

impl Committer {
    /// Ends at `until`, or after `bytes` of keys and values.
    pub fn new(work: Work, pool: Pool, seed: u64, until: Instant, bytes: u64) -> Self {
        let each = u64::try_from(work.commit_bytes()).unwrap_or(u64::MAX);
        Self {
            work,
            random: Random::new(seed),
            pool,
            entries: Vec::with_capacity(work.entries),
            until,
            left: (bytes / each).max(1),
            commits: 0,
            times: Histogram::new(),
        }
    }

    /// The entries of the next commit.
    fn draw(&mut self) {
        let (random, pool, bytes) = (&mut self.random, self.pool, self.work.value);
        self.entries.clear();
        let drawn = (0..self.work.entries)
            .map(|_| Entry { key: random.key(), value: pool.value(random, bytes) });
        self.entries.extend(drawn);
    }

    pub const fn durability(&self) -> Durability {
        self.work.durability
    }

    /// How many commits to make before the clock is read again; 0 at the end.
    pub fn turn(&self) -> u64 {
        if Instant::now() >= self.until { 0 } else { self.left.min(self.work.commits_per_time()) }
    }

    /// The next commit of a turn.
    pub fn next(&mut self) -> &[Entry] {
        self.draw();
        &self.entries
    }

    /// A turn that began at `started` is over.
    pub fn took(&mut self, started: Instant, turn: u64) {
        let time = started.elapsed();
        self.times.add(time / u32::try_from(turn).unwrap_or(1).max(1));
        self.commits += turn;
        self.left -= turn;
    }

    /// Commits through `commit` until the end.
    pub fn run(
        mut self,
        commit: &mut dyn FnMut(&[Entry], Durability) -> Outcome<()>,
    ) -> Outcome<Self> {
        loop {
            let turn = self.turn();
            if turn == 0 {
                return Ok(self);
            }
            self.go(turn, commit)?;
        }
    }

    /// Makes `count` commits, each timed, and gives the time of all.
    pub fn block(
        &mut self,
        count: u64,
        commit: &mut dyn FnMut(&[Entry], Durability) -> Outcome<()>,
    ) -> Outcome<Duration> {
        let started = Instant::now();
        for _ in 0..count.min(self.left) {
            self.go(1, commit)?;
        }
        Ok(started.elapsed())
    }

    fn go(
        &mut self,
        turn: u64,
        commit: &mut dyn FnMut(&[Entry], Durability) -> Outcome<()>,
    ) -> Outcome<()> {
        let durability = self.durability();
        let started = Instant::now();
        for _ in 0..turn {
            commit(self.next(), durability)?;
        }
        self.took(started, turn);
        Ok(())
    }

    /// Whether its bytes are used.
    pub const fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// Has each committer run on a thread of its own, the only one on this thread.
pub fn on_threads(
    mut committers: Vec<Committer>,
    run: impl Fn(Committer) -> Outcome<Committer> + Sync,
) -> Outcome<Vec<Committer>> {
    if committers.len() == 1
        && let Some(only) = committers.pop()
    {
        return Ok(vec![run(only)?]);
    }
    thread::scope(|scope| {
        let run = &run;
        let threads: Vec<_> =
            committers.into_iter().map(|one| scope.spawn(move || run(one))).collect();
        let joined = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| Err("a committing thread panicked".into()))
        });
        joined.collect()
    })
}
