//! What a store has promised so far, and whether what is found after a power cut keeps it.

use std::sync::{Arc, Mutex, PoisonError};

use crate::content::{Counts, WRITERS};

/// An answered commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) lsn: u64,
    pub(crate) writer: usize,
    pub(crate) n: u64,
    /// Whether it was promised to survive a power cut.
    pub(crate) durable: bool,
}

/// What an opened store shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) lsn: u64,
    pub(crate) counts: Counts,
}

/// Everything that one history of a store has answered and shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises {
    pub(crate) answers: Vec<Answer>,
    pub(crate) shown: Vec<Shown>,
    /// A power cut came after all of it: what is shown next may be less.
    pub(crate) cut: bool,
}

/// Which rule of the oracle was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) what: String,
}

impl Promises {
    /// The least that must be there after a power cut: everything up to the last durable answer,
    /// and whatever a recovery has shown.
    fn least(&self) -> (u64, Counts, Counts) {
        let durable = self.answers.iter().filter(|answer| answer.durable);
        let lsn = durable.map(|answer| answer.lsn).max().unwrap_or(0);
        let (mut acknowledged, mut shown) = ([0; WRITERS], [0; WRITERS]);
        for answer in self.answers.iter().filter(|answer| answer.lsn <= lsn) {
            raise(&mut acknowledged, answer.writer, answer.n);
        }
        for (writer, count) in self.shown.iter().flat_map(|one| one.counts.iter().enumerate()) {
            raise(&mut shown, writer, *count);
        }
        (lsn, acknowledged, shown)
    }

    /// Compares what is found after a power cut with these promises, made before it, and with
    /// `history`: every answer, also later ones.
    pub(crate) fn check(&self, history: &Self, found: Shown) -> Result<(), Broken> {
        let (lsn, acknowledged, shown) = self.least();
        let lost = |least: Counts| least.iter().zip(found.counts).any(|(least, n)| n < *least);
        let broken = |rule, what| Err(Broken { rule, what });
        if found.lsn < lsn || lost(acknowledged) {
            let what =
                format!("LSN {lsn} and {acknowledged:?} were acknowledged, {found:?} is there");
            return broken("R1", what);
        }
        if lost(shown) {
            return broken("R5", format!("{shown:?} was shown, {found:?} is there"));
        }
        // The commits there are those up to the last LSN: none is missing, and none is from after.
        for answer in &history.answers {
            let there = found.counts.get(answer.writer).is_some_and(|count| *count >= answer.n);
            if there != (answer.lsn <= found.lsn) {
                return broken("R3", format!("{answer:?} is not of the prefix {found:?}"));
            }
        }
        Ok(())
    }

    /// The same promises, for a store that is opened after a power cut.
    pub(crate) fn after_a_cut(self) -> Self {
        Self { cut: true, ..self }
    }

    /// A store was opened and shows this. Only a power cut may have taken an answered commit,
    /// and then the numbers of the lost ones are given anew.
    fn show(&mut self, shown: Shown) -> Result<(), Answer> {
        let lost = self.answers.iter().copied().find(|answer| answer.lsn > shown.lsn);
        self.shown.push(shown);
        if std::mem::take(&mut self.cut) {
            self.answers.retain(|answer| answer.lsn <= shown.lsn);
            return Ok(());
        }
        lost.map_or(Ok(()), Err)
    }
}

fn raise(counts: &mut Counts, writer: usize, n: u64) {
    if let Some(count) = counts.get_mut(writer) {
        *count = n.max(*count);
    }
}

/// What has been heard from the processes that use a store, shared with its disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard(Arc<Mutex<Promises>>);

impl Heard {
    pub(crate) fn new(promises: Promises) -> Self {
        Self(Arc::new(Mutex::new(promises)))
    }

    pub(crate) fn promises(&self) -> Promises {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.len()
    }

    pub(crate) fn answer(&self, answer: Answer) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).answers.push(answer);
    }

    /// # Errors
    /// An answered commit that is gone without a power cut.
    pub(crate) fn show(&self, shown: Shown) -> Result<(), Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).show(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(lsn: u64, writer: usize, n: u64, durable: bool) -> Answer {
        Answer { lsn, writer, n, durable }
    }

    #[test]
    fn only_prefixes_that_hold_what_was_promised_are_legal() {
        let before = Promises {
            answers: vec![answer(2, 0, 1, false), answer(3, 1, 1, true), answer(4, 0, 2, false)],
            shown: vec![Shown::default()],
            cut: false,
        };
        let mut history = before.clone();
        history.answers.push(answer(5, 2, 1, true));
        let check = |lsn, counts| {
            before.check(&history, Shown { lsn, counts }).map_err(|broken| broken.rule)
        };
        assert_eq!(check(3, [1, 1, 0]), Ok(()));
        assert_eq!(check(4, [2, 1, 0]), Ok(()));
        assert_eq!(check(5, [2, 1, 1]), Ok(()));
        assert_eq!(check(2, [1, 0, 0]), Err("R1"));
        // A commit that asked for less is durable with a later one that asked for all.
        assert_eq!(check(3, [0, 1, 0]), Err("R1"));
        assert_eq!(check(5, [1, 1, 1]), Err("R3"));
        assert_eq!(check(4, [2, 1, 1]), Err("R3"));
        let shown = Promises { shown: vec![Shown { lsn: 9, counts: [0, 0, 4] }], ..before.clone() };
        let found = Shown { lsn: 4, counts: [2, 1, 0] };
        assert_eq!(shown.check(&history, found).map_err(|broken| broken.rule), Err("R5"));
    }

    #[test]
    fn only_a_power_cut_takes_answers_back() {
        let answers = vec![answer(2, 0, 1, true), answer(3, 0, 2, false)];
        let mut history = Promises { answers, ..Promises::default() };
        let shown = Shown { lsn: 2, counts: [1, 0, 0] };
        assert_eq!(history.clone().show(shown), Err(answer(3, 0, 2, false)));
        history = history.after_a_cut();
        assert_eq!(history.show(shown), Ok(()));
        assert_eq!(history.answers, [answer(2, 0, 1, true)]);
        history.answers.push(answer(3, 0, 2, false));
        assert_eq!(history.show(shown), Err(answer(3, 0, 2, false)));
    }
}
