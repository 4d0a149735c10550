//! The disk's own write and sync, on a file prepared as a segment is.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::codec::{to_u64, to_usize};
use crate::base::limits::PAGE;
use crate::base::{Error, Result};
use crate::vfs::{File, FileExt, OpenMode};
use crate::wal::format::page_ceil;

use super::session::Session;

/// Pages of the file, as many as a segment of the default size has.
pub(super) const PAGES: u64 = 4096;

/// More than a record has beside its value.
const AROUND_VALUE: u64 = 128;

/// A file of pages that were really written.
#[derive(Debug)]
pub(super) struct RawFile {
    file: Arc<dyn File>,
    path: PathBuf,
}

impl RawFile {
    /// Makes the file page by page, because large writes leave large folios in the page cache,
    /// which small synced overwrites pay for.
    pub(super) fn prepare(session: &Session<'_>, name: &str) -> Result<Self> {
        let path = session.dir.join(name);
        let fail = |error| Error::io("prepare the disk's own file", &path, error);
        let file = session.runtime.vfs.open(&path, OpenMode::CreateNew).map_err(fail)?;
        for page in 0..PAGES {
            file.write_all_at(&[0; PAGE], page * to_u64(PAGE)).map_err(fail)?;
        }
        file.sync_all().map_err(fail)?;
        Ok(Self { file, path })
    }

    /// Writes `bytes` at `page`, which goes round at the end of the file, and syncs.
    pub(super) fn write(&self, bytes: &[u8], page: u64) -> Result<()> {
        let pages = to_u64(bytes.len()) / to_u64(PAGE);
        let page = page % (PAGES.saturating_sub(pages) + 1);
        let written = self.file.write_all_at(bytes, page * to_u64(PAGE));
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(|error| Error::io("measure the disk with", &self.path, error))
    }
}

/// Whole pages that a lone commit of a value takes.
pub(super) fn pages_of(value_bytes: u32) -> Vec<u8> {
    vec![0x5a; to_usize(page_ceil(u64::from(value_bytes) + AROUND_VALUE))]
}
