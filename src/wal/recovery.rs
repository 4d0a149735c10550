//! What to do with what was found in a store's directory: a table of labelled cases, as data.
//!
//! Pure. The shell (`open.rs`) looks, fills in an [`Observation`], and does what [`decide`] says.
//! Every combination of observations matches exactly one row; a test tries them all.
//!
//! ```text
//! case  identity  files     chain            last record  rest of tail  claimed  decision
//! @A    absent    nothing   —                —            —             —        create
//! @B    absent    leftovers —                —            —             —        finish creating
//! @C    absent    records   —                —            —             —        refuse
//! @D    absent    foreign   —                —            —             —        not a store
//! @E    damaged   *         —                —            —             —        refuse
//! @F    valid     *         first missing    —            —             —        refuse
//! @G    valid     *         successor gone   —            —             —        refuse
//! @H    valid     *         header damaged   —            —             —        refuse
//! @I    valid     *         whole            *            *             yes      refuse, rot
//! @J    valid     *         whole            clean close  zeroes        no       continue in place
//! @K    valid     *         whole            other        zeroes        no       cut, nothing torn
//! @L    valid     *         whole            *            debris        no       cut, torn
//! @M    valid     *         tail cut short   *            *             *        refuse
//! ```

/// What the identity file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdentitySeen {
    /// There is none.
    Absent,
    /// There is one that cannot be read.
    Damaged,
    /// It is intact.
    Valid,
}

/// What else the directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilesSeen {
    /// Nothing but a lock file.
    Nothing,
    /// Only what an interrupted creation leaves: no segment holds a record of anyone's.
    Leftovers,
    /// Segments that hold records.
    Records,
    /// Something that is not ours.
    Foreign,
}

/// How the segments hang together, from the first to the one that names no successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChainSeen {
    /// The first segment is not there.
    FirstMissing,
    /// A segment that its predecessor names is not there.
    SuccessorMissing,
    /// A segment's header page is damaged or belongs elsewhere, or its file is too long.
    HeaderDamaged,
    /// The last segment's file is shorter than segments are made.
    TailShort,
    /// Every named segment is there.
    Whole,
}

/// The last valid record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastSeen {
    /// The writer closed there.
    CleanClose,
    /// Anything else, or no record at all.
    Other,
}

/// What follows the last valid record in its segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RestSeen {
    /// Only zeroes.
    Zeroes,
    /// Bytes that are not a valid record.
    Debris,
}

/// Everything the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Observation {
    /// The identity file.
    pub(super) identity: IdentitySeen,
    /// The other files.
    pub(super) files: FilesSeen,
    /// The segments.
    pub(super) chain: ChainSeen,
    /// The last valid record.
    pub(super) last: LastSeen,
    /// What follows it.
    pub(super) rest: RestSeen,
    /// Whether a later valid record claims the place after it was durable.
    pub(super) claimed: bool,
}

/// What recovery does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Make a new store.
    Create,
    /// Remove what an interrupted creation left, and make the store.
    Finish,
    /// Refuse: the directory is something else.
    NotAStore,
    /// Refuse: what should be there is not what was written.
    Damage,
    /// Append after the last record.
    Continue,
    /// Write the unproven tail again, end the segment there, continue in a fresh one.
    Cut,
}

/// One row: `None` matches everything.
struct Row {
    label: &'static str,
    identity: IdentitySeen,
    files: Option<FilesSeen>,
    chain: Option<ChainSeen>,
    last: Option<LastSeen>,
    rest: Option<RestSeen>,
    claimed: Option<bool>,
    decision: Decision,
}

const fn by_files(label: &'static str, files: FilesSeen, decision: Decision) -> Row {
    let identity = IdentitySeen::Absent;
    Row {
        label,
        identity,
        files: Some(files),
        chain: None,
        last: None,
        rest: None,
        claimed: None,
        decision,
    }
}

const fn by_chain(label: &'static str, chain: ChainSeen) -> Row {
    Row {
        label,
        identity: IdentitySeen::Valid,
        files: None,
        chain: Some(chain),
        last: None,
        rest: None,
        claimed: None,
        decision: Decision::Damage,
    }
}

const fn by_tail(
    label: &'static str,
    last: Option<LastSeen>,
    rest: Option<RestSeen>,
    claimed: bool,
    decision: Decision,
) -> Row {
    Row { last, rest, claimed: Some(claimed), decision, ..by_chain(label, ChainSeen::Whole) }
}

const ROWS: [Row; 13] = [
    by_files("@A", FilesSeen::Nothing, Decision::Create),
    by_files("@B", FilesSeen::Leftovers, Decision::Finish),
    by_files("@C", FilesSeen::Records, Decision::Damage),
    by_files("@D", FilesSeen::Foreign, Decision::NotAStore),
    Row { identity: IdentitySeen::Damaged, chain: None, ..by_chain("@E", ChainSeen::Whole) },
    by_chain("@F", ChainSeen::FirstMissing),
    by_chain("@G", ChainSeen::SuccessorMissing),
    by_chain("@H", ChainSeen::HeaderDamaged),
    by_tail("@I", None, None, true, Decision::Damage),
    by_tail("@J", Some(LastSeen::CleanClose), Some(RestSeen::Zeroes), false, Decision::Continue),
    by_tail("@K", Some(LastSeen::Other), Some(RestSeen::Zeroes), false, Decision::Cut),
    by_tail("@L", None, Some(RestSeen::Debris), false, Decision::Cut),
    by_chain("@M", ChainSeen::TailShort),
];

impl Row {
    fn matches(&self, seen: &Observation) -> bool {
        self.identity == seen.identity
            && self.files.is_none_or(|files| files == seen.files)
            && self.chain.is_none_or(|chain| chain == seen.chain)
            && self.last.is_none_or(|last| last == seen.last)
            && self.rest.is_none_or(|rest| rest == seen.rest)
            && self.claimed.is_none_or(|claimed| claimed == seen.claimed)
    }
}

/// The label and decision of the row that matches.
#[must_use]
pub(super) fn decide(seen: &Observation) -> (&'static str, Decision) {
    // A test proves that exactly one row matches; refusing is the answer that harms nobody.
    ROWS.iter()
        .find(|row| row.matches(seen))
        .map_or(("@?", Decision::Damage), |row| (row.label, row.decision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_observation() -> Vec<Observation> {
        use ChainSeen::{FirstMissing, HeaderDamaged, SuccessorMissing, TailShort, Whole};
        let mut all = Vec::new();
        for identity in [IdentitySeen::Absent, IdentitySeen::Damaged, IdentitySeen::Valid] {
            for files in
                [FilesSeen::Nothing, FilesSeen::Leftovers, FilesSeen::Records, FilesSeen::Foreign]
            {
                for chain in [FirstMissing, SuccessorMissing, HeaderDamaged, TailShort, Whole] {
                    for last in [LastSeen::CleanClose, LastSeen::Other] {
                        for rest in [RestSeen::Zeroes, RestSeen::Debris] {
                            for claimed in [false, true] {
                                all.push(Observation {
                                    identity,
                                    files,
                                    chain,
                                    last,
                                    rest,
                                    claimed,
                                });
                            }
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_observation_matches_exactly_one_row() {
        for seen in every_observation() {
            let labels: Vec<_> =
                ROWS.iter().filter(|row| row.matches(&seen)).map(|row| row.label).collect();
            assert_eq!(labels.len(), 1, "{seen:?} matches {labels:?}");
        }
    }

    #[test]
    fn every_row_is_reached_and_a_claimed_hole_is_never_cut() {
        let mut reached: Vec<_> = every_observation().iter().map(|seen| decide(seen).0).collect();
        reached.sort_unstable();
        reached.dedup();
        assert_eq!(reached.len(), ROWS.len());
        for seen in every_observation().iter().filter(|seen| seen.claimed) {
            assert!(!matches!(decide(seen).1, Decision::Cut | Decision::Continue), "{seen:?}");
        }
    }
}
