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

#[cfg(feature = "shuttle")]
use shuttle::sync::{Condvar, Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
use std::sync::{Condvar, Mutex, MutexGuard};

#[derive(Debug, Default)]
struct Passed {
    /// Everything up to here is through.
    up_to: u64,
    /// Nobody waits here any more.
    open: bool,
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

    /// Waits until `number` is through; false when the gate was opened before it was.
    pub fn wait(&self, number: u64) -> bool {
        let mut passed = self.passed();
        while passed.up_to < number && !passed.open {
            passed = self.side(number).wait(passed).unwrap_or_else(PoisonError::into_inner);
        }
        passed.up_to >= number
    }

    /// Lets everything up to `number` through, and wakes who waits for exactly that number.
    /// Numbers may come out of order, but none is left out while somebody waits for it.
    ///
    /// # Cost
    /// One system call if anybody waits.
    pub fn pass(&self, number: u64) {
        let mut passed = self.passed();
        passed.up_to = passed.up_to.max(number);
        drop(passed);
        self.side(number).notify_all();
    }

    /// Lets everybody go, now and later.
    pub fn open(&self) {
        self.passed().open = true;
        self.sides.iter().for_each(|side| {
            side.notify_all();
        });
    }
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
                thread::spawn("waiter", move || assert!(gate.wait(number))).unwrap()
            })
            .into_iter()
            .collect();
        gate.pass(2);
        assert!(gate.wait(1));
        gate.pass(1);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(gate.wait(2), "a number is never taken back");
    }

    #[test]
    fn an_open_gate_holds_nobody_and_tells_who_is_not_through() {
        let gate = Arc::new(Gate::default());
        let other = gate.clone();
        let waiter = thread::spawn("waiter", move || assert!(!other.wait(3))).unwrap();
        gate.pass(2);
        gate.open();
        waiter.join().unwrap();
        assert_eq!([2, 3].map(|number| gate.wait(number)), [true, false]);
    }
}
