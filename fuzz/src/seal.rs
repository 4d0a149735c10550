//! Checksums made right again after damage, so that what stands behind them is reached too.

use jidoka::base::checksum::{crc32c, crc32c_seeded, hash64};

use crate::input::Input;
use crate::shop::Files;

/// Segments larger than this would only make a target slow.
const SEGMENT_BYTES_MAX: u64 = 64 << 10;

/// How far damage is covered up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    None,
    /// Headers and payloads verify, and the chain does not.
    Checksums,
    /// The chain is that of another history.
    Chain,
}

/// Half of the inputs are left as they are.
pub fn level(input: &mut Input<'_>) -> Level {
    input.pick(&[Level::None, Level::Chain, Level::None, Level::Checksums])
}

/// Makes every file verify as far as `level` says.
pub fn seal(files: &mut Files, level: Level) {
    if level == Level::None {
        return;
    }
    let mut chain = 0;
    let mut copied = 0;
    for (path, bytes) in files.iter_mut() {
        let name = path.rsplit('/').next().unwrap_or_default();
        match name {
            "IDENTITY" | "COPY" => seal_identity(bytes),
            "END" => seal_front(bytes, 52),
            _ if name.ends_with(".wal") => seal_segment(bytes, level, &mut chain),
            _ if name.ends_with(".range") => seal_range(bytes, level, &mut copied),
            _ => {}
        }
    }
}

/// Writes the checksum of everything before `at` there.
fn seal_front(bytes: &mut [u8], at: usize) {
    if bytes.len() >= at + 4 {
        let checksum = crc32c(&bytes[..at]);
        bytes[at..at + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    if let Some(found) = bytes.get(at..at + 8) {
        number.copy_from_slice(found);
    }
    u64::from_le_bytes(number)
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn seal_identity(bytes: &mut [u8]) {
    if bytes.len() < 64 {
        return;
    }
    if number(bytes, 32) > SEGMENT_BYTES_MAX {
        put(bytes, 32, 8192);
    }
    let end = bytes.len() - 4;
    seal_front(bytes, end);
}

/// What the chain becomes after a record with these fields.
fn link(previous: u64, fields: [&[u8]; 6]) -> u64 {
    let mut input = previous.to_le_bytes().to_vec();
    for field in fields {
        input.extend_from_slice(field);
    }
    hash64(&input)
}

fn seal_segment(bytes: &mut [u8], level: Level, chain: &mut u64) {
    seal_front(bytes, 508);
    let salt = number(bytes, 56);
    let mut at = 4096;
    while let Some(header) = bytes.get(at..at + 72) {
        let length = number(header, 4) as u32 as usize;
        let kind = header[36];
        if kind == 0 || at + 72 + length > bytes.len() {
            return;
        }
        let record = &mut bytes[at..];
        let hash = hash64(&record[72..72 + length]);
        put(record, 56, hash);
        if level == Level::Chain {
            if matches!(kind, 1 | 2) {
                let fields = [16..24, 24..32, 32..36, 40..48, 36..37, 56..64];
                *chain = link(*chain, fields.map(|field| &record[field]));
            }
            if kind == 11 {
                // A truncation names an earlier commit, and so its chain.
                *chain = number(record, 48);
            }
            put(record, 48, *chain);
        }
        let seed = crc32c_seeded(crc32c(&salt.to_le_bytes()), &(at as u64).to_le_bytes());
        let checksum = crc32c_seeded(seed, &record[4..72]);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
        at += (72 + length).next_multiple_of(8);
    }
}

fn seal_range(bytes: &mut [u8], level: Level, chain: &mut u64) {
    let mut at = 76;
    if level == Level::Chain && bytes.len() >= at {
        put(bytes, 48, *chain);
    }
    while let Some(header) = bytes.get(at..at + 56) {
        let length = number(header, 4) as u32 as usize;
        if at + 56 + length > bytes.len() {
            break;
        }
        let record = &mut bytes[at..];
        let hash = hash64(&record[56..56 + length]);
        put(record, 48, hash);
        if level == Level::Chain {
            let fields = [8..16, 16..24, 24..28, 32..40, 28..29, 48..56];
            *chain = link(*chain, fields.map(|field| &record[field]));
            put(record, 40, *chain);
        }
        let checksum = crc32c(&record[4..56]);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
        at += 56 + length;
    }
    if bytes.len() >= 76 {
        if level == Level::Chain {
            put(bytes, 56, *chain);
            let records = bytes.len() as u64 - 76;
            put(bytes, 64, records);
        }
        seal_front(bytes, 72);
    }
}
