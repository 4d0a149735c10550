//! What the log's directory holds, by the names in it.

use std::io;
use std::path::Path;

use crate::base::{Result, SegmentNumber};

use super::salvage;
use super::segment::{DIR_NAME, SegmentDir, cannot_read, parse_file_name};

/// What is wrong with a log of which a part may be gone already.
pub(super) const SALVAGE_BEGUN: &str = "a salvage of the log was begun and did not end; salvage it \
                                        again, which brings it to its end";

/// What the log's directory holds.
#[derive(Debug)]
pub(super) struct Present {
    /// The segments whose files are there, in order.
    pub(super) segments: Vec<SegmentNumber>,
    /// A salvage was begun and did not end.
    pub(super) salvage_begun: bool,
}

/// The segments whose files are there, in order.
pub(super) fn segments_present(dir: &SegmentDir) -> Result<Vec<SegmentNumber>> {
    present(dir).map(|present| present.segments)
}

/// Looks into the log's directory.
pub(super) fn present(dir: &SegmentDir) -> Result<Present> {
    let listed = dir.runtime.vfs.list(&dir.path);
    let entries = match listed {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(cannot_read("list", Path::new(DIR_NAME), error)),
    };
    Ok(Present {
        segments: entries.iter().filter_map(|entry| parse_file_name(&entry.name)).collect(),
        salvage_begun: entries.iter().any(|entry| entry.name == salvage::plan::FILE_NAME),
    })
}
