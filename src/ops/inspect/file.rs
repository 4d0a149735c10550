//! What a file is, and how much of it is read.

use std::io;
use std::path::Path;

use crate::archive::format::{
    END_MAGIC, RANGE_HEADER, RANGE_MAGIC, RangeHeader, parse_range_name, range_bytes_max,
};
use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::{PAGE, SEGMENT_BYTES_MAX};
use crate::base::{Error, ErrorKind, Result};
use crate::manifest::describe::{self, CURRENT_MAGIC, MANIFEST_MAGIC};
use crate::manifest::{CURRENT, parse_file_name as parse_manifest_name};
use crate::table::format::{FOOTER, Footer, MAGIC as TABLE_MAGIC};
use crate::vfs::{File, FileExt, OpenMode, Runtime};
use crate::wal::LOCK_NAME;
use crate::wal::first::{FILE_NAME as FIRST_NAME, MAGIC as FIRST_MAGIC};
use crate::wal::header::{HeaderFault, MAGIC as SEGMENT_MAGIC, SegmentHeader};
use crate::wal::identity::{FILE_BYTES_MAX, FILE_NAME, MAGIC as IDENTITY_MAGIC};
use crate::wal::salvage::plan::{FILE_NAME as PLAN_NAME, MAGIC as PLAN_MAGIC};
use crate::wal::saved::{FILE_NAME as TAIL_NAME, MAGIC as TAIL_MAGIC};
use crate::wal::segment::parse_file_name;

use super::report::Inspected;
use super::{copied, listed, segment, small, table};

/// The files there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Segment,
    Identity,
    Tail,
    Plan,
    First,
    Current,
    Manifest,
    Table,
    Range,
    End,
    Lock,
}

const MAGICS: [(&[u8; 8], Kind); 9] = [
    (SEGMENT_MAGIC, Kind::Segment),
    (IDENTITY_MAGIC, Kind::Identity),
    (TAIL_MAGIC, Kind::Tail),
    (PLAN_MAGIC, Kind::Plan),
    (FIRST_MAGIC, Kind::First),
    (CURRENT_MAGIC, Kind::Current),
    (MANIFEST_MAGIC, Kind::Manifest),
    (RANGE_MAGIC, Kind::Range),
    (END_MAGIC, Kind::End),
];

/// Says what the file `path` is and whether it is whole.
///
/// # Errors
/// `NotFound`, `Invalid` when it is no file of a store or a copy, `Unsupported` when another
/// version wrote it, `Io`. Damage is in the report, not an error.
///
/// # Cost
/// Keeps the file in memory, at most what its own header says it has.
pub fn inspect(path: &Path, runtime: &Runtime) -> Result<Inspected> {
    let fail = |error| Error::io("read", path, error);
    let found = path.metadata().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            let what = "there is no such file; check the path";
            Error::new(ErrorKind::NotFound, what).at_path(path)
        }
        _ => fail(error),
    })?;
    if !found.is_file() {
        let what = "this is not a regular file; name a file of a store or of a copy";
        return Err(Error::new(ErrorKind::Invalid, what).at_path(path));
    }
    let file = runtime.vfs.open(path, OpenMode::Read).map_err(fail)?;
    let (page, size) = (prefix(file.as_ref(), to_u64(PAGE)).map_err(fail)?, found.len());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let footer = suffix(file.as_ref(), size, FOOTER).map_err(fail)?;
    let Some(kind) = kind_of((&page, &footer), &name) else {
        let what = "this is no file of a store or of a copy; name one, such as wal/….wal";
        return Err(Error::new(ErrorKind::Invalid, what).at_path(path));
    };
    let is_damaged_table = kind == Kind::Table && Footer::decode(&footer, size).is_err();
    let wanted = wanted(kind, &page, size);
    let bytes = match is_damaged_table {
        true => footer,
        false => prefix(file.as_ref(), wanted.min(size)).map_err(fail)?,
    };
    let said = match kind {
        Kind::Segment => segment::inspect(&bytes, size, parse_file_name(&name)),
        Kind::Identity => small::identity(&bytes),
        Kind::Tail => small::tail(&bytes),
        Kind::Plan => small::plan(&bytes),
        Kind::First => small::first(&bytes),
        Kind::Current => listed::current(&bytes),
        Kind::Manifest => listed::manifest(&bytes, size, parse_manifest_name(&name)),
        Kind::Table => table::inspect(&bytes, size, table::parse_name(&name)),
        Kind::Range => copied::range(&bytes, size, parse_range_name(&name)),
        Kind::End => small::end(&bytes),
        Kind::Lock => Ok(small::lock(&bytes)),
    };
    let mut said = said.map_err(|fault| match fault {
        HeaderFault::Unsupported(what) => Error::new(ErrorKind::Unsupported, what).at_path(path),
        HeaderFault::Damaged(what) => Error::new(ErrorKind::Corrupt, what).at_path(path),
    })?;
    said.facts.insert(0, ("file_bytes", size.into()));
    Ok(said)
}

/// By the first bytes, of a table by the last, and where they are damaged by the name.
fn kind_of((page, footer): (&[u8], &[u8]), name: &str) -> Option<Kind> {
    if let Some((_, kind)) = MAGICS.iter().find(|(magic, _)| page.starts_with(*magic)) {
        return Some(*kind);
    }
    if footer.starts_with(TABLE_MAGIC) {
        return Some(Kind::Table);
    }
    match name {
        FILE_NAME | "COPY" => Some(Kind::Identity),
        TAIL_NAME => Some(Kind::Tail),
        PLAN_NAME => Some(Kind::Plan),
        FIRST_NAME => Some(Kind::First),
        "END" => Some(Kind::End),
        LOCK_NAME => Some(Kind::Lock),
        CURRENT => Some(Kind::Current),
        _ if parse_manifest_name(name).is_some() => Some(Kind::Manifest),
        _ if table::parse_name(name).is_some() => Some(Kind::Table),
        _ if parse_file_name(name).is_some() => Some(Kind::Segment),
        _ if parse_range_name(name).is_some() => Some(Kind::Range),
        _ => None,
    }
}

/// Bytes to read at most; beyond the first page only what an intact header says.
fn wanted(kind: Kind, page: &[u8], size: u64) -> u64 {
    match kind {
        Kind::Segment => match SegmentHeader::decode(page) {
            Ok(header) => header.segment_bytes.min(SEGMENT_BYTES_MAX),
            Err(_) => to_u64(PAGE),
        },
        Kind::Range => match RangeHeader::decode(page) {
            Ok(header) => header.bytes.saturating_add(to_u64(RANGE_HEADER)),
            Err(_) => to_u64(PAGE),
        }
        .min(range_bytes_max(SEGMENT_BYTES_MAX)),
        Kind::Tail => range_bytes_max(SEGMENT_BYTES_MAX),
        Kind::Manifest => match describe::header(page) {
            Ok(named) => named.file_bytes.min(describe::BYTES_MAX),
            Err(_) => to_u64(PAGE),
        },
        // Its footer is intact, and says how long it is.
        Kind::Table => size,
        Kind::Identity | Kind::Plan | Kind::First | Kind::Current | Kind::End | Kind::Lock => {
            FILE_BYTES_MAX
        }
    }
}

/// The last bytes.
fn suffix(file: &dyn File, size: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; len];
    let count = file.read_up_to(&mut bytes, size.saturating_sub(to_u64(len)))?;
    bytes.truncate(count);
    Ok(bytes)
}

fn prefix(file: &dyn File, len: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to_usize(len)];
    let count = file.read_up_to(&mut bytes, 0)?;
    bytes.truncate(count);
    Ok(bytes)
}
