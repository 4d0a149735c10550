//! What may be seen of a damaged store: what was there, or a refusal that says where.

use std::path::Path;

use jidoka::base::{Error, ErrorKind, Lsn};
use jidoka::vfs::memory::runtime;
use jidoka::wal::LogReader;
use jidoka::wal::reader::{Limit, OwnedRecord};

use crate::shop::{Files, STORE, Shop, disk_of, observe, open};

/// Requires that `error` is one that damage may give.
pub fn is_typed(error: &Error) {
    let legal = [
        ErrorKind::Corrupt,
        ErrorKind::Unsupported,
        ErrorKind::NotFound,
        ErrorKind::Invalid,
        ErrorKind::Expired,
        ErrorKind::Diverged,
        ErrorKind::Unreachable,
    ];
    assert!(legal.contains(&error.kind()), "{error:?}");
    assert!(!error.message().is_empty());
}

/// Requires that `error` refuses damage and says where.
pub fn is_refusal(error: &Error) {
    let kinds = [ErrorKind::Corrupt, ErrorKind::Unsupported];
    assert!(kinds.contains(&error.kind()) && error.place().path.is_some(), "{error:?}");
}

fn segment_path(number: u64) -> String {
    format!("{STORE}/wal/{number:016}.wal")
}

/// Every record of a store that is whole, in the order of the log.
fn records(files: &Files) -> Vec<OwnedRecord> {
    let disk = disk_of(files);
    let mut reader = LogReader::open(Path::new(STORE), &runtime(&disk, 5)).expect("a whole store");
    let mut records = Vec::new();
    while let Some(record) = reader.next(Limit::Everything).expect("a whole store") {
        records.push(record);
    }
    records
}

/// Which records of the log damage has changed.
struct Compared<'a> {
    before: &'a Files,
    after: &'a Files,
}

impl Compared<'_> {
    fn same(&self, path: &str, from: usize, to: usize) -> bool {
        let part = |files: &Files| files.get(path).and_then(|bytes| bytes.get(from..to).map(hash));
        part(self.before).is_some_and(|before| Some(before) == part(self.after))
    }

    fn header_is_same(&self, record: &OwnedRecord) -> bool {
        self.same(&segment_path(record.segment.0), 0, 4096)
    }

    fn is_same(&self, record: &OwnedRecord) -> bool {
        let from = record.offset as usize;
        let to = from + record.header.record_len() as usize;
        self.header_is_same(record) && self.same(&segment_path(record.segment.0), from, to)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    jidoka::base::checksum::hash64(bytes)
}

/// Opens the damaged `files` of `shop` and requires what the format promises: the content of the
/// log up to the first changed record, and a refusal when a later claim proves that record.
pub fn judge(shop: &Shop, files: &Files) {
    let identity = format!("{STORE}/IDENTITY");
    let holds_records = |(path, bytes): (&String, &Vec<u8>)| {
        // A file with another suffix is never part of the log.
        path.ends_with(".wal") && bytes.iter().skip(4096).any(|byte| *byte != 0)
    };
    if !files.contains_key(&identity) && !files.iter().any(holds_records) {
        return; // nothing says that there ever was a store
    }
    let compared = Compared { before: &shop.files, after: files };
    let records = records(&shop.files);
    let hole = records.iter().position(|record| !compared.is_same(record));
    let (before, from) = records.split_at(hole.unwrap_or(records.len()));
    let claimed = from.first().is_some_and(|first| {
        let later = &mut from.iter().filter(|record| compared.is_same(record));
        later.any(|later| later.header.claim >= first.header.seq)
    });
    let header_lost = from.first().is_some_and(|first| !compared.header_is_same(first));
    let identity_lost = shop.files.get(&identity) != files.get(&identity);
    let sure = before.last().map_or(Lsn::ZERO, |record| record.header.lsn);
    match open(&disk_of(files), 9) {
        // Without an identity and beside strangers it is nobody's store, and stays untouched.
        Err(error) if error.kind() == ErrorKind::Invalid && !files.contains_key(&identity) => {}
        Err(error) => is_refusal(&error),
        Ok(docs) => {
            let case = docs.store().recovery().case;
            assert!(!identity_lost, "{case}: opened with another identity: {:?}", files.keys());
            assert!(!header_lost, "{case}: opened with a changed header");
            assert!(!claimed, "{case}: opened without a record that is claimed, after LSN {sure}");
            let (lsn, content) = observe(&docs).expect("an open store can be read");
            assert_eq!(Some(content), shop.content_at(lsn), "{case}: content at LSN {lsn}");
            assert!(lsn >= sure, "{case}: LSN {lsn}, and {sure} is intact");
            let last = records.last().map_or(Lsn::ZERO, |record| record.header.lsn);
            assert!(lsn <= last && (hole.is_some() || lsn == last), "{case}: {lsn}, not {last}");
            assert!(docs.store().close().is_ok());
        }
    }
}
