//! The payload of a commit: `docs/format/commit.md` in code.
//!
//! Pure. [`decode`] is the one way from bytes to entries (L5): live commits, crash replay,
//! restores and the change feed all come through it.

use crate::base::KeyspaceId;
use crate::base::codec::{Cursor, Malformed, narrow, put_sized, widen};
use crate::base::limits::{
    BATCH_OPERATIONS_MAX, KEY_BYTES_MAX, ORIGIN_TEXT_BYTES_MAX, REPLY_BYTES_MAX, REQUEST_BYTES_MAX,
};
use crate::wal::format::Layout;

/// The tables of `docs/format/commit.md`, for the test that compares them.
pub const LAYOUTS: &[Layout] = &[
    ("Extension item", &[("type", 0, 1), ("flags", 1, 1), ("reserved", 2, 2), ("length", 4, 4)]),
    (
        "Operation",
        &[
            ("tag", 0, 1),
            ("flags", 1, 1),
            ("reserved", 2, 2),
            ("keyspace", 4, 4),
            ("key_length", 8, 4),
            ("value_length", 12, 4),
        ],
    ),
];

const ITEM_ORIGIN: u8 = 1;
const ITEM_REQUEST: u8 = 2;
const FLAG_REQUIRED: u8 = 1;
/// Bytes of an operation before its key and value.
const OPERATION_HEADER: usize = 16;
const OPERATION_PUT: u8 = 1;
const OPERATION_DELETE: u8 = 2;

/// Who made a commit, and why; shown by the change feed and by the log's tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// A person, a service, a machine.
    pub actor: String,
    /// The session or trace it belongs to.
    pub session: String,
    /// Why.
    pub reason: String,
}

impl Origin {
    /// Whether nothing is given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.actor.is_empty() && self.session.is_empty() && self.reason.is_empty()
    }
}

/// A commit that may be repeated: the client's id of it, and what it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Chosen by the client.
    pub id: &'a str,
    /// Given back to whoever repeats the request.
    pub reply: &'a [u8],
}

/// What an entry does to its key.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<'a> {
    /// The key has this value.
    Put(&'a [u8]),
    /// The key has no value; the bytes say what the feed should still know of the old one.
    Delete(&'a [u8]),
}

/// One change of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The keyspace.
    pub keyspace: KeyspaceId,
    /// The key.
    pub key: &'a [u8],
    /// What happens to it.
    pub change: Change<'a>,
}

impl<'a> Entry<'a> {
    /// What it changes; the entries of a commit are in this order.
    const fn address(&self) -> (KeyspaceId, &'a [u8]) {
        (self.keyspace, self.key)
    }

    /// Bytes of its operation.
    const fn encoded_len(&self) -> usize {
        let (Change::Put(value) | Change::Delete(value)) = self.change;
        OPERATION_HEADER + self.key.len() + value.len()
    }
}

/// A decoded commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Who and why.
    pub origin: Origin,
    /// The request it answers, if it may be repeated.
    pub request: Option<Request<'a>>,
    /// Its changes, by keyspace and key.
    pub entries: Vec<Entry<'a>>,
}

/// Why a payload cannot be applied.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeFault {
    /// Not what any version writes.
    Malformed(Malformed),
    /// Needs something this build does not know.
    Newer(&'static str),
}

impl From<Malformed> for DecodeFault {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// The payload of a commit with these entries, which are in order of keyspace and key, each key
/// once; [`decode`] refuses others.
///
/// # Panics
/// If a key or value is beyond 4 GiB; the limits are far below and checked by the batch.
#[must_use]
pub fn encode<'a>(
    origin: &Origin,
    request: Option<Request<'_>>,
    entries: impl ExactSizeIterator<Item = Entry<'a>> + Clone,
) -> Vec<u8> {
    let mut area = Vec::new();
    if !origin.is_empty() {
        let mut body = Vec::new();
        for text in [&origin.actor, &origin.session, &origin.reason] {
            put_sized(&mut body, text.as_bytes());
        }
        put_item(&mut area, ITEM_ORIGIN, &body);
    }
    if let Some(request) = request {
        let mut body = Vec::new();
        put_sized(&mut body, request.id.as_bytes());
        put_sized(&mut body, request.reply);
        put_item(&mut area, ITEM_REQUEST, &body);
    }
    let operations_len: usize = entries.clone().map(|entry| entry.encoded_len()).sum();
    let mut payload = Vec::with_capacity(4 + area.len() + 4 + operations_len);
    put_sized(&mut payload, &area);
    payload.extend_from_slice(&narrow(entries.len()).to_le_bytes());
    for entry in entries {
        let (tag, value) = match entry.change {
            Change::Put(value) => (OPERATION_PUT, value),
            Change::Delete(note) => (OPERATION_DELETE, note),
        };
        payload.extend_from_slice(&[tag, 0, 0, 0]);
        payload.extend_from_slice(&entry.keyspace.0.to_le_bytes());
        payload.extend_from_slice(&narrow(entry.key.len()).to_le_bytes());
        payload.extend_from_slice(&narrow(value.len()).to_le_bytes());
        payload.extend_from_slice(entry.key);
        payload.extend_from_slice(value);
    }
    payload
}

fn put_item(area: &mut Vec<u8>, kind: u8, body: &[u8]) {
    area.extend_from_slice(&[kind, 0, 0, 0]);
    put_sized(area, body);
}

/// The entries of a commit's payload.
///
/// # Errors
/// [`DecodeFault`]; never panics, and allocates no more than a small multiple of the input.
pub fn decode(payload: &[u8]) -> Result<Decoded<'_>, DecodeFault> {
    let mut cursor = Cursor::new(payload);
    let mut decoded = Decoded::default();
    decode_area(cursor.sized()?, &mut decoded)?;
    let count = widen(cursor.u32()?);
    if count > BATCH_OPERATIONS_MAX {
        return Err(cursor.malformed("more operations than a batch can hold").into());
    }
    // The count is from outside: what it promises must fit in what is there (L9).
    decoded.entries.reserve(count.min(cursor.remaining() / OPERATION_HEADER));
    for _ in 0..count {
        let unordered = "the operations are not in order of keyspace and key, each once";
        let unordered = cursor.malformed(unordered);
        let entry = decode_operation(&mut cursor)?;
        // Nobody could tell which of two changes of a key is the later one.
        if decoded.entries.last().is_some_and(|before| before.address() >= entry.address()) {
            return Err(unordered.into());
        }
        decoded.entries.push(entry);
    }
    cursor.finish()?;
    Ok(decoded)
}

fn decode_operation<'a>(cursor: &mut Cursor<'a>) -> Result<Entry<'a>, DecodeFault> {
    let malformed = cursor.malformed("an operation is neither put nor delete");
    let [tag, flags, reserved @ ..] = cursor.array::<4>()?;
    if flags != 0 {
        return Err(DecodeFault::Newer("a value is encrypted"));
    }
    let keyspace = KeyspaceId(cursor.u32()?);
    let (key_len, value_len) = (widen(cursor.u32()?), widen(cursor.u32()?));
    if key_len > KEY_BYTES_MAX {
        return Err(cursor.malformed("a key is longer than its limit").into());
    }
    let key = cursor.bytes(key_len)?;
    let value = cursor.bytes(value_len)?;
    let change = match (tag, reserved) {
        (OPERATION_PUT, [0, 0]) => Change::Put(value),
        (OPERATION_DELETE, [0, 0]) => Change::Delete(value),
        _ => return Err(malformed.into()),
    };
    Ok(Entry { keyspace, key, change })
}

fn decode_area<'a>(area: &'a [u8], decoded: &mut Decoded<'a>) -> Result<(), DecodeFault> {
    let mut cursor = Cursor::new(area);
    while cursor.remaining() > 0 {
        let reserved = cursor.malformed("reserved bits of an extension item are not zero");
        let [kind, flags, low, high] = cursor.array::<4>()?;
        if flags & !FLAG_REQUIRED != 0 || (low, high) != (0, 0) {
            return Err(reserved.into());
        }
        let mut body = Cursor::new(cursor.sized()?);
        match kind {
            ITEM_ORIGIN => {
                decoded.origin.actor = body.text()?.to_owned();
                decoded.origin.session = body.text()?.to_owned();
                decoded.origin.reason = body.text()?.to_owned();
                body.finish()?;
            }
            ITEM_REQUEST => {
                let (id, reply) = (body.text()?, body.sized()?);
                body.finish()?;
                decoded.request = Some(Request { id, reply });
            }
            _ if flags & FLAG_REQUIRED != 0 => {
                return Err(DecodeFault::Newer("an extension item is not known"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What is wrong with an origin, if anything.
#[must_use]
pub fn origin_fault(origin: &Origin) -> Option<&'static str> {
    let texts = [&origin.actor, &origin.session, &origin.reason];
    let long = texts.iter().any(|text| text.len() > ORIGIN_TEXT_BYTES_MAX);
    long.then_some("the actor, session or reason of a commit is longer than 1 KiB; shorten it")
}

/// What is wrong with a request, if anything.
#[must_use]
pub fn request_fault(request: &Request<'_>) -> Option<&'static str> {
    if request.id.is_empty() || request.id.len() > REQUEST_BYTES_MAX {
        Some("a request id has 1 to 64 bytes; choose another")
    } else if request.reply.len() > REPLY_BYTES_MAX {
        Some("the answer to a request is larger than 64 KiB; split the batch")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let origin =
            Origin { actor: "ohno".into(), session: "s-1".into(), reason: "andon resolved".into() };
        let entries = [
            Entry { keyspace: KeyspaceId(1), key: b"a", change: Change::Put(b"one") },
            Entry { keyspace: KeyspaceId(2), key: b"", change: Change::Delete(b"note") },
        ];
        encode(&origin, Some(Request { id: "r", reply: b"[]" }), entries.into_iter())
    }

    #[test]
    fn a_commit_is_read_back() {
        let bytes = sample();
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.origin.reason, "andon resolved");
        assert_eq!(decoded.request, Some(Request { id: "r", reply: b"[]" }));
        assert_eq!(decoded.entries.len(), 2);
        assert_eq!(decoded.entries[1].change, Change::Delete(b"note"));
    }

    #[test]
    fn every_shortened_commit_is_refused() {
        let bytes = sample();
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "{len} bytes");
        }
    }

    #[test]
    fn an_unknown_item_is_skipped_unless_it_is_required() {
        for (flags, refused) in [(0, false), (1, true)] {
            let mut area = vec![9, flags, 0, 0];
            put_sized(&mut area, b"later");
            let mut payload = Vec::new();
            put_sized(&mut payload, &area);
            payload.extend_from_slice(&[0; 4]);
            assert_eq!(decode(&payload).is_err(), refused);
        }
    }

    #[test]
    fn a_commit_that_changes_a_key_twice_or_out_of_order_is_refused() {
        let change = Change::Put(b"value");
        let put = |keyspace, key| Entry { keyspace: KeyspaceId(keyspace), key, change };
        let pairs: [(_, _, bool); 5] = [
            (put(1, &b"a"[..]), put(1, &b"a"[..]), false),
            (put(1, b"b"), put(1, b"a"), false),
            (put(2, b"a"), put(1, b"b"), false),
            (put(1, b"a"), put(1, b"a\0"), true),
            (put(1, b"b"), put(2, b"a"), true),
        ];
        for (first, second, accepted) in pairs {
            let payload = encode(&Origin::default(), None, [first, second].into_iter());
            let decoded = decode(&payload);
            assert_eq!(decoded.is_ok(), accepted, "{first:?} and {second:?}");
            if let Err(fault) = decoded {
                let what = "the operations are not in order of keyspace and key, each once";
                // Where the second operation begins.
                let offset = 4 + 4 + 16 + first.key.len() + 5;
                assert_eq!(fault, DecodeFault::Malformed(Malformed { offset, what }));
            }
        }
    }

    #[test]
    fn a_forged_count_does_not_allocate() {
        let mut payload = vec![0; 4];
        payload.extend_from_slice(&u32::MAX.to_le_bytes());
        assert!(decode(&payload).is_err());
        let mut payload = vec![0; 4];
        payload.extend_from_slice(&1_000_000_u32.to_le_bytes());
        assert!(matches!(decode(&payload), Err(DecodeFault::Malformed(_))));
    }
}
