//! What the edits so far amount to: the tables of the store and its checkpoint.
//!
//! Pure. The one place that decides which edit may follow which (L5): writers ask before they
//! write, and readers of whatever bytes there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::limits::{
    DROPS_MAX, KEY_BYTES_MAX, LEVELS, MANIFEST_PAYLOAD_BYTES_MAX, TABLES_MAX,
};
use crate::base::{KeyspaceId, Lsn, SegmentNumber};

use super::change::{Change, Checkpoint, ListedTable};

/// Why an edit does not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It contradicts the state, or itself.
    Contradiction(&'static str),
    /// The state would be larger than any may be.
    Limit(&'static str),
}

impl Refusal {
    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Contradiction(what) | Self::Limit(what) => what,
        }
    }
}

/// The tables that make up the store, and from where the log is replayed on top of them.
///
/// # Cost
/// A clone copies a pointer per table, twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    tables: BTreeMap<u64, Arc<ListedTable>>,
    /// The same by level, in the order of their smallest keys; level 0 by number.
    levels: Vec<Vec<Arc<ListedTable>>>,
    drops: BTreeMap<KeyspaceId, Lsn>,
    checkpoint: Checkpoint,
    next_table: u64,
    /// Bytes of all `AddTable` changes.
    table_bytes: usize,
}

impl Default for State {
    /// Of a store without tables, whose log is replayed from its beginning.
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            levels: vec![Vec::new(); usize::from(LEVELS)],
            drops: BTreeMap::new(),
            checkpoint: Checkpoint::ORIGIN,
            next_table: 1,
            table_bytes: 0,
        }
    }
}

impl State {
    /// All tables, in the order of their numbers.
    pub fn tables(&self) -> impl Iterator<Item = &Arc<ListedTable>> {
        self.tables.values()
    }

    /// The tables of a level: of level 0 in the order of their numbers, of others in that of their
    /// keys. Empty beyond the last level.
    #[must_use]
    pub fn level(&self, level: u8) -> &[Arc<ListedTable>] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// Keyspaces of which tables may hold versions that are gone, up to this LSN.
    pub fn drops(&self) -> impl Iterator<Item = (KeyspaceId, Lsn)> {
        self.drops.iter().map(|(keyspace, lsn)| (*keyspace, *lsn))
    }

    /// Up to where tables hold everything.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The number of the next table: no table ever had it or a higher one.
    #[must_use]
    pub const fn next_table(&self) -> u64 {
        self.next_table
    }

    /// The changes that make this state out of the empty one, for a store whose log begins behind
    /// its checkpoint, in `segment`.
    #[must_use]
    pub fn listing(&self, segment: SegmentNumber) -> Vec<Change> {
        self.changes(Checkpoint { segment, ..self.checkpoint })
    }

    /// The changes that make this state out of the empty one.
    pub(super) fn snapshot(&self) -> Vec<Change> {
        self.changes(self.checkpoint)
    }

    fn changes(&self, checkpoint: Checkpoint) -> Vec<Change> {
        let checkpoint = Change::Checkpoint(checkpoint);
        let drops = self.drops().map(|(keyspace, lsn)| Change::DropKeyspace(keyspace, lsn));
        let tables = self.tables().map(|table| Change::AddTable(Arc::clone(table)));
        let next = Change::NextTable(self.next_table);
        [checkpoint].into_iter().chain(drops).chain(tables).chain([next]).collect()
    }

    /// The state after an edit: all of its changes, or a refusal.
    pub(super) fn after(mut self, changes: &[Change]) -> Result<Self, Refusal> {
        let early = |change: &&Change| {
            use Change::{Checkpoint, ForgetKeyspace, RemoveTable};
            matches!(change, RemoveTable(_) | ForgetKeyspace(_) | Checkpoint(_))
        };
        let checkpoints = changes.iter().filter(|change| matches!(change, Change::Checkpoint(_)));
        require(checkpoints.count() < 2, "an edit has two checkpoints")?;
        for change in changes.iter().filter(early) {
            self.apply(change)?;
        }
        for change in changes.iter().filter(|change| !early(change)) {
            self.apply(change)?;
        }
        let drop_bytes = self.drops.len() * Change::DROP_BYTES;
        let bytes = Change::FIXED_BYTES + self.table_bytes + drop_bytes;
        for (holds, what) in [
            (self.tables.len() <= TABLES_MAX, "a store has too many tables"),
            (self.drops.len() <= DROPS_MAX, "too many dropped keyspaces still have tables"),
            (bytes <= MANIFEST_PAYLOAD_BYTES_MAX, "the list of tables is too long"),
        ] {
            if !holds {
                return Err(Refusal::Limit(what));
            }
        }
        Ok(self)
    }

    fn apply(&mut self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::AddTable(table) => self.add(table),
            Change::RemoveTable(number) => self.remove(*number),
            Change::Checkpoint(checkpoint) => self.advance(checkpoint),
            Change::DropKeyspace(keyspace, lsn) => self.drop_keyspace(*keyspace, *lsn),
            Change::ForgetKeyspace(keyspace) => {
                let known = self.drops.remove(keyspace).is_some();
                require(known, "a keyspace is forgotten that was not dropped")
            }
            Change::NextTable(number) => {
                require(*number >= self.next_table, "the next table number goes back")?;
                self.next_table = *number;
                Ok(())
            }
        }
    }

    fn add(&mut self, table: &Arc<ListedTable>) -> Result<(), Refusal> {
        require(!self.tables.contains_key(&table.number), "a table is added that is there")?;
        require(table.number < u64::MAX, "a table number is at the end of its space")?;
        is_possible(table)?;
        let newest = table.lsns.1;
        require(newest <= self.checkpoint.position.lsn, "a table is newer than the checkpoint")?;
        let Some(level) = self.levels.get_mut(usize::from(table.level)) else {
            return Err(Refusal::Contradiction("the level of a table is beyond the last"));
        };
        let at = place(level, table);
        if table.level > 0 {
            let before = at.checked_sub(1).and_then(|before| level.get(before));
            let apart = before.is_none_or(|before| before.largest < table.smallest)
                && level.get(at).is_none_or(|after| table.largest < after.smallest);
            require(apart, "the key ranges of two tables of a level overlap")?;
        }
        level.insert(at, Arc::clone(table));
        self.tables.insert(table.number, Arc::clone(table));
        self.next_table = self.next_table.max(table.number + 1);
        self.table_bytes += Change::table_bytes(table);
        Ok(())
    }

    fn remove(&mut self, number: u64) -> Result<(), Refusal> {
        let Some(table) = self.tables.remove(&number) else {
            return Err(Refusal::Contradiction("a table is removed that is not there"));
        };
        self.table_bytes -= Change::table_bytes(&table);
        if let Some(level) = self.levels.get_mut(usize::from(table.level)) {
            level.remove(place(level, &table));
        }
        Ok(())
    }

    fn advance(&mut self, next: &Checkpoint) -> Result<(), Refusal> {
        let (from, to) = (&self.checkpoint.position, &next.position);
        let follows = to.lsn >= from.lsn
            && to.seq >= from.seq
            && to.term >= from.term
            && to.time >= from.time;
        require(follows, "the checkpoint goes back")?;
        let same = to.chain == from.chain && to.term == from.term;
        let moved = if to.lsn == from.lsn { same } else { to.seq > from.seq };
        require(moved, "the checkpoint is of another history")?;
        let ends = [to.lsn.0, to.seq.0, to.term.0, to.time.0].contains(&u64::MAX);
        require(!ends, "a number of the checkpoint is at the end of its space")?;
        self.checkpoint = *next;
        Ok(())
    }

    fn drop_keyspace(&mut self, keyspace: KeyspaceId, lsn: Lsn) -> Result<(), Refusal> {
        let above = self.drops.get(&keyspace).copied().unwrap_or(Lsn::ZERO);
        require(lsn > above, "a keyspace is dropped before an earlier drop")?;
        let known = lsn <= self.checkpoint.position.lsn;
        require(known, "a keyspace is dropped behind the checkpoint")?;
        self.drops.insert(keyspace, lsn);
        Ok(())
    }
}

/// Where a table is in its level, or belongs.
fn place(level: &[Arc<ListedTable>], table: &ListedTable) -> usize {
    if table.level == 0 {
        level.partition_point(|other| other.number < table.number)
    } else {
        level.partition_point(|other| other.smallest < table.smallest)
    }
}

/// Whether there can be such a table at all.
fn is_possible(table: &ListedTable) -> Result<(), Refusal> {
    let ListedTable { lsns, times, smallest, largest, entries, .. } = table;
    let short = [smallest, largest].iter().all(|key| key.bytes.len() <= KEY_BYTES_MAX);
    require(short, "a key of a table is longer than any")?;
    require(smallest <= largest, "the keys of a table are in the wrong order")?;
    require(lsns.0 > Lsn::ZERO && lsns.0 <= lsns.1, "the LSNs of a table are in the wrong order")?;
    require(times.0 <= times.1, "the times of a table are in the wrong order")?;
    let counts = *entries > 0 && table.tombstones <= *entries && table.file_bytes > 0;
    require(counts, "the counts of a table are impossible")
}

const fn require(holds: bool, what: &'static str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::Contradiction(what)) }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{add, checkpoint, table};
    use super::*;
    use crate::base::{Seq, Term, Timestamp};

    /// Checkpoint 10, table 1 in level 0, tables 2 (b to d) and 3 (f to h) in level 1.
    fn state() -> State {
        let changes = [
            add(1, 0, ("a", "z")),
            add(2, 1, ("b", "d")),
            add(3, 1, ("f", "h")),
            Change::DropKeyspace(KeyspaceId(4), Lsn(6)),
            checkpoint(10),
        ];
        State::default().after(&changes).unwrap()
    }

    #[track_caller]
    fn refused(changes: &[Change], what: &str) {
        let refusal = state().after(changes).unwrap_err();
        assert_eq!(refusal, Refusal::Contradiction(refusal.what()), "{what}");
        assert!(refusal.what().contains(what), "{refusal:?} instead of {what}");
    }

    #[test]
    fn tables_are_listed_by_number_and_by_level() {
        let state = state().after(&[add(5, 1, ("e", "e")), add(6, 0, ("a", "a"))]).unwrap();
        let numbers = |tables: &[Arc<ListedTable>]| -> Vec<u64> {
            tables.iter().map(|table| table.number).collect()
        };
        assert_eq!(numbers(state.level(0)), [1, 6]);
        assert_eq!(numbers(state.level(1)), [2, 5, 3]);
        assert_eq!(numbers(state.level(2)), [0; 0]);
        assert_eq!(numbers(state.level(200)), [0; 0]);
        assert_eq!(state.tables().map(|table| table.number).collect::<Vec<_>>(), [1, 2, 3, 5, 6]);
        assert_eq!(state.next_table(), 7);
        let state = state.after(&[Change::RemoveTable(5), Change::RemoveTable(1)]).unwrap();
        assert_eq!((numbers(state.level(0)), numbers(state.level(1))), (vec![6], vec![2, 3]));
        assert_eq!(state.next_table(), 7);
    }

    #[test]
    fn a_snapshot_makes_the_same_state_with_as_many_bytes_as_were_counted() {
        let state = state().after(&[Change::RemoveTable(3), Change::NextTable(40)]).unwrap();
        let snapshot = state.snapshot();
        assert_eq!(State::default().after(&snapshot).unwrap(), state);
        let mut bytes = Vec::new();
        snapshot.iter().for_each(|change| change.encode(&mut bytes));
        let drops = state.drops.len() * Change::DROP_BYTES;
        assert_eq!(bytes.len(), Change::FIXED_BYTES + state.table_bytes + drops);
        assert_eq!(State::default().after(&State::default().snapshot()), Ok(State::default()));
    }

    #[test]
    fn tables_come_and_go_once() {
        refused(&[add(2, 2, ("x", "x"))], "added that is there");
        refused(&[add(9, 0, ("a", "a")), add(9, 0, ("a", "a"))], "added that is there");
        refused(&[add(u64::MAX, 0, ("a", "a"))], "end of its space");
        refused(&[Change::RemoveTable(4)], "not there");
        refused(&[Change::RemoveTable(2), Change::RemoveTable(2)], "not there");
        refused(&[add(4, 0, ("a", "a")), Change::RemoveTable(4)], "not there");
        refused(&[Change::NextTable(3)], "goes back");
        let raised = state().after(&[Change::NextTable(9)]).unwrap();
        // A merge may take its numbers before a checkpoint takes higher ones, and end after it.
        let late = raised.after(&[add(8, 0, ("a", "a"))]).unwrap();
        assert_eq!(late.next_table(), 9);
    }

    #[test]
    fn the_checkpoint_only_goes_ahead_and_no_table_is_beyond_it() {
        refused(&[checkpoint(9)], "goes back");
        refused(&[checkpoint(11), checkpoint(12)], "two checkpoints");
        let changed = |change: fn(&mut Checkpoint)| {
            let Change::Checkpoint(mut checkpoint) = checkpoint(11) else { unreachable!() };
            change(&mut checkpoint);
            [Change::Checkpoint(checkpoint)]
        };
        assert!(state().after(&changed(|_| ())).is_ok());
        refused(&changed(|next| next.position.seq = Seq(19)), "goes back");
        refused(&changed(|next| next.position.term = Term(0)), "goes back");
        refused(&changed(|next| next.position.time = Timestamp(99)), "goes back");
        refused(&changed(|next| next.position.seq = Seq(20)), "another history");
        refused(&changed(|next| next.position.lsn = Lsn(10)), "another history");
        refused(&changed(|next| next.position.seq = Seq(u64::MAX)), "end of its space");
        assert!(state().after(&[checkpoint(10)]).is_ok());
        let newer = ListedTable { lsns: (Lsn(1), Lsn(11)), ..table(9, 0, ("a", "a")) };
        let newer = Change::AddTable(Arc::new(newer));
        refused(std::slice::from_ref(&newer), "newer than the checkpoint");
        assert!(state().after(&[newer, checkpoint(11)]).is_ok());
    }

    #[test]
    fn ranges_of_a_level_are_apart_but_for_the_first_level() {
        for keys in [("a", "b"), ("d", "e"), ("c", "c"), ("b", "d"), ("a", "z"), ("e", "f")] {
            refused(&[add(9, 1, keys)], "overlap");
            assert!(state().after(&[add(9, 0, keys)]).is_ok());
            assert!(state().after(&[add(9, 2, keys)]).is_ok());
        }
        for keys in [("a", "az"), ("e", "ez"), ("i", "z")] {
            assert!(state().after(&[add(9, 1, keys)]).is_ok(), "{keys:?}");
        }
        let merged = [add(9, 1, ("b", "h")), Change::RemoveTable(2), Change::RemoveTable(3)];
        assert!(state().after(&merged).is_ok());
        refused(&[add(9, LEVELS, ("a", "a"))], "beyond the last");
        assert!(state().after(&[add(9, LEVELS - 1, ("a", "a"))]).is_ok());
    }

    #[test]
    fn impossible_tables_are_refused() {
        let with = |change: fn(&mut ListedTable)| {
            let mut table = table(9, 0, ("a", "b"));
            change(&mut table);
            [Change::AddTable(Arc::new(table))]
        };
        assert!(state().after(&with(|_| ())).is_ok());
        assert!(state().after(&with(|table| table.largest.bytes = vec![b'z'; 64 << 10])).is_ok());
        refused(&with(|table| table.largest.bytes = vec![b'z'; (64 << 10) + 1]), "longer than any");
        refused(&with(|table| table.largest.keyspace = KeyspaceId(0)), "wrong order");
        refused(&with(|table| table.smallest.bytes = b"c".to_vec()), "wrong order");
        refused(&with(|table| table.lsns.0 = Lsn(4)), "wrong order");
        refused(&with(|table| table.lsns.0 = Lsn(0)), "wrong order");
        refused(&with(|table| table.times.0 = Timestamp(4)), "wrong order");
        refused(&with(|table| table.entries = 0), "impossible");
        refused(&with(|table| table.tombstones = 6), "impossible");
        refused(&with(|table| table.file_bytes = 0), "impossible");
    }

    #[test]
    fn a_keyspace_is_dropped_up_to_the_checkpoint_until_it_is_forgotten() {
        let drop = |lsn| Change::DropKeyspace(KeyspaceId(4), Lsn(lsn));
        let forget = Change::ForgetKeyspace(KeyspaceId(4));
        assert_eq!(state().drops().collect::<Vec<_>>(), [(KeyspaceId(4), Lsn(6))]);
        refused(&[drop(6)], "earlier drop");
        refused(&[drop(11)], "behind the checkpoint");
        refused(&[Change::ForgetKeyspace(KeyspaceId(5))], "not dropped");
        refused(&[forget.clone(), forget.clone()], "not dropped");
        let again = state().after(&[drop(7), forget.clone()]).unwrap();
        assert_eq!(again.drops().collect::<Vec<_>>(), [(KeyspaceId(4), Lsn(7))]);
        assert_eq!(state().after(&[forget]).unwrap().drops().count(), 0);
    }

    #[test]
    fn a_state_has_limits() {
        let drops = |count: u32| {
            let drop = |id| Change::DropKeyspace(KeyspaceId(id + 100), Lsn(1));
            let drops: Vec<_> = (0..count).map(drop).collect();
            state().after(&drops).map(|state| state.drops().count())
        };
        let max = u32::try_from(DROPS_MAX).unwrap();
        assert_eq!(drops(max - 1), Ok(DROPS_MAX));
        let what = "too many dropped keyspaces still have tables";
        assert_eq!(drops(max), Err(Refusal::Limit(what)));
        let tables = |count: u64| {
            let tables: Vec<_> = (10..10 + count).map(|n| add(n, 0, ("a", "b"))).collect();
            state().after(&tables).map(|state| state.tables().count())
        };
        let max = u64::try_from(TABLES_MAX).unwrap();
        assert_eq!(tables(max - 3), Ok(TABLES_MAX));
        assert_eq!(tables(max - 2), Err(Refusal::Limit("a store has too many tables")));
        let long = |count: u64| {
            let long = |number| {
                let mut table = table(number, 0, ("", ""));
                table.largest.bytes = vec![9; KEY_BYTES_MAX];
                Change::AddTable(Arc::new(table))
            };
            let tables: Vec<_> = (10..10 + count).map(long).collect();
            state().after(&tables).map(|state| state.table_bytes <= MANIFEST_PAYLOAD_BYTES_MAX)
        };
        assert_eq!(long(510), Ok(true));
        assert_eq!(long(512), Err(Refusal::Limit("the list of tables is too long")));
    }
}
