//! The gate: threads wait for a number that only grows, and all of them are woken at once.
//!
//! Not made of the locks of [`super::sync`]: their condition variables wake one thread, and each
//! that wakes wakes the next, which costs forty followers of one commit group forty turns. The
//! standard library's wake all of them with one system call. A thread that panics here leaves
//! nothing half done, so a poisoned lock is taken as it is.
#![cfg_attr(
    not(feature = "shuttle"),
    expect(clippy::disallowed_types, reason = "these wake all at once, as said above")
)]

use std::sync::PoisonError;
use std::time::Duration;

#[cfg(feature = "shuttle")]
use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
use std::sync::{Condvar, Mutex, MutexGuard};

#[derive(Debug, Default)]
struct Passed {
    /// Everything up to here is through.
    up_to: u64,
    /// How often who waits was sent to look again.
    shakes: u64,
    /// Nobody waits here any more.
    open: bool,
    /// Who sleeps at each side; waking nobody would cost a system call too.
    asleep: [u32; 2],
}

impl Passed {
    const fn asleep(&mut self, number: u64) -> &mut u32 {
        let [even, odd] = &mut self.asleep;
        if number.is_multiple_of(2) { even } else { odd }
    }
}

/// How a wait ended.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The number is through.
    Through,
    /// It is not, and whoever waits has to look for themselves.
    Look,
    /// It is not, and the time is over.
    Late,
}

/// Where threads wait for their number.
#[derive(Debug, Default)]
pub struct Gate {
    passed: Mutex<Passed>,
    /// By the parity of the number, so that who waits for the next one sleeps on.
    sides: [Condvar; 2],
}

impl Gate {
    fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn side(&self, number: u64) -> &Condvar {
        let [even, odd] = &self.sides;
        if number.is_multiple_of(2) { even } else { odd }
    }

    /// Waits until `number` is through, at most for `time`; ends early when the gate is opened, or
    /// shaken more often than `shakes`.
    pub fn wait(&self, number: u64, shakes: u64, time: Option<Duration>) -> Waited {
        let mut passed = self.passed();
        let (mut late, mut woken) = (false, false);
        loop {
            if passed.up_to >= number {
                return Waited::Through;
            }
            if passed.open || passed.shakes > shakes {
                return Waited::Look;
            }
            if late {
                return Waited::Late;
            }
            if woken && time.is_some() {
                // Woken for nothing: who waits knows how much time is left.
                return Waited::Look;
            }
            *passed.asleep(number) += 1;
            (passed, late) = sleep(self.side(number), passed, time);
            *passed.asleep(number) -= 1;
            woken = true;
        }
    }

    /// Lets everything up to `number` through, and wakes who waits for exactly that number.
    /// Numbers may come out of order, but none is left out while somebody waits for it.
    ///
    /// # Cost
    /// One system call if anybody waits.
    pub fn pass(&self, number: u64) {
        let mut passed = self.passed();
        passed.up_to = passed.up_to.max(number);
        let anybody = *passed.asleep(number) > 0;
        drop(passed);
        if anybody {
            self.side(number).notify_all();
        }
    }

    /// Sends everybody who came with fewer `shakes` to look for themselves.
    pub fn shake(&self, shakes: u64) {
        let mut passed = self.passed();
        passed.shakes = passed.shakes.max(shakes);
        drop(passed);
        self.wake_all();
    }

    /// Lets everybody go, now and later.
    pub fn open(&self) {
        self.passed().open = true;
        self.wake_all();
    }

    fn wake_all(&self) {
        self.sides.iter().for_each(|side| {
            side.notify_all();
        });
    }
}

/// Sleeps until woken or until the time is over; true when it is.
#[cfg(not(feature = "shuttle"))]
fn sleep<'a>(
    side: &Condvar,
    passed: MutexGuard<'a, Passed>,
    time: Option<Duration>,
) -> (MutexGuard<'a, Passed>, bool) {
    let Some(time) = time else {
        return (side.wait(passed).unwrap_or_else(PoisonError::into_inner), false);
    };
    let (passed, waited) = side.wait_timeout(passed, time).unwrap_or_else(PoisonError::into_inner);
    (passed, waited.timed_out())
}

/// As above; whether the time is over first, the schedule decides.
#[cfg(feature = "shuttle")]
fn sleep<'a>(
    side: &Condvar,
    passed: MutexGuard<'a, Passed>,
    time: Option<Duration>,
) -> (MutexGuard<'a, Passed>, bool) {
    if time.is_some() && super::scheduled::time_is_over() {
        return (passed, true);
    }
    (side.wait(passed).unwrap_or_else(PoisonError::into_inner), false)
}

#[cfg(all(test, not(feature = "shuttle")))]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::vfs::thread;

    #[test]
    fn who_waits_is_let_through_in_any_order_of_the_numbers() {
        let gate = Arc::new(Gate::default());
        let waiters: Vec<_> = [1, 2, 2, 1]
            .map(|number| {
                let gate = gate.clone();
                thread::spawn("waiter", move || {
                    assert_eq!(gate.wait(number, 0, None), Waited::Through);
                })
                .unwrap()
            })
            .into_iter()
            .collect();
        gate.pass(2);
        assert_eq!(gate.wait(1, 0, None), Waited::Through);
        gate.pass(1);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(gate.wait(2, 0, None), Waited::Through, "a number is never taken back");
    }

    #[test]
    fn an_open_gate_holds_nobody_and_tells_who_is_not_through() {
        let gate = Arc::new(Gate::default());
        let other = gate.clone();
        let waiter = thread::spawn("waiter", move || {
            assert_eq!(other.wait(3, 0, None), Waited::Look);
        })
        .unwrap();
        gate.pass(2);
        gate.open();
        waiter.join().unwrap();
        let waited = [2, 3].map(|number| gate.wait(number, 0, None));
        assert_eq!(waited, [Waited::Through, Waited::Look]);
    }

    #[test]
    fn who_came_before_a_shake_looks_again_and_who_came_after_waits_on() {
        let gate = Gate::default();
        gate.shake(2);
        let nothing = Some(Duration::ZERO);
        let waited = [0, 1, 2].map(|shakes| gate.wait(1, shakes, nothing));
        assert_eq!(waited, [Waited::Look, Waited::Look, Waited::Late]);
        gate.pass(1);
        assert_eq!(gate.wait(1, 0, nothing), Waited::Through);
    }
}
