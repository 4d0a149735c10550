//! Input: any bytes as an identity, a segment header and the records of a segment; with the
//! first byte odd, the records' checksums are made right first.
//!
//! Oracle: no panic, no hang, no allocation that the input does not pay for; what is read is
//! written the same; a claim is found only where a record is; the records are the longest chain.
#![no_main]

use jidoka::base::codec::to_u64;
use jidoka::wal::format::{Kind, RECORDS_START, RecordHeader, Salt};
use jidoka::wal::header::SegmentHeader;
use jidoka::wal::identity::Identity;
use jidoka::wal::scan::{Found, Position, find_claim, find_record, read_record};
use jidoka::wal::truncation::TakenBack;
use jidoka::wal::vote::{Committed, Vote};
use jidoka_fuzz::input::Input;
use jidoka_fuzz::seal::{Level, seal};
use jidoka_fuzz::shop::Files;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let level = [Level::None, Level::Checksums, Level::None, Level::Chain][input.below(4)];
    let name = input.pick(&["IDENTITY", "1.wal", "1.wal", "1.wal"]);
    let mut files = Files::from([(name.to_owned(), input.rest().to_vec())]);
    if name != "IDENTITY" {
        // A header page of zeroes stands before the records: their salt is 0.
        files.values_mut().for_each(|records| drop(records.splice(..0, [0; 4096])));
    }
    seal(&mut files, level);
    let file = files.into_values().next().unwrap_or_default();
    if let Ok(identity) = Identity::decode(&file) {
        assert_eq!(identity.encode(), file);
    }
    let page = input_page(bytes);
    if let Ok(header) = SegmentHeader::decode(&page) {
        assert_eq!(Ok(header), SegmentHeader::decode(&header.encode()));
    }
    if name != "IDENTITY" {
        records(&file);
    }
});

/// The input as a header page with a right checksum.
fn input_page(bytes: &[u8]) -> Vec<u8> {
    let mut page = SegmentHeader {
        store_id: jidoka::base::StoreId([7; 16]),
        segment: jidoka::base::SegmentNumber(1),
        segment_bytes: 8192,
        salt: Salt(7),
        former: jidoka::base::SegmentNumber(0),
        read_compatible: 0,
    }
    .encode();
    let len = bytes.len().min(64);
    for (into, from) in page.iter_mut().zip(&bytes[..len]) {
        *into ^= *from;
    }
    let mut files = Files::from([("1.wal".to_owned(), page)]);
    seal(&mut files, Level::Checksums);
    files.into_values().next().unwrap_or_default()
}

/// What the bookkeeping of a cluster says is written the same.
fn payload(kind: Kind, payload: &[u8]) {
    let again = match kind {
        Kind::Vote => Vote::decode(payload).map(|vote| vote.encode()),
        Kind::Committed => Committed::decode(payload).map(|mark| mark.encode()),
        Kind::TruncateAfter => TakenBack::decode(payload).map(|taken_back| taken_back.encode()),
        _ => return,
    };
    assert_eq!(again.as_deref(), Some(payload), "a record whose payload cannot be read");
}

fn records(file: &[u8]) {
    let salt = Salt(0);
    let (mut offset, mut position) = (RECORDS_START, Position::ORIGIN);
    while let Some(window) = usize::try_from(offset).ok().and_then(|from| file.get(from..)) {
        let found = read_record(window, offset, to_u64(file.len()), salt, &position);
        let Found::Record(record, next) = found else { break };
        let mut again = Vec::new();
        record.header.encode(salt, offset, &mut again);
        assert_eq!(Some(again.as_slice()), window.get(..again.len()));
        assert_eq!(RecordHeader::decode(&again, salt, offset), Ok(record.header));
        assert_eq!((next.seq, next.lsn), (record.header.seq, record.header.lsn));
        payload(record.header.kind, record.payload);
        offset += record.header.record_len();
        position = next;
    }
    let hole = jidoka::base::Seq(position.seq.0.saturating_add(1));
    if let Some((at, header)) = find_claim(file, RECORDS_START, salt, hole) {
        assert!(header.claim >= hole && header.seq > header.claim && at % 8 == 0);
        let from = usize::try_from(at).expect("a place in the file");
        assert_eq!(RecordHeader::decode(&file[from..], salt, at), Ok(header));
        let first = find_record(file, RECORDS_START, salt, &|_| true).expect("at least that one");
        assert!(first.0 <= at);
    }
}
