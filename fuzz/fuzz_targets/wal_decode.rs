//! Any bytes as the records of a segment: no panic, no hang, and what is read is written the same.
#![no_main]

use jidoka::base::codec::to_u64;
use jidoka::store::format::{decode, encode};
use jidoka::wal::format::{RecordHeader, Salt};
use jidoka::wal::scan::{Found, Position, find_claim, read_record};

const SALT: Salt = Salt(7);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (mut offset, mut position) = (0, Position::ORIGIN);
    while let Some(window) = usize::try_from(offset).ok().and_then(|from| bytes.get(from..)) {
        let found = read_record(window, offset, to_u64(bytes.len()), SALT, &position);
        let Found::Record(record, next) = found else { break };
        let mut again = Vec::new();
        record.header.encode(SALT, offset, &mut again);
        assert_eq!(Some(again.as_slice()), window.get(..again.len()));
        assert_eq!(RecordHeader::decode(&again, SALT, offset), Ok(record.header));
        offset += record.header.record_len();
        position = next;
    }
    let _claim = find_claim(bytes, 0, SALT, position.seq.next());
    // The payload's own decoder gets the bytes without the record's checks before it.
    if let Ok(decoded) = decode(bytes) {
        let again = encode(&decoded.origin, decoded.request, decoded.entries.iter().copied());
        assert_eq!(decode(&again), Ok(decoded));
    }
});
