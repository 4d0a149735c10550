//! Where the edits of a manifest file end, and what they amount to: rules 2 to 6 of the page.
//!
//! Pure. The one decoder of manifests: whoever opens one reads through here (L5).

use crate::base::ErrorKind;
use crate::base::codec::{is_zero, to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::wal::format::{RecordFault, Salt};
use crate::wal::header::HeaderFault;

use super::change::{ChangeFault, decode_changes};
use super::format::{
    EditId, RECORDS_START, Record, RecordKind, decode_record, is_header, record_bytes,
};
use super::sector::{Role, SECTOR, Sector};
use super::state::State;

/// What a manifest says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    pub(super) state: State,
    /// The edit that the snapshot stands for, and those after it.
    pub(super) edits: Vec<EditId>,
    /// Where the last record ends.
    pub(super) end: u64,
    /// Something is behind the last record that is none.
    pub(super) is_torn: bool,
}

impl History {
    /// The last edit.
    pub(super) fn last(&self) -> EditId {
        self.edits.last().copied().unwrap_or_default()
    }
}

/// Why bytes are not the manifest that `CURRENT` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `Corrupt` or `Unsupported`.
    pub(super) kind: ErrorKind,
    pub(super) offset: u64,
    pub(super) what: String,
}

fn corrupt(offset: u64, what: String) -> Fault {
    Fault { kind: ErrorKind::Corrupt, offset, what }
}

fn newer(offset: u64) -> Fault {
    let what = "the manifest was written by a newer version of jidoka; upgrade to open it";
    Fault { kind: ErrorKind::Unsupported, offset, what: what.to_owned() }
}

/// Reads all of a manifest file, which `current` names.
///
/// # Errors
/// [`Fault`]; never panics, whatever the bytes are.
pub(super) fn read(bytes: &[u8], current: &Sector) -> Result<History, Fault> {
    let (page, records) = bytes.split_at_checked(PAGE).unwrap_or((bytes, &[]));
    check_header(page, current)?;
    if to_u64(bytes.len()) != current.file_bytes {
        let end = to_u64(bytes.len());
        return Err(corrupt(end, "the manifest is not as long as it was made".to_owned()));
    }
    let mut history = History { end: RECORDS_START, ..History::default() };
    loop {
        let rest = records.get(to_usize(history.end - RECORDS_START)..).unwrap_or_default();
        if rest.is_empty() {
            break;
        }
        match decode_record(rest, current.salt, history.end) {
            Ok(record) => history.follow(&record)?,
            Err(RecordFault::Newer) => return Err(newer(history.end)),
            Err(RecordFault::Invalid(what)) => {
                history.is_torn = is_torn(rest, &history, current.salt, what)?;
                break;
            }
        }
    }
    Ok(history)
}

fn check_header(page: &[u8], current: &Sector) -> Result<(), Fault> {
    let (sector, rest) = page.split_at_checked(SECTOR).unwrap_or((page, &[]));
    let what = match Sector::decode(sector, Role::Header) {
        Err(HeaderFault::Unsupported(what)) => {
            return Err(Fault { kind: ErrorKind::Unsupported, offset: 0, what: what.to_owned() });
        }
        Err(HeaderFault::Damaged(what)) => what,
        Ok(header) if header != *current => "it is not the one that CURRENT names",
        Ok(_) if !is_zero(rest) => "a reserved byte is not zero",
        Ok(_) => return Ok(()),
    };
    Err(corrupt(0, format!("the header of the manifest is damaged: {what}")))
}

/// Whether the end of the edits is torn, or clean, when `what` is wrong with `rest` behind them.
fn is_torn(rest: &[u8], history: &History, salt: Salt, what: &str) -> Result<bool, Fault> {
    let damaged = |number, why| {
        let what = format!("edit {number} of the manifest is damaged ({what}), {why}");
        Err(corrupt(history.end, what))
    };
    if history.edits.is_empty() {
        return damaged(0, "and it stands for all before it");
    }
    let missing = history.last().number + 1;
    let mut offset = history.end;
    for page in rest.chunks(PAGE).skip(1) {
        offset += to_u64(PAGE);
        if is_header(page, salt, offset) {
            return damaged(missing, "and a later one shows that it was synced");
        }
    }
    Ok(!is_zero(rest))
}

impl History {
    /// Goes on over a whole record, which no crash made different from what was written: what
    /// does not follow is damage.
    fn follow(&mut self, record: &Record<'_>) -> Result<(), Fault> {
        let (header, at) = (&record.header, self.end);
        let fault =
            |what: &str| Err(corrupt(at, format!("edit {} of the manifest: {what}", header.seq)));
        let id = EditId { number: header.seq.0, hash: header.chain };
        let is_first = self.edits.is_empty();
        if is_first != (header.kind == RecordKind::Snapshot) {
            return fault("a snapshot is the first record and no other");
        }
        let claim = if is_first { 0 } else { self.last().number };
        if header.claim.0 != claim || (!is_first && id != self.last().next(header.payload_hash)) {
            return fault("it does not follow the one before it");
        }
        if is_first && (id.number == 0) != (id == EditId::default()) {
            return fault("it does not follow the one before it");
        }
        let changes = match decode_changes(record.payload) {
            Ok(changes) => changes,
            Err(ChangeFault::Newer) => return Err(newer(at)),
            Err(ChangeFault::Malformed(what)) => return fault(what),
        };
        if changes.is_empty() {
            return fault("it changes nothing");
        }
        match std::mem::take(&mut self.state).after(&changes) {
            Ok(state) => self.state = state,
            Err(refusal) => return fault(refusal.what()),
        }
        let position = self.state.checkpoint().position;
        let told = (header.lsn, header.term, header.time, header.leader);
        if told != (position.lsn, position.term, position.time, 0) {
            return fault("its header names another checkpoint");
        }
        self.edits.push(id);
        self.end += record_bytes(record.payload.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::change::{Change, Checkpoint};
    use super::super::format::encode_record;
    use super::super::samples::{add, checkpoint};
    use super::*;
    use crate::base::StoreId;
    use crate::base::checksum::hash64;
    use crate::wal::format::RECORD_HEADER;

    const CURRENT: Sector =
        Sector { store_id: StoreId([3; 16]), manifest: 2, salt: Salt(77), file_bytes: 7 * 4096 };

    /// A manifest being written, and what a reader of it must find.
    struct Written {
        bytes: Vec<u8>,
        edits: Vec<EditId>,
        states: Vec<State>,
        /// Where each record begins.
        starts: Vec<u64>,
    }

    impl Written {
        fn new() -> Self {
            let mut bytes = CURRENT.encode(Role::Header);
            bytes.resize(PAGE, 0);
            Self { bytes, edits: Vec::new(), states: Vec::new(), starts: Vec::new() }
        }

        fn put(&mut self, kind: RecordKind, id: EditId, mark: &Checkpoint, payload: &[u8]) {
            let at = to_u64(self.bytes.len());
            let spot = (CURRENT.salt, at);
            self.starts.push(at);
            self.bytes.extend(encode_record(kind, id, mark, payload, spot));
        }

        fn snapshot(mut self, id: EditId, state: State) -> Self {
            self.put(RecordKind::Snapshot, id, state.checkpoint(), &encoded(&state.snapshot()));
            self.edits.push(id);
            self.states.push(state);
            self
        }

        fn edit(mut self, changes: &[Change]) -> Self {
            let payload = encoded(changes);
            let state = self.states.last().unwrap().clone().after(changes).unwrap();
            let id = self.edits.last().unwrap().next(hash64(&payload));
            self.put(RecordKind::Edit, id, state.checkpoint(), &payload);
            self.edits.push(id);
            self.states.push(state);
            self
        }

        fn finish(&self) -> Vec<u8> {
            let mut bytes = self.bytes.clone();
            bytes.resize(to_usize(CURRENT.file_bytes), 0);
            bytes
        }

        /// What is found when so many records are whole.
        fn prefix(&self, records: usize, is_torn: bool) -> History {
            History {
                state: self.states[records - 1].clone(),
                edits: self.edits[..records].to_vec(),
                end: self.starts.get(records).copied().unwrap_or(to_u64(self.bytes.len())),
                is_torn,
            }
        }
    }

    fn encoded(changes: &[Change]) -> Vec<u8> {
        let mut bytes = Vec::new();
        changes.iter().for_each(|change| change.encode(&mut bytes));
        bytes
    }

    /// A snapshot and three edits; the second takes two pages.
    fn written() -> Written {
        let state = State::default().after(&[checkpoint(4), add(1, 0, ("a", "b"))]).unwrap();
        let long = "k".repeat(4000);
        Written::new()
            .snapshot(EditId { number: 8, hash: 1234 }, state)
            .edit(&[checkpoint(5), add(2, 0, ("a", "m"))])
            .edit(&[Change::RemoveTable(1), add(4, 1, ("a", &long))])
            .edit(&[checkpoint(9)])
    }

    #[test]
    fn a_manifest_is_read_to_its_end() {
        let written = written();
        assert_eq!(read(&written.finish(), &CURRENT), Ok(written.prefix(4, false)));
        let empty = Written::new().snapshot(EditId::default(), State::default());
        assert_eq!(read(&empty.finish(), &CURRENT), Ok(empty.prefix(1, false)));
        let full = written.edit(&[Change::NextTable(9)]);
        assert_eq!(to_u64(full.bytes.len()), CURRENT.file_bytes);
        assert_eq!(read(&full.finish(), &CURRENT), Ok(full.prefix(5, false)));
    }

    #[test]
    fn any_flipped_byte_is_damage_with_its_place_or_a_torn_end() {
        let written = written();
        let (bytes, last) = (written.finish(), to_usize(written.starts[3]));
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x21;
            let read = read(&flipped, &CURRENT);
            if at >= last {
                let whole = if at < written.bytes.len() { 3 } else { 4 };
                assert_eq!(read, Ok(written.prefix(whole, true)), "byte {at}");
                continue;
            }
            let fault = read.unwrap_err();
            let starts = written.starts.iter().rev();
            let start = starts.copied().find(|start| *start <= to_u64(at)).unwrap_or(0);
            assert_eq!((fault.kind, fault.offset), (ErrorKind::Corrupt, start), "byte {at}");
        }
    }

    #[test]
    fn a_manifest_of_any_other_length_is_damage() {
        let bytes = written().finish();
        for len in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            let fault = read(&bytes[..len], &CURRENT).unwrap_err();
            assert_eq!(fault.kind, ErrorKind::Corrupt, "{len} bytes");
        }
        assert!(read(&[&bytes[..], &[0]].concat(), &CURRENT).is_err());
    }

    #[test]
    fn a_record_of_which_only_some_sectors_came_is_cut() {
        let written = written();
        let (bytes, end) = (written.finish(), to_usize(written.starts[3]));
        for kept in 0..8_u32 {
            // The second edit is the last, and one of its sectors is missing.
            let mut torn = bytes.clone();
            torn[end..].fill(0);
            let sector = to_usize(written.starts[2]) + 512 * to_usize(u64::from(kept));
            torn[sector..sector + 512].fill(0);
            assert_eq!(read(&torn, &CURRENT), Ok(written.prefix(2, true)), "sector {kept}");
        }
        let mut none = bytes;
        none[to_usize(written.starts[2])..].fill(0);
        assert_eq!(read(&none, &CURRENT), Ok(written.prefix(2, false)));
    }

    #[test]
    fn a_lost_edit_is_named() {
        let written = written();
        let mut bytes = written.finish();
        bytes[to_usize(written.starts[1]) + RECORD_HEADER] ^= 1;
        let fault = read(&bytes, &CURRENT).unwrap_err();
        assert!(fault.what.contains("edit 9 ") && fault.what.contains("synced"), "{}", fault.what);
    }

    #[test]
    fn the_manifest_must_be_the_one_that_is_named() {
        let bytes = written().finish();
        for other in [
            Sector { manifest: 3, ..CURRENT },
            Sector { salt: Salt(78), ..CURRENT },
            Sector { store_id: StoreId([4; 16]), ..CURRENT },
            Sector { file_bytes: 8 * 4096, ..CURRENT },
        ] {
            let fault = read(&bytes, &other).unwrap_err();
            assert_eq!((fault.kind, fault.offset), (ErrorKind::Corrupt, 0), "{other:?}");
        }
    }

    /// What is read of a snapshot and one more record, which is whole.
    fn with(change: impl Fn(&mut RecordKind, &mut EditId, &mut Checkpoint, &mut Vec<u8>)) -> Fault {
        let written = Written::new().snapshot(EditId { number: 8, hash: 1234 }, State::default());
        let (mut kind, mut payload) = (RecordKind::Edit, encoded(&[checkpoint(2)]));
        let mut mark = *State::default().after(&[checkpoint(2)]).unwrap().checkpoint();
        let mut id = written.edits[0].next(hash64(&payload));
        change(&mut kind, &mut id, &mut mark, &mut payload);
        let mut written = written;
        written.put(kind, id, &mark, &payload);
        read(&written.finish(), &CURRENT).expect_err("read")
    }

    #[test]
    fn a_whole_record_that_does_not_follow_is_damage() {
        let corrupt = |fault: Fault, what: &str| {
            assert_eq!((fault.kind, fault.offset), (ErrorKind::Corrupt, 2 * 4096), "{what}");
            assert!(fault.what.contains(what), "{} instead of {what}", fault.what);
        };
        let first = EditId { number: 8, hash: 1234 };
        corrupt(with(|kind, _, _, _| *kind = RecordKind::Snapshot), "a snapshot is the first");
        corrupt(with(|_, id, _, _| id.hash += 1), "does not follow");
        corrupt(with(|_, id, _, _| id.number += 1), "edit 10 of the manifest: it does not follow");
        corrupt(with(|_, _, mark, _| mark.position.lsn.0 += 1), "another checkpoint");
        let replaced = |payload: Vec<u8>| {
            with(|_, id, _, old| {
                *id = first.next(hash64(&payload));
                old.clone_from(&payload);
            })
        };
        corrupt(replaced(Vec::new()), "changes nothing");
        corrupt(replaced(encoded(&[Change::RemoveTable(1)])), "not there");
        corrupt(replaced(vec![1, 2]), "end too early");
        let unknown = [&encoded(&[checkpoint(2)])[..], &[99, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(replaced(unknown).kind, ErrorKind::Unsupported);
    }

    #[test]
    fn the_first_record_is_a_snapshot() {
        let mut edit = Written::new();
        let payload = encoded(&[checkpoint(2)]);
        let mark = *State::default().after(&[checkpoint(2)]).unwrap().checkpoint();
        edit.put(RecordKind::Edit, EditId::default().next(hash64(&payload)), &mark, &payload);
        assert_eq!(read(&edit.finish(), &CURRENT).unwrap_err().offset, RECORDS_START);
        let zero = Written::new().snapshot(EditId { number: 0, hash: 5 }, State::default());
        assert_eq!(read(&zero.finish(), &CURRENT).unwrap_err().offset, RECORDS_START);
        let nothing = read(&Written::new().finish(), &CURRENT).unwrap_err();
        assert_eq!((nothing.kind, nothing.offset), (ErrorKind::Corrupt, RECORDS_START));
    }

    #[test]
    fn a_payload_of_any_bytes_under_right_checksums_is_read_or_refused() {
        let mut drawn = 9_u64;
        let mut draw = |below: usize| {
            drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            to_usize(drawn >> 33) % below
        };
        let whole = encoded(&[checkpoint(4), add(1, 1, ("a", "c")), Change::NextTable(9)]);
        let mut outcomes = [0; 2];
        for _ in 0..20_000 {
            let mut payload = whole.clone();
            for _ in 0..=draw(4) {
                let at = draw(payload.len());
                payload[at] = u8::try_from(draw(256)).unwrap();
            }
            payload.truncate(1 + draw(2 * whole.len()));
            let mut written = Written::new().snapshot(EditId::default(), State::default());
            let id = EditId::default().next(hash64(&payload));
            let mark = *State::default().after(&[checkpoint(4)]).unwrap().checkpoint();
            written.put(RecordKind::Edit, id, &mark, &payload);
            let read = read(&written.finish(), &CURRENT);
            outcomes[usize::from(read.is_ok())] += 1;
        }
        assert!(outcomes[0] > 1000 && outcomes[1] > 0, "{outcomes:?}");
    }
}
