//! Versions of several sorted sources as one, without those that nobody can ask for.
//!
//! Sources are given from the newest to the oldest: of a key that is in several, every version in
//! an earlier one is newer.

use std::cmp::Ordering;

use crate::base::mark::{Mark, hit};
use crate::base::plant::{Plant, is_planted};
use crate::base::{KeyspaceId, Lsn, Result};
use crate::table::block::VersionRef;
use crate::table::{Cursor, TableKey};

/// Versions in order of keyspace and key, and of each key from the newest to the oldest.
pub trait Source {
    /// Moves to the next version, or to the first; false behind the last.
    ///
    /// # Errors
    /// Those of reading.
    fn advance(&mut self) -> Result<bool>;

    /// The version it stands at; `None` before the first and behind the last.
    fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)>;
}

impl Source for Cursor {
    fn advance(&mut self) -> Result<bool> {
        Self::advance(self)
    }

    fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
        Self::version(self)
    }
}

/// Which versions somebody may still ask for. Cites **M1** of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Nobody reads below it: of the versions at or below it only the newest of a key counts.
    pub horizon: Lsn,
    /// No older version of any of the keys is anywhere else, so a deletion need not be kept to
    /// hide one.
    pub is_bottom: bool,
}

/// What has been kept of the key that is being merged.
#[derive(Debug, Default)]
struct Judge {
    key: Option<TableKey>,
    /// Its newest version at or below the horizon was met.
    settled: bool,
}

impl Judge {
    /// Whether this version is kept; versions come in their order.
    fn keeps(
        &mut self,
        keep: Keep,
        (keyspace, key): (KeyspaceId, &[u8]),
        version: &VersionRef<'_>,
    ) -> bool {
        let same = self.key.as_ref().is_some_and(|(k, bytes)| *k == keyspace && bytes == key);
        if !same {
            let (_, mut bytes) = self.key.take().unwrap_or((keyspace, Vec::new()));
            bytes.clear();
            bytes.extend_from_slice(key);
            (self.key, self.settled) = (Some((keyspace, bytes)), false);
        }
        if version.lsn > keep.horizon && !is_planted(Plant::HorizonIgnored) {
            return true;
        }
        if self.settled {
            hit(Mark::VersionMergedAway);
            return false;
        }
        self.settled = true;
        let is_bottom = keep.is_bottom || is_planted(Plant::DeletionMergedAwayAbove);
        let hides_nothing = is_bottom && version.value.is_none();
        if hides_nothing {
            hit(Mark::DeletionMergedAway);
        }
        !hides_nothing
    }
}

/// Who gets the versions that are kept: a key with its keyspace, and what it became.
pub(super) type Take<'a> = dyn FnMut((KeyspaceId, &[u8]), &VersionRef<'_>) -> Result<()> + 'a;

/// Gives to `take` every version of `sources` that `keep` keeps, in order.
///
/// # Errors
/// Those of reading and of `take`.
pub(super) fn merge(
    sources: &mut [&mut dyn Source],
    keep: Keep,
    take: &mut Take<'_>,
) -> Result<()> {
    let mut judge = Judge::default();
    for source in sources.iter_mut() {
        source.advance()?;
    }
    // Few sources: to look at each head costs less than to keep them in order.
    while let Some(first) = first_of(sources) {
        let Some(source) = sources.get_mut(first) else { return Ok(()) };
        if let Some((key, version)) = source.version()
            && judge.keeps(keep, key, &version)
        {
            take(key, &version)?;
        }
        source.advance()?;
    }
    Ok(())
}

/// The source that stands at the smallest key, and of those the newest.
fn first_of(sources: &[&mut dyn Source]) -> Option<usize> {
    let heads = sources.iter().enumerate();
    let heads = heads.filter_map(|(number, source)| Some((number, source.version()?.0)));
    let first = heads.reduce(|best, head| match head.1.cmp(&best.1) {
        Ordering::Less => head,
        Ordering::Equal | Ordering::Greater => best,
    });
    first.map(|(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    type Listed = (u32, &'static str, u64, Option<&'static str>);

    #[derive(Debug)]
    struct List {
        versions: Vec<Listed>,
        at: Option<usize>,
    }

    impl Source for List {
        fn advance(&mut self) -> Result<bool> {
            self.at = Some(self.at.map_or(0, |at| at + 1));
            Ok(self.version().is_some())
        }

        fn version(&self) -> Option<((KeyspaceId, &[u8]), VersionRef<'_>)> {
            let (keyspace, key, lsn, value) = self.versions.get(self.at?)?;
            let value = value.map(str::as_bytes);
            let version = VersionRef { lsn: Lsn(*lsn), time: Timestamp(*lsn), value };
            Some(((KeyspaceId(*keyspace), key.as_bytes()), version))
        }
    }

    fn merged(lists: &[&[Listed]], horizon: u64, is_bottom: bool) -> Vec<(u32, String, u64)> {
        let list = |versions: &&[Listed]| List { versions: versions.to_vec(), at: None };
        let mut lists: Vec<List> = lists.iter().map(list).collect();
        let mut sources: Vec<&mut dyn Source> =
            lists.iter_mut().map(|list| -> &mut dyn Source { list }).collect();
        let mut kept = Vec::new();
        let keep = Keep { horizon: Lsn(horizon), is_bottom };
        merge(&mut sources, keep, &mut |(keyspace, key), version| {
            let key = String::from_utf8(key.to_vec()).unwrap();
            kept.push((keyspace.0, key, version.lsn.0));
            Ok(())
        })
        .unwrap();
        kept
    }

    const NEW: &[Listed] =
        &[(1, "a", 9, Some("x")), (1, "b", 8, None), (2, "a", 7, Some("y")), (2, "a", 6, None)];
    const OLD: &[Listed] = &[
        (1, "a", 5, Some("x")),
        (1, "a", 3, Some("x")),
        (1, "b", 4, Some("x")),
        (1, "c", 2, None),
        (3, "a", 1, Some("x")),
    ];

    fn list(versions: &[(u32, &str, u64)]) -> Vec<(u32, String, u64)> {
        versions.iter().map(|(keyspace, key, lsn)| (*keyspace, (*key).into(), *lsn)).collect()
    }

    #[test]
    fn all_versions_above_the_horizon_stay_and_the_newest_at_it() {
        let expected = list(&[
            (1, "a", 9),
            (1, "a", 5),
            (1, "b", 8),
            (1, "b", 4),
            (1, "c", 2),
            (2, "a", 7),
            (2, "a", 6),
            (3, "a", 1),
        ]);
        assert_eq!(merged(&[NEW, OLD], 5, false), expected);
        let everything = merged(&[NEW, OLD], 0, false);
        assert_eq!(everything.len(), NEW.len() + OLD.len());
    }

    #[test]
    fn a_deletion_goes_only_where_it_hides_nothing() {
        let newest = list(&[(1, "a", 9), (1, "b", 8), (1, "c", 2), (2, "a", 7), (3, "a", 1)]);
        assert_eq!(merged(&[NEW, OLD], 9, false), newest);
        let at_bottom = list(&[(1, "a", 9), (2, "a", 7), (3, "a", 1)]);
        assert_eq!(merged(&[NEW, OLD], 9, true), at_bottom);
        // Above the horizon somebody may still see what it hides.
        assert!(merged(&[NEW, OLD], 7, true).contains(&(1, "b".into(), 8)));
    }
}
