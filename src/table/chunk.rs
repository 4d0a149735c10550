//! Keys of several sources in order, as one.
//!
//! Pure. Each source was asked for a chunk of the same range. One that goes on says nothing of the
//! keys behind its last, so nothing behind the nearest such key can be given out yet.

use std::cmp::Ordering;

use crate::base::range::End;
use crate::base::{Bytes, Version};

/// Keys in order, each with its newest version that was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Keys and versions, deletions among them.
    pub found: Vec<(Bytes, Version)>,
    /// There may be keys behind the last of them.
    pub goes_on: bool,
}

/// The keys of all `chunks`, each with the newest of its versions.
#[must_use]
pub fn join(mut chunks: Vec<Chunk>, end: End) -> Chunk {
    chunks.retain(|chunk| chunk.goes_on || !chunk.found.is_empty());
    if chunks.len() < 2 {
        return chunks.pop().unwrap_or_default();
    }
    let ordered = |a: &[u8], b: &[u8]| if end == End::Front { a.cmp(b) } else { b.cmp(a) };
    let lasts = chunks.iter().filter(|chunk| chunk.goes_on).filter_map(|chunk| chunk.found.last());
    let bound = lasts.map(|(key, _)| key.clone()).min_by(|a, b| ordered(a, b));
    let mut heads: Vec<_> =
        chunks.into_iter().map(|chunk| chunk.found.into_iter().peekable()).collect();
    let mut joined = Chunk { found: Vec::new(), goes_on: bound.is_some() };
    loop {
        let keys = heads.iter_mut().filter_map(|head| head.peek()).map(|(key, _)| key);
        let Some(next) = keys.min_by(|a, b| ordered(a, b)).cloned() else { return joined };
        if bound.as_ref().is_some_and(|bound| ordered(&next, bound) == Ordering::Greater) {
            return joined;
        }
        let same = heads.iter_mut().filter_map(|head| head.next_if(|(key, _)| *key == next));
        joined.found.extend(same.max_by_key(|(_, version)| version.lsn));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Lsn, Timestamp};

    fn chunk(keys: &[(&str, u64)], goes_on: bool) -> Chunk {
        let version = |lsn: u64| Version { lsn: Lsn(lsn), time: Timestamp(lsn), value: None };
        let found = keys.iter().map(|(key, lsn)| (key.as_bytes().into(), version(*lsn)));
        Chunk { found: found.collect(), goes_on }
    }

    #[test]
    fn the_newest_version_of_each_key_is_given() {
        let chunks = vec![
            chunk(&[("a", 9), ("c", 7)], false),
            chunk(&[("a", 3), ("b", 4), ("c", 8)], false),
            chunk(&[], false),
        ];
        let expected = chunk(&[("a", 9), ("b", 4), ("c", 8)], false);
        assert_eq!(join(chunks, End::Front), expected);
    }

    #[test]
    fn nothing_is_given_behind_where_a_source_was_cut_short() {
        let chunks = || {
            vec![
                chunk(&[("b", 1), ("d", 2)], true),
                chunk(&[("a", 3), ("e", 4)], false),
                chunk(&[("c", 5), ("f", 6)], true),
            ]
        };
        let expected = chunk(&[("a", 3), ("b", 1), ("c", 5), ("d", 2)], true);
        assert_eq!(join(chunks(), End::Front), expected);
        let reversed = |mut chunk: Chunk| {
            chunk.found.reverse();
            chunk
        };
        let backward = chunks().into_iter().map(reversed).collect();
        // From the back the sources that go on end with "b" and "c": nothing before "c" is known.
        let expected = chunk(&[("f", 6), ("e", 4), ("d", 2), ("c", 5)], true);
        assert_eq!(join(backward, End::Back), expected);
    }

    #[test]
    fn sources_without_keys_give_none() {
        assert_eq!(join(vec![chunk(&[], false), chunk(&[], false)], End::Front), Chunk::default());
        assert_eq!(join(Vec::new(), End::Back), Chunk::default());
    }
}
