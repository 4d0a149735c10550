//! The directory of keyspaces: names to numbers, kept in keyspace 0 of the store itself.

use std::collections::BTreeMap;

use crate::base::{KeyspaceId, Lsn};
use crate::vfs::sync::RwLock;

use super::batch::{Keyspace, Namespace};

/// The keyspace that holds the directory.
pub const DIRECTORY: KeyspaceId = KeyspaceId(0);

/// The directory key of a keyspace.
#[must_use]
pub fn directory_key(keyspace: &Keyspace) -> Vec<u8> {
    let tag = match keyspace.namespace() {
        Namespace::Collection => b'c',
        Namespace::Keyspace => b'k',
    };
    let mut key = vec![tag];
    key.extend_from_slice(keyspace.name().as_bytes());
    key
}

/// The keyspace that a directory entry names; `None` if it is not one.
#[must_use]
pub fn parse_directory_entry(key: &[u8], value: &[u8]) -> Option<(Keyspace, KeyspaceId)> {
    let (tag, name) = key.split_first()?;
    let namespace = match tag {
        b'c' => Namespace::Collection,
        b'k' => Namespace::Keyspace,
        _ => return None,
    };
    let keyspace = Keyspace::in_namespace(namespace, std::str::from_utf8(name).ok()?).ok()?;
    let id = KeyspaceId(u32::from_le_bytes(value.try_into().ok()?));
    // 0 is the directory itself, and after the last number there is no next one to offer.
    (id != DIRECTORY && id.0 < u32::MAX).then_some((keyspace, id))
}

#[derive(Debug, Default)]
struct Names {
    /// Numbers, and the commits that gave them.
    ids: BTreeMap<Keyspace, (KeyspaceId, Lsn)>,
    last: u32,
}

/// Every keyspace ever appended to the directory, visible or not.
#[derive(Debug, Default)]
pub(super) struct Directory(RwLock<Names>);

impl Directory {
    pub(super) fn id(&self, keyspace: &Keyspace) -> Option<KeyspaceId> {
        self.0.read().ids.get(keyspace).map(|(id, _)| *id)
    }

    /// A number that no keyspace has or was ever offered; a batch that is refused burns it.
    pub(super) fn offer(&self) -> KeyspaceId {
        let mut names = self.0.write();
        assert!(names.last < u32::MAX - 1, "every keyspace number is used up");
        names.last += 1;
        KeyspaceId(names.last)
    }

    /// Learns of an entry of the directory's keyspace, written by the commit `lsn`.
    pub(super) fn learn(&self, (key, value): (&[u8], &[u8]), lsn: Lsn) {
        let Some((keyspace, id)) = parse_directory_entry(key, value) else { return };
        let mut names = self.0.write();
        names.last = names.last.max(id.0);
        names.ids.insert(keyspace, (id, lsn));
    }

    /// The keyspaces that existed after the commit `at`.
    pub(super) fn list_at(&self, at: Lsn) -> Vec<Keyspace> {
        let names = self.0.read();
        let existed = names.ids.iter().filter(|(_, (_, lsn))| *lsn <= at);
        existed.map(|(keyspace, _)| keyspace.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_back_and_nonsense_is_not_an_entry() {
        let keyspace = Keyspace::in_namespace(Namespace::Collection, "receipts").unwrap();
        let entry = parse_directory_entry(&directory_key(&keyspace), &7_u32.to_le_bytes());
        assert_eq!(entry, Some((keyspace, KeyspaceId(7))));
        assert_eq!(parse_directory_entry(b"", b""), None);
        assert_eq!(parse_directory_entry(b"xreceipts", &7_u32.to_le_bytes()), None);
        assert_eq!(parse_directory_entry(b"creceipts", b"seven"), None);
        assert_eq!(parse_directory_entry(b"creceipts", &0_u32.to_le_bytes()), None);
        assert_eq!(parse_directory_entry(b"creceipts", &u32::MAX.to_le_bytes()), None);
    }
}
