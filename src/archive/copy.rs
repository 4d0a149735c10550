//! A copy on disk: which store it is of, its ranges in order, and reading their records.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::codec::{Cursor, to_u64};
use crate::base::limits::PAGE;
use crate::base::{Error, ErrorKind, Lsn, Result, Seq};
use crate::vfs::{FileExt, OpenMode, Runtime};
use crate::wal::header::HeaderFault;
use crate::wal::identity::{FILE_BYTES_MAX, Identity};
use crate::wal::reader::OwnedRecord;
use crate::wal::scan::Position;

use super::format::{
    End, RANGE_HEADER, RangeHeader, parse_range_name, range_bytes_max, range_name, take_record,
};

/// Name of the file that says whose copy it is.
pub(super) const COPY_NAME: &str = "COPY";
/// Name of the file that says up to where the copy is complete.
pub(super) const END_NAME: &str = "END";
/// Directory of the ranges.
pub(super) const LOG_DIR: &str = "log";
/// Lock of the one backup that runs.
pub(super) const LOCK_NAME: &str = "LOCK";

/// An existing copy.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) path: PathBuf,
    pub(super) runtime: Runtime,
    pub(super) source: Identity,
    pub(super) end: Option<End>,
    /// First and last LSN of each range, in order.
    pub(super) ranges: Vec<(Lsn, Lsn)>,
}

impl Copy {
    /// The copy in `path`; `None` when the directory is missing or empty.
    ///
    /// # Errors
    /// `Invalid` when it holds something else, `Corrupt`, `Unsupported`, `Io`.
    pub(super) fn find(path: &Path, runtime: &Runtime) -> Result<Option<Self>> {
        let entries = match runtime.vfs.list(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(not_a_copy(path));
            }
            Err(error) => return Err(Error::io("list the copy's directory", path, error)),
        };
        if !entries.iter().any(|entry| entry.name == COPY_NAME) {
            let ours = [LOCK_NAME, LOG_DIR, "COPY.tmp"];
            return if entries.iter().all(|entry| ours.contains(&entry.name.as_str())) {
                Ok(None)
            } else {
                Err(not_a_copy(path))
            };
        }
        let bytes = read_file(path, COPY_NAME, FILE_BYTES_MAX, runtime)?.unwrap_or_default();
        let source = Identity::decode(&bytes).map_err(|fault| refused(fault, COPY_NAME))?;
        // A newer version's may be longer, and must be told from a damaged one.
        let end = read_file(path, END_NAME, to_u64(PAGE), runtime)?
            .map(|bytes| End::decode(&bytes).map_err(|fault| refused(fault, END_NAME)))
            .transpose()?;
        if end.is_some_and(|end| end.store_id != source.store_id) {
            return Err(foreign(END_NAME));
        }
        let ranges = ranges(path, runtime)?;
        let (path, runtime) = (path.to_owned(), runtime.clone());
        Ok(Some(Self { path, runtime, source, end, ranges }))
    }

    /// Gives every record from the first commit on to `visit`, checked, in order.
    ///
    /// # Errors
    /// `Expired` for a gap, `Diverged` for a range of another history, `Corrupt`, `Unsupported`,
    /// `Io`, and what `visit` says.
    pub(super) fn read(
        &self,
        visit: &mut dyn FnMut(&OwnedRecord) -> Result<()>,
    ) -> Result<Position> {
        let mut position = Position::ORIGIN;
        for (first, last) in &self.ranges {
            self.read_range((*first, *last), &mut position, visit)?;
        }
        if let Some(end) = &self.end {
            if end.lsn > position.lsn {
                return Err(gap(position.lsn.next(), end.lsn));
            }
            if end.lsn == position.lsn && end.chain != position.chain {
                return Err(foreign(END_NAME));
            }
        }
        Ok(position)
    }

    fn read_range(
        &self,
        (first, last): (Lsn, Lsn),
        position: &mut Position,
        visit: &mut dyn FnMut(&OwnedRecord) -> Result<()>,
    ) -> Result<()> {
        if first > position.lsn.next() {
            return Err(gap(position.lsn.next(), Lsn(first.0 - 1)));
        }
        let name = format!("{LOG_DIR}/{}", range_name(first, last));
        let limit = range_bytes_max(self.source.segment_bytes);
        let bytes = read_file(&self.path, &name, limit, &self.runtime)?.unwrap_or_default();
        let header = RangeHeader::decode(&bytes).map_err(|fault| refused(fault, &name))?;
        if header.store_id != self.source.store_id || first < position.lsn.next() {
            return Err(foreign(&name));
        }
        let records = bytes.get(RANGE_HEADER..).unwrap_or_default();
        if (header.first, header.last) != (first, last) || header.bytes != to_u64(records.len()) {
            return Err(corrupt("the range is not what its name and header say", &name, 0));
        }
        if header.chain_before != position.chain {
            return Err(foreign(&name));
        }
        let mut cursor = Cursor::new(records);
        while cursor.remaining() > 0 {
            let at = to_u64(RANGE_HEADER + cursor.offset());
            let mut record =
                take_record(&mut cursor).map_err(|fault| corrupt(fault.what, &name, at))?;
            // A copy has no seqs of its own; counting records gives what the check asks for.
            record.header.seq = Seq(position.seq.0 + 1);
            *position = position.after(&record.header).map_err(|_| {
                let what = "the record does not continue the history before it";
                corrupt(what, &name, at).at_lsn(record.header.lsn)
            })?;
            visit(&record)?;
        }
        if (position.lsn, position.chain) != (last, header.chain_after) {
            return Err(corrupt("the range does not end where its header says", &name, 0));
        }
        Ok(())
    }

    /// The last record and its chain, from the last range's header.
    ///
    /// # Errors
    /// `Corrupt`, `Unsupported`, `Io`.
    pub(super) fn head(&self) -> Result<(Lsn, u64)> {
        let Some((first, last)) = self.ranges.last() else { return Ok((Lsn::ZERO, 0)) };
        let name = format!("{LOG_DIR}/{}", range_name(*first, *last));
        let limit = range_bytes_max(self.source.segment_bytes);
        let bytes = read_file(&self.path, &name, limit, &self.runtime)?.unwrap_or_default();
        let header = RangeHeader::decode(&bytes).map_err(|fault| refused(fault, &name))?;
        Ok((header.last, header.chain_after))
    }
}

fn ranges(path: &Path, runtime: &Runtime) -> Result<Vec<(Lsn, Lsn)>> {
    match runtime.vfs.list(&path.join(LOG_DIR)) {
        Ok(entries) => {
            let mut ranges: Vec<_> =
                entries.iter().filter_map(|entry| parse_range_name(&entry.name)).collect();
            ranges.sort_unstable();
            Ok(ranges)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("list the copy's ranges in", path, error)),
    }
}

/// The bytes of a file of the copy; `None` when it is not there.
fn read_file(dir: &Path, name: &str, limit: u64, runtime: &Runtime) -> Result<Option<Vec<u8>>> {
    let fail = |error| Error::io("read the copy's file", Path::new(name), error);
    match runtime.vfs.open(&dir.join(name), OpenMode::Read) {
        Ok(file) => match file.read_whole(limit) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err(corrupt("the file is longer than it was written", name, limit))
            }
            read => read.map(Some).map_err(fail),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(fail(error)),
    }
}

fn not_a_copy(path: &Path) -> Error {
    let what = "this is neither a copy nor empty, and was not touched; name another directory";
    Error::new(ErrorKind::Invalid, what).at_path(path)
}

fn refused(fault: HeaderFault, name: &str) -> Error {
    match fault {
        HeaderFault::Unsupported(what) => {
            Error::new(ErrorKind::Unsupported, what).at_path(name).at_offset(8)
        }
        HeaderFault::Damaged(what) => corrupt(what, name, 0),
    }
}

fn corrupt(what: &'static str, name: &str, offset: u64) -> Error {
    let what = format!("{what}; the copy is damaged there, use another");
    Error::new(ErrorKind::Corrupt, what).at_path(name).at_offset(offset)
}

fn gap(from: Lsn, to: Lsn) -> Error {
    let what = format!("the copy lacks the commits {from} to {to}; use another copy");
    Error::new(ErrorKind::Expired, what).at_lsn(from)
}

pub(super) fn foreign(name: &str) -> Error {
    let what = "this belongs to another store or another history of it; use the copy of this store";
    Error::new(ErrorKind::Diverged, what).at_path(name)
}
