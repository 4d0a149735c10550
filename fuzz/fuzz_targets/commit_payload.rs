//! Input: any bytes as the payload of a commit, or choices from which a batch is made.
//!
//! Oracle: no panic; what is decoded is encoded to the same content, and a batch that is encoded
//! is decoded as it was. Entries of the directory and heads of documents are read back too.
#![no_main]

use jidoka::base::KeyspaceId;
use jidoka::doc::Revision;
use jidoka::store::format::{Change, Entry, Origin, Request, decode, encode};
use jidoka::store::{directory_key, parse_directory_entry};
use jidoka_fuzz::input::Input;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(decoded) = decode(bytes) {
        let again = encode(&decoded.origin, decoded.request, decoded.entries.iter().copied());
        assert_eq!(decode(&again).as_ref(), Ok(&decoded));
        for entry in &decoded.entries {
            let (Change::Put(value) | Change::Delete(value)) = entry.change else { continue };
            if let Some((keyspace, id)) = parse_directory_entry(entry.key, value) {
                assert_eq!(directory_key(&keyspace), entry.key);
                assert_eq!(id.0.to_le_bytes(), value);
            }
            if let Some(revision) = Revision::decode(value) {
                assert_eq!(Some(revision.encode().as_slice()), value.get(..41));
            }
        }
    }
    made(&mut Input::new(bytes));
});

fn made(input: &mut Input<'_>) {
    let text = |input: &mut Input<'_>| {
        let len = input.below(40);
        String::from_utf8_lossy(input.bytes(len)).into_owned()
    };
    let origin = Origin { actor: text(input), session: text(input), reason: text(input) };
    let id = text(input);
    let reply = text(input);
    let request = input.flag().then_some(Request { id: &id, reply: reply.as_bytes() });
    let mut entries = Vec::new();
    for _ in 0..input.below(6) {
        let keyspace = KeyspaceId(u32::from(input.u16()));
        let len = input.below(30);
        let key = input.bytes(len);
        let len = input.below(100);
        let value = input.bytes(len);
        let change = if input.flag() { Change::Put(value) } else { Change::Delete(value) };
        entries.push(Entry { keyspace, key, change });
    }
    entries.sort_by_key(|entry| (entry.keyspace, entry.key));
    entries.dedup_by_key(|entry| (entry.keyspace, entry.key));
    let payload = encode(&origin, request, entries.iter().copied());
    let decoded = decode(&payload).expect("a payload that was made");
    assert_eq!((decoded.origin, decoded.request, decoded.entries), (origin, request, entries));
    assert!((0..payload.len()).all(|len| decode(&payload[..len]).is_err()));
}
