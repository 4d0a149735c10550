//! What the user of a log knows, and what the log may show because of it. Pure.

use std::collections::BTreeMap;

use crate::base::Lsn;
use crate::wal::Vote;
use crate::wal::format::Kind;
use crate::wal::scan::Record;

use super::super::oracle::Rule;

/// Commits by their number.
pub(super) type Commits = BTreeMap<Lsn, Vec<u8>>;

/// A rule, and how it is broken.
pub(super) type Broken = (Rule, String);

/// What the log's user knows.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Every commit that was submitted and is history, or may become it.
    pub(super) submitted: Commits,
    /// Acknowledged as durable.
    pub(super) acknowledged: Lsn,
    /// Nobody asked to keep what is below.
    pub(super) needed: Lsn,
    /// A truncation after this commit was asked for, and its outcome is not known.
    pub(super) cut: Option<Lsn>,
    /// The last vote that was saved, and one whose outcome is not known.
    pub(super) votes: [Option<Vote>; 2],
    /// The committed mark that is durable, and the highest that may be.
    pub(super) marks: (Lsn, Lsn),
}

/// What an open showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    pub(super) commits: Commits,
    pub(super) vote: Option<Vote>,
    pub(super) mark: Lsn,
}

impl Shown {
    /// Takes the next record.
    pub(super) fn take(&mut self, record: &Record<'_>) {
        let header = &record.header;
        if header.kind == Kind::TruncateAfter {
            self.commits.split_off(&header.lsn.next());
        } else if header.kind.takes_lsn() {
            self.commits.insert(header.lsn, record.payload.to_vec());
        }
    }

    pub(super) fn last(&self) -> Lsn {
        self.commits.keys().next_back().copied().unwrap_or_default()
    }
}

impl Known {
    /// Everything that was appended up to `lsn` is durable, marks too.
    pub(super) fn acknowledge(&mut self, lsn: Lsn) {
        self.acknowledged = self.acknowledged.max(lsn);
        self.marks.0 = self.marks.1;
    }

    /// The commits after `lsn` are taken back; gives them.
    pub(super) fn take_back(&mut self, lsn: Lsn) -> Commits {
        let gone = self.submitted.split_off(&lsn.next());
        (self.acknowledged, self.needed) = (lsn, self.needed.min(lsn));
        self.marks.0 = self.marks.1;
        self.cut = None;
        gone
    }

    /// An open showed this: it is what there is, and durable (R5).
    pub(super) fn accept(&mut self, shown: &Shown) {
        let last = shown.last();
        // What was released before may come back, as it was.
        let first = shown.commits.keys().next().copied().unwrap_or_default();
        self.submitted.split_off(&first);
        self.submitted.extend(shown.commits.clone());
        (self.acknowledged, self.needed) = (last, self.needed.min(last));
        (self.cut, self.votes, self.marks) = (None, [shown.vote, None], (shown.mark, shown.mark));
    }

    /// The rule that `shown` breaks.
    pub(super) fn broken(&self, shown: &Shown) -> Option<Broken> {
        let lsns: Vec<Lsn> = shown.commits.keys().copied().collect();
        let follows = |pair: &&[Lsn]| pair.first().map(|lsn| lsn.next()) != pair.get(1).copied();
        if let Some(gap) = lsns.windows(2).find(follows) {
            return Some((Rule::R3, format!("a gap: {gap:?}")));
        }
        for (lsn, bytes) in &shown.commits {
            let is_era = bytes.len() == 16 && !self.submitted.contains_key(lsn);
            if !is_era && self.submitted.get(lsn) != Some(bytes) {
                return Some((Rule::R2, format!("commit {lsn} is not what was submitted")));
            }
        }
        let last = shown.last();
        if last < self.acknowledged && self.cut != Some(last) {
            let what = format!("{last} is the last of {}, cut {:?}", self.acknowledged, self.cut);
            return Some((Rule::R1, what));
        }
        let first = lsns.first().copied().unwrap_or(Lsn(1));
        if self.needed > Lsn::ZERO && first > self.needed {
            return Some((Rule::R1, format!("{first} is the first, {} was needed", self.needed)));
        }
        let [saved, asked] = self.votes;
        if shown.vote != saved && (asked.is_none() || shown.vote != asked) {
            return Some((Rule::R1, format!("{:?} is the vote of {:?}", shown.vote, self.votes)));
        }
        let (sure, highest) = self.marks;
        if shown.mark < sure || shown.mark > highest || shown.mark > last {
            return Some((Rule::R1, format!("{} is the mark of {:?}", shown.mark, self.marks)));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_may_show_while_it_is_truncated_is_all_or_what_is_left() {
        let commits =
            |last: u64| -> Commits { (1..=last).map(|n| (Lsn(n), vec![1; 20])).collect() };
        let shown = |last| Shown { commits: commits(last), ..Shown::default() };
        let known = |cut: Option<u64>| Known {
            submitted: commits(6),
            acknowledged: Lsn(5),
            cut: cut.map(Lsn),
            ..Known::default()
        };
        let legal = |known: Known| (0..8).filter(move |last| known.broken(&shown(*last)).is_none());
        assert_eq!(legal(known(None)).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(legal(known(Some(2))).collect::<Vec<_>>(), [2, 5, 6]);
        let mut done = known(Some(2));
        assert_eq!(done.take_back(Lsn(2)).len(), 4);
        assert_eq!(legal(done).collect::<Vec<_>>(), [2]);
    }
}
