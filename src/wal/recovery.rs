//! What to do with what was found in a store's directory: a table of labelled cases, as data.
//!
//! Pure. The shell (`open.rs`) looks, fills in an [`Observation`], and does what [`decide`] says.
//! Every combination of observations matches exactly one row; a test tries them all. The table is
//! shown by `docs/recovery.md`, which a test compares with it, and each label has its test in
//! `tests/it/cases.rs`.

/// Makes an enum of what can be seen, the list of its values, and the page's words for them.
macro_rules! seen {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $what:literal])+ $value:ident = $word:literal,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name {
            $($(#[doc = $what])+ $value,)+
        }

        #[cfg(test)]
        impl $name {
            const ALL: &'static [Self] = &[$(Self::$value,)+];

            const fn word(self) -> &'static str {
                match self {
                    $(Self::$value => $word,)+
                }
            }
        }
    };
}

seen! {
    /// What the identity file is.
    IdentitySeen {
        /// There is none.
        Absent = "absent",
        /// There is one that cannot be read.
        Damaged = "damaged",
        /// It is intact.
        Valid = "valid",
    }
}

seen! {
    /// What the log's directory holds.
    FilesSeen {
        /// Nothing, or it is not there.
        Nothing = "nothing",
        /// Only what an interrupted creation leaves: no segment holds a record of anyone's.
        Leftovers = "leftovers",
        /// Segments that hold records.
        Records = "records",
        /// Something that is not ours.
        Foreign = "foreign",
    }
}

seen! {
    /// How the segments hang together, from the first to the one that names no successor.
    ChainSeen {
        /// The first segment is not there.
        FirstMissing = "first missing",
        /// A segment that its predecessor names is not there.
        SuccessorMissing = "successor missing",
        /// A segment's header page is not what anyone wrote: torn, rotten or cut short.
        HeaderDamaged = "header damaged",
        /// A segment's header page is intact, but of another store, number, size or life.
        HeaderForeign = "header of another",
        /// A segment's file is longer than segments are.
        FileLong = "file too long",
        /// The last segment's file is shorter than segments are made.
        TailShort = "tail cut short",
        /// A salvage was begun and did not end.
        SalvageBegun = "salvage begun",
        /// Every named segment is there.
        Whole = "whole",
    }
}

seen! {
    /// The last valid record.
    LastSeen {
        /// The writer closed there.
        CleanClose = "clean close",
        /// Anything else, or no record at all.
        Other = "other",
    }
}

seen! {
    /// What follows the last valid record in its segment.
    RestSeen {
        /// Only zeroes.
        Zeroes = "zeroes",
        /// Bytes that are not a valid record.
        Debris = "debris",
    }
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

seen! {
    /// What recovery does.
    Decision {
        /// Make a new store.
        Create = "create the store",
        /// Remove what an interrupted creation left, and make the store.
        Finish = "finish creating it",
        /// Refuse: the directory is something else.
        NotAStore = "refuse: not a store",
        /// Refuse: what should be there is not what was written.
        Damage = "refuse: damage",
        /// Append after the last record.
        Continue = "continue in place",
        /// Write the unproven tail again, end the segment there, continue in a fresh one.
        Cut = "cut, continue in a fresh segment",
    }
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

const ROWS: [Row; 16] = [
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
    by_chain("@N", ChainSeen::HeaderForeign),
    by_chain("@O", ChainSeen::FileLong),
    by_chain("@P", ChainSeen::SalvageBegun),
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
    use std::fmt::Write as _;

    use super::*;

    /// The product of everything that can be seen.
    fn every_observation() -> Vec<Observation> {
        let mut all = Vec::new();
        for identity in IdentitySeen::ALL.iter().copied() {
            for files in FilesSeen::ALL.iter().copied() {
                for chain in ChainSeen::ALL.iter().copied() {
                    for last in LastSeen::ALL.iter().copied() {
                        for rest in RestSeen::ALL.iter().copied() {
                            all.extend([false, true].map(|claimed| Observation {
                                identity,
                                files,
                                chain,
                                last,
                                rest,
                                claimed,
                            }));
                        }
                    }
                }
            }
        }
        all
    }

    #[test]
    fn every_observation_matches_exactly_one_row() {
        let all = every_observation();
        assert_eq!(all.len(), 3 * 4 * 8 * 2 * 2 * 2);
        for seen in all {
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
        assert_eq!(reached, ROWS.map(|row| row.label));
        for decision in Decision::ALL {
            assert!(ROWS.iter().any(|row| row.decision == *decision), "{decision:?}");
        }
        for seen in every_observation().iter().filter(|seen| seen.claimed) {
            assert!(!matches!(decide(seen).1, Decision::Cut | Decision::Continue), "{seen:?}");
        }
    }

    #[test]
    fn every_row_has_a_test_on_a_disk_and_a_mark() {
        let tests = include_str!("../../tests/it/cases.rs");
        for row in ROWS {
            let letter = row.label.trim_start_matches('@').to_lowercase();
            assert!(tests.contains(&format!("\nfn case_{letter}_")), "{}", row.label);
            assert!(crate::base::mark::Mark::of_case(row.label).is_some(), "{}", row.label);
        }
    }

    /// The table of `docs/recovery.md`.
    fn page() -> String {
        let mut page = String::from(
            "| case | identity | the log's directory | segments | last record | behind it \
             | claimed | recovery does |\n|---|---|---|---|---|---|---|---|\n",
        );
        for row in ROWS {
            let claimed = row.claimed.map_or("any", |claimed| if claimed { "yes" } else { "no" });
            let cells = [
                row.label,
                row.identity.word(),
                row.files.map_or("any", FilesSeen::word),
                row.chain.map_or("any", ChainSeen::word),
                row.last.map_or("any", LastSeen::word),
                row.rest.map_or("any", RestSeen::word),
                claimed,
                row.decision.word(),
            ];
            writeln!(page, "| {} |", cells.join(" | ")).unwrap();
        }
        page
    }

    #[test]
    fn the_page_shows_the_table() {
        let written = include_str!("../../docs/recovery.md");
        assert!(written.contains(&page()), "docs/recovery.md should hold:\n{}", page());
    }
}
