//! Damage to files as the input says: what disks, people and copying tools do to them.

use crate::input::Input;
use crate::shop::Files;

const SECTOR: usize = 512;

/// Does one thing to `files`; `old` are the same files at some moment before.
pub fn damage(files: &mut Files, old: &Files, input: &mut Input<'_>) {
    let paths: Vec<String> = files.keys().cloned().collect();
    if paths.is_empty() {
        return;
    }
    let kind = input.below(16);
    let path = paths[input.below(paths.len())].clone();
    let other = paths[input.below(paths.len())].clone();
    let at = place(files, &path, input);
    let source = files.get(&other).cloned().unwrap_or_default();
    let stale = old.get(&path).cloned();
    let Some(bytes) = files.get_mut(&path) else { return };
    match kind {
        // A lost write: the sector as it was before.
        8 => {
            if let Some(stale) = stale {
                let sector = at / SECTOR * SECTOR;
                copy(bytes, sector, stale.get(sector..).unwrap_or_default(), SECTOR);
            }
        }
        // A misdirected write: a sector of anywhere.
        9 => {
            let from = input.below(source.len().clamp(1, 65_536)) / SECTOR * SECTOR;
            copy(bytes, at / SECTOR * SECTOR, source.get(from..).unwrap_or_default(), SECTOR);
        }
        10 => bytes.truncate(at),
        11 => {
            let zero = vec![0; SECTOR];
            copy(bytes, at / SECTOR * SECTOR, &zero, SECTOR);
        }
        12 => drop(files.insert(path, source)),
        13 => drop(files.insert(new_name(&path, input), source)),
        14 => match input.below(4) {
            0 => drop(files.remove(&path)),
            1 => drop(bytes.splice(at..at, [0; 8])),
            2 => drop(bytes.drain(at..(at + 8).min(bytes.len()))),
            _ => bytes.extend_from_slice(input.bytes(16)),
        },
        15 => {
            let old = bytes.clone();
            files.insert(other, old);
            files.insert(path, source);
        }
        // A number that means something: lengths, numbers and claims are fields like any other.
        5..=7 => {
            let number = input.pick(&[0, 1, 2, 0x7fff_ffff, 0xffff_ffff, u64::MAX, u64::MAX - 1]);
            let width = input.pick(&[1, 4, 8]);
            copy(bytes, at / width * width, &number.to_le_bytes(), width);
        }
        4 => copy(bytes, at, input.bytes(4), 4),
        _ => {
            let mask = input.byte().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
        }
    }
}

/// A place in the file: mostly where bytes are, which is near the beginning of a segment.
fn place(files: &Files, path: &str, input: &mut Input<'_>) -> usize {
    let bytes = files.get(path).map(Vec::as_slice).unwrap_or_default();
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let (choice, at) = (input.byte(), usize::from(input.u16()));
    match choice % 4 {
        0 => at % bytes.len().max(1),
        1 => at % used.clamp(1, 80),
        // Records begin behind the header page.
        2 if used > 4096 => 4096 + at % (used - 4096),
        _ => at % used.max(1),
    }
}

fn copy(into: &mut [u8], at: usize, from: &[u8], len: usize) {
    let into = into.get_mut(at..).unwrap_or_default();
    let len = len.min(from.len()).min(into.len());
    into[..len].copy_from_slice(&from[..len]);
}

/// A name in the directory of `path`, like the names there or not at all.
fn new_name(path: &str, input: &mut Input<'_>) -> String {
    let dir = path.rsplit_once('/').map_or("", |(dir, _)| dir);
    let number = match input.below(3) {
        0 => u64::from(input.byte()),
        1 => u64::MAX - u64::from(input.byte() % 4),
        _ => input.u64(),
    };
    match input.below(5) {
        0 => format!("{dir}/{number:016}.wal"),
        1 => format!("{dir}/{number:016}.tmp"),
        2 => {
            format!("{dir}/{number:020}-{:020}.range", number.wrapping_add(u64::from(input.byte())))
        }
        3 => format!("{path}.{}", input.byte()),
        _ => {
            let name = String::from_utf8_lossy(input.bytes(12)).replace('/', "_");
            format!("{dir}/x{name}")
        }
    }
}
