//! Several committers at once: a reader that hands out lines, and threads that do them.
//!
//! When the log fails, the lines that run just then may still succeed, because their sync was an
//! earlier one. So the first failures are held back until everything that runs has ended: after
//! the first answer that says so, no line is acknowledged any more.

use std::io::BufRead;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::{Error, ErrorKind, Result};
use crate::cli::run::Outcome;
use crate::doc::{Documents, Line, WriteOptions};
use crate::vfs::sync::{Condvar, Mutex, MutexGuard};
use crate::vfs::thread::spawn_scoped;

use super::answer::Answers;
use super::command::{next_asked, perform};
use super::order::{Order, addresses};
use super::parse::Asked;

/// Lines read and not answered yet, for each thread; a bound for memory, far from starving any.
const LINES_PER_THREAD: usize = 64;
/// Bytes of lines read and not answered yet; one line may be longer, and then goes alone.
const BYTES_MAX: usize = 128 << 20;

/// A line to be done.
struct Job {
    asked: Asked,
    bytes: usize,
}

struct State {
    order: Order<Job>,
    bytes: usize,
    /// Jobs that threads are doing.
    running: usize,
    log: LogSeen,
    /// No more lines will come.
    ended: bool,
}

const fn fails_the_log(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Poisoned)
}

/// What the threads have seen of the log.
enum LogSeen {
    Good,
    /// It failed; these lines are answered when nothing runs any more, and nothing is begun.
    Failing(Vec<(u64, Error)>),
    /// It failed, and nothing can succeed any more.
    Failed,
}

/// What the reader and the threads share.
struct Pool<'a, 'o> {
    state: Mutex<State>,
    /// Signalled when a job can run, or none will come.
    work: Condvar,
    /// Signalled when a job is done.
    room: Condvar,
    answers: Mutex<Answers<'o>>,
    documents: &'a Documents,
    options: &'a WriteOptions,
}

/// Does the lines of an input on `threads` threads.
pub(super) fn run(
    documents: &Documents,
    options: &WriteOptions,
    threads: u16,
    (input, answers): (&mut dyn BufRead, Answers<'_>),
) -> Result<Outcome> {
    let state =
        State { order: Order::new(), bytes: 0, running: 0, log: LogSeen::Good, ended: false };
    let (state, answers) = (Mutex::new(state), Mutex::new(answers));
    let (work, room) = (Condvar::new(), Condvar::new());
    let pool = Pool { state, work, room, answers, documents, options };
    let read = std::thread::scope(|scope| {
        for number in 0..threads {
            let name = format!("jidoka-apply-{number}");
            if let Err(error) = spawn_scoped(scope, &name, || pool.work()) {
                pool.end();
                let what = format!("cannot start a thread: {error}; ask for fewer");
                return Err(Error::new(ErrorKind::Io, what));
            }
        }
        let read = pool.read(input, usize::from(threads) * LINES_PER_THREAD);
        pool.end();
        read
    });
    read?;
    pool.answers.into_inner().finish()
}

impl Pool<'_, '_> {
    /// Hands out lines until the input ends, or nobody can be answered any more.
    fn read(&self, input: &mut dyn BufRead, lines_max: usize) -> Result<()> {
        let mut n = 0;
        while let Some(asked) = next_asked(input, &mut n)? {
            let go_on = match asked {
                Err(error) => self.answers.lock().give(n, Err(error)),
                Ok((asked @ (Asked::Sync | Asked::Checkpoint), _)) => {
                    drop(self.wait_for_room(|state| state.order.outstanding() > 0));
                    let done = perform(self.documents, self.options, n, asked);
                    self.answers.lock().give(n, done)
                }
                Ok((asked, bytes)) => {
                    let mut state = self.wait_for_room(|state| {
                        let lines = state.order.outstanding();
                        lines >= lines_max || (lines > 0 && state.bytes + bytes > BYTES_MAX)
                    });
                    if let Asked::Write { operations, request, .. } = &asked {
                        let touched = addresses(operations, request.as_deref());
                        state.bytes += bytes;
                        state.order.add(n, touched, Job { asked, bytes });
                        self.work.notify_one();
                    }
                    drop(state);
                    self.answers.lock().can_answer()
                }
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    fn wait_for_room(&self, is_full: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while !state.ended && is_full(&state) {
            self.room.wait(&mut state);
        }
        state
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    /// One thread: does jobs until none will come.
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            let failing = matches!(state.log, LogSeen::Failing(_));
            let Some((n, job)) = (if failing { None } else { state.order.next() }) else {
                if state.ended && state.order.outstanding() == 0 {
                    return;
                }
                self.work.wait(&mut state);
                continue;
            };
            state.running += 1;
            drop(state);
            let Job { asked, bytes } = job;
            let doing = || perform(self.documents, self.options, n, asked);
            // Whoever waits for this line must not wait for ever.
            let done = catch_unwind(AssertUnwindSafe(doing)).unwrap_or_else(|_| {
                let what = "a thread of the store panicked; report what it printed";
                Err(Error::new(ErrorKind::Bug, what))
            });
            self.answer(n, done);
            state = self.state.lock();
            state.running -= 1;
            self.settle_failure(&mut state);
            state.bytes -= bytes;
            for _ in 0..state.order.done(n) {
                self.work.notify_one();
            }
            self.room.notify_one();
            if state.ended && state.order.outstanding() == 0 {
                self.work.notify_all();
            }
        }
    }

    /// Answers line `n`, or holds the answer back.
    fn answer(&self, n: u64, done: Result<Line>) {
        let done = match done {
            Err(error) if fails_the_log(error.kind()) => {
                let mut state = self.state.lock();
                match &mut state.log {
                    LogSeen::Failing(held) => return held.push((n, error)),
                    LogSeen::Good => {
                        state.log = LogSeen::Failing(vec![(n, error)]);
                        return;
                    }
                    LogSeen::Failed => Err(error),
                }
            }
            done => done,
        };
        self.answers.lock().give(n, done);
    }

    /// Gives the answers held back, once nothing runs any more.
    fn settle_failure(&self, state: &mut State) {
        if state.running == 0
            && let LogSeen::Failing(held) = &mut state.log
        {
            let mut answers = self.answers.lock();
            for (n, error) in held.drain(..) {
                answers.give(n, Err(error));
            }
            state.log = LogSeen::Failed;
            self.work.notify_all();
        }
    }
}
