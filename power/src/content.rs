//! What the writers write: after its n-th commit a writer's part of the store is known.

use std::collections::BTreeMap;

use jidoka::base::Result;
use jidoka::store::{Batch, Keyspace, Snapshot};

/// How many threads commit, each to keys of its own.
pub(crate) const WRITERS: usize = 3;
/// Keys of one writer; they are written in turn.
const SLOTS: u64 = 8;

/// How many commits of each writer there are.
pub(crate) type Counts = [u64; WRITERS];

fn slots() -> Result<Keyspace> {
    Keyspace::new("slots")
}

fn heads() -> Result<Keyspace> {
    Keyspace::new("heads")
}

/// The key that commit `n` writes, and the one it deletes.
fn touched(n: u64) -> (u64, Option<u64>) {
    let (put, delete) = (n % SLOTS, (n * 7 + 3) % SLOTS);
    (put, (n.is_multiple_of(3) && delete != put).then_some(delete))
}

fn key(writer: usize, slot: u64) -> String {
    format!("{writer}/{slot}")
}

/// Of many lengths, so that records end and begin anywhere in sectors and pages.
fn value(writer: usize, n: u64) -> Vec<u8> {
    let mixed = (n * 31 + writer as u64 * 7 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let length = if mixed.is_multiple_of(11) { mixed >> 52 } else { mixed >> 56 };
    let text = format!("{writer}-{n}-");
    text.bytes().cycle().take(text.len() + usize::try_from(length).unwrap_or(0)).collect()
}

/// The `n`-th commit of `writer`: keys of two keyspaces that change together.
pub(crate) fn batch(writer: usize, n: u64) -> Result<Batch> {
    let (slots, heads) = (slots()?, heads()?);
    let (put, delete) = touched(n);
    let mut batch = Batch::new();
    batch.put(&slots, key(writer, put).as_bytes(), &value(writer, n));
    if let Some(slot) = delete {
        batch.delete(&slots, key(writer, slot).as_bytes());
    }
    batch.put(&heads, writer.to_string().as_bytes(), n.to_string().as_bytes());
    Ok(batch)
}

/// Every key and value of `writer` after its `n`-th commit.
fn expected(writer: usize, n: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut content = BTreeMap::new();
    // Older commits have left nothing: each slot has been written again.
    for n in n.saturating_sub(2 * SLOTS).max(1)..=n {
        let (put, delete) = touched(n);
        content.insert(key(writer, put).into_bytes(), value(writer, n));
        if let Some(slot) = delete {
            content.remove(key(writer, slot).as_bytes());
        }
    }
    content
}

/// How many commits of each writer the store holds; or what it holds that no such number of
/// commits leaves behind.
pub(crate) fn counts(snapshot: &Snapshot) -> Result<std::result::Result<Counts, String>> {
    let mut counts = [0; WRITERS];
    let mut wanted = BTreeMap::new();
    let mut heads_there = 0;
    for (writer, count) in counts.iter_mut().enumerate() {
        if let Some(head) = snapshot.get(&heads()?, writer.to_string().as_bytes())? {
            let text = String::from_utf8_lossy(&head.value).into_owned();
            let Ok(n) = text.parse() else { return Ok(Err(format!("{writer} is at {text:?}"))) };
            *count = n;
            heads_there += 1;
            wanted.append(&mut expected(writer, n));
        }
    }
    let mut found = BTreeMap::new();
    for item in snapshot.range(&slots()?, ..) {
        let item = item?;
        found.insert(item.key.to_vec(), item.value.to_vec());
    }
    let heads_found = snapshot.range(&heads()?, ..).count();
    if found == wanted && heads_found == heads_there && snapshot.keyspaces().len() <= 2 {
        return Ok(Ok(counts));
    }
    let is_other = |(key, value): &(&Vec<u8>, &Vec<u8>)| wanted.get(*key) != Some(*value);
    let other: Vec<String> = found
        .iter()
        .filter(is_other)
        .map(|(key, _)| String::from_utf8_lossy(key).into_owned())
        .collect();
    let what = format!("{counts:?}: {} keys, not {}: {other:?}", found.len(), wanted.len());
    Ok(Err(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_after_a_commit_is_what_all_commits_until_then_leave() {
        let mut content = BTreeMap::new();
        for n in 1..100 {
            let (put, delete) = touched(n);
            content.insert(key(1, put).into_bytes(), value(1, n));
            if let Some(slot) = delete {
                content.remove(key(1, slot).as_bytes());
            }
            assert_eq!(expected(1, n), content, "{n}");
        }
    }
}
