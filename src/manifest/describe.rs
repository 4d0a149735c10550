//! What a file of the manifest says by itself, for who has only that file. Pure.

use crate::base::codec::to_u64;
use crate::base::limits::PAGE;
use crate::base::{ErrorKind, StoreId};
use crate::wal::header::HeaderFault;
use crate::wal::version::NEWER;

use super::format::EditId;
use super::scan;
use super::sector::{FILE_BYTES_MAX, Role, SECTOR, Sector};
use super::state::State;

/// First bytes of `CURRENT`.
pub const CURRENT_MAGIC: &[u8; 8] = Role::Current.magic();
/// First bytes of a manifest.
pub const MANIFEST_MAGIC: &[u8; 8] = Role::Header.magic();
/// No file of the manifest is longer.
pub const BYTES_MAX: u64 = FILE_BYTES_MAX;

/// Which manifest a `CURRENT` or a header page tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The store it belongs to.
    pub store_id: StoreId,
    /// Its number.
    pub manifest: u64,
    /// Its salt.
    pub salt: u64,
    /// Size of its file.
    pub file_bytes: u64,
}

impl From<Sector> for Named {
    fn from(sector: Sector) -> Self {
        let Sector { store_id, manifest, salt, file_bytes } = sector;
        Self { store_id, manifest, salt: salt.0, file_bytes }
    }
}

/// What a manifest amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The edit that its snapshot stands for.
    pub first: EditId,
    /// Its last edit.
    pub last: EditId,
    /// Where that ends.
    pub end: u64,
    /// Something is behind it that is no edit.
    pub is_torn: bool,
    /// The state after it.
    pub state: State,
}

/// Reads a `CURRENT`.
///
/// # Errors
/// [`HeaderFault`]; never panics, whatever the bytes are.
pub fn current(bytes: &[u8]) -> Result<Named, HeaderFault> {
    Sector::decode(bytes, Role::Current).map(Named::from)
}

/// Reads the header of a manifest from its first page.
///
/// # Errors
/// [`HeaderFault`]; never panics, whatever the bytes are.
pub fn header(page: &[u8]) -> Result<Named, HeaderFault> {
    sector(page).map(Named::from)
}

fn sector(page: &[u8]) -> Result<Sector, HeaderFault> {
    Sector::decode(page.get(..SECTOR).unwrap_or(page), Role::Header)
}

/// What is wrong with a manifest, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is damaged.
    Damaged(u64, String),
    /// Another version wrote it, as one of the sentences of [`version`](crate::wal::version) says.
    Unsupported(&'static str),
}

/// Reads a whole manifest, of which its own header says which one it is.
///
/// # Errors
/// [`Fault`]; never panics, whatever the bytes are.
pub fn manifest(bytes: &[u8]) -> Result<Told, Fault> {
    let current = sector(bytes).map_err(|fault| match fault {
        HeaderFault::Unsupported(what) => Fault::Unsupported(what),
        HeaderFault::Damaged(what) => Fault::Damaged(0, what.to_owned()),
    })?;
    let history = scan::read(bytes, &current).map_err(|fault| match fault.kind {
        ErrorKind::Unsupported => Fault::Unsupported(NEWER),
        _ => Fault::Damaged(fault.offset, fault.what),
    })?;
    let first = history.edits.first().copied().unwrap_or_default();
    let (last, end, is_torn) = (history.last(), history.end, history.is_torn);
    Ok(Told { first, last, end, is_torn, state: history.state })
}

// A `CURRENT` is read whole with the first page of any file.
const _: () = assert!(SECTOR < PAGE && to_u64(PAGE) < BYTES_MAX);
