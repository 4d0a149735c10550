//! The processes that use a store on a disk: what they do, and what they say.
//!
//! A line is `shown LSN COUNTS…`, `answer LSN WRITER N DURABLE`, `refused WHY`,
//! `wrong RULE: WHAT`, or `done`.

use std::io::Write;
use std::path::Path;

use jidoka::base::{Error, ErrorKind, Result};
use jidoka::store::Store;
use jidoka::vfs::Runtime;
use jidoka::wal::Durability;

use crate::content::{Counts, WRITERS, batch, counts};
use crate::dice::Dice;
use crate::promise::{Answer, Heard, Shown};

/// Small, so that the log changes segments often, and room for the largest commit.
const SEGMENT_BYTES: u64 = 16 << 10;

/// Says one line. Who listens may be gone: then there is nothing more to do.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    let said = out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush());
    if said.is_err() {
        std::process::exit(0);
    }
}

/// What a process has said that is no promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Promise,
    Refused(String),
    Wrong(String),
    Done,
    Nonsense(String),
}

/// Takes one line of a process; promises go to `heard`.
pub(crate) fn hear(line: &str, heard: &Heard) -> Said {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let numbers: Vec<u64> = rest.split(' ').map_while(|word| word.parse().ok()).collect();
    match (word, numbers.as_slice()) {
        ("shown", [lsn, counts @ ..]) => {
            let Ok(counts) = Counts::try_from(counts) else { return Said::Nonsense(line.into()) };
            match heard.show(Shown { lsn: *lsn, counts }) {
                Ok(()) => Said::Promise,
                Err(lost) => Said::Wrong(format!("R1: {lost:?} is gone, {line}")),
            }
        }
        ("answer", [lsn, writer, n, durable]) => {
            let writer = usize::try_from(*writer).unwrap_or(WRITERS);
            heard.answer(Answer { lsn: *lsn, writer, n: *n, durable: *durable == 1 });
            Said::Promise
        }
        ("refused", _) => Said::Refused(rest.to_owned()),
        ("wrong", _) => Said::Wrong(rest.to_owned()),
        ("done", _) => Said::Done,
        _ => Said::Nonsense(line.to_owned()),
    }
}

/// Opens the store and says what it shows; nothing when that is wrong.
fn open(dir: &Path, segment_bytes: u64) -> Result<Option<(Store, Counts)>> {
    let store = Store::builder(dir).segment_bytes(segment_bytes).open()?;
    match counts(&store.snapshot())? {
        Ok(found) => {
            let [a, b, c] = found;
            say(&format!("shown {} {a} {b} {c}", store.visible().0));
            Ok(Some((store, found)))
        }
        Err(what) => {
            say(&format!("wrong R3: {what}"));
            Ok(None)
        }
    }
}

/// Commits of one thread.
fn write(store: &Store, writer: usize, from: u64, count: u64, mut dice: Dice) -> Result<()> {
    for n in from + 1..=from + count {
        let mut batch = batch(writer, n)?;
        if dice.one_in(4) {
            batch.durability(Durability::Buffered);
        }
        let commit = store.commit(batch)?;
        say(&format!("answer {} {writer} {n} {}", commit.lsn.0, u8::from(commit.durable)));
    }
    Ok(())
}

/// A store is opened, written to by three threads, and closed, dropped or abandoned, again and
/// again.
fn work(dir: &Path, lives: u64, commits: u64, dice: &mut Dice) -> Result<()> {
    let segment_bytes = SEGMENT_BYTES << dice.below(3);
    for _ in 0..lives {
        let Some((store, from)) = open(dir, segment_bytes)? else { return Ok(()) };
        std::thread::scope(|scope| {
            let start = |(writer, from)| {
                let (store, seed) = (&store, dice.below(u64::MAX));
                let count = dice.below(commits + 1);
                scope.spawn(move || write(store, writer, from, count, Dice::new(seed)))
            };
            let running: Vec<_> = (0..).zip(from).map(start).collect();
            running.into_iter().try_for_each(|thread| {
                let panicked = || Error::new(ErrorKind::Io, "a writer panicked");
                thread.join().unwrap_or_else(|_| Err(panicked()))
            })
        })?;
        if !dice.one_in(4) {
            store.close()?;
        }
    }
    Ok(())
}

/// Checks a store before recovery has seen it, recovers it, commits, and checks it again.
fn look(dir: &Path) -> Result<()> {
    let verify = || -> Result<bool> {
        let report = match jidoka::ops::verify(dir, &Runtime::default(), false) {
            // The power was cut before there was a store.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
            report => report?,
        };
        if !report.is_ok() {
            say(&format!("wrong R7: verify finds {:?}", report.damage));
        }
        Ok(report.is_ok())
    };
    if !verify()? {
        return Ok(());
    }
    let Some((store, from)) = open(dir, SEGMENT_BYTES)? else { return Ok(()) };
    store.close()?;
    drop(store);
    let Some((store, again)) = open(dir, SEGMENT_BYTES)? else { return Ok(()) };
    if from != again {
        say(&format!("wrong R9: recovered again it shows {again:?}, not {from:?}"));
        return Ok(());
    }
    for (writer, n) in from.into_iter().enumerate() {
        store.commit(batch(writer, n + 1)?)?;
    }
    store.close()?;
    verify().map(|_| ())
}

/// What a child was started for: `look DIR`, or `work DIR LIVES COMMITS SEED`.
pub(crate) fn run(arguments: &[String]) {
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(0);
    let dir = Path::new(arguments.get(1).map_or("", String::as_str));
    let mut dice = Dice::new(number(4));
    let done = match arguments.first().map(String::as_str) {
        Some("look") => look(dir),
        _ => work(dir, number(2), number(3), &mut dice),
    };
    match done {
        Ok(()) => say("done"),
        Err(error) => say(&format!("refused {error}").replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_child_says_is_heard() {
        let heard = Heard::default();
        assert_eq!(hear("shown 7 1 2 3", &heard), Said::Promise);
        assert_eq!(hear("answer 8 2 4 1", &heard), Said::Promise);
        assert_eq!(hear("refused no store", &heard), Said::Refused("no store".to_owned()));
        // A kill may cut a line off.
        assert_eq!(hear("answer 9 2", &heard), Said::Nonsense("answer 9 2".to_owned()));
        let promises = heard.promises();
        assert_eq!(promises.shown, [Shown { lsn: 7, counts: [1, 2, 3] }]);
        assert_eq!(promises.answers, [Answer { lsn: 8, writer: 2, n: 4, durable: true }]);
    }
}
