//! A table, by itself: what its footer says, and whether what is in it is that.

use serde_json::{Value, json};

use crate::base::codec::{to_u64, to_usize, widen};
use crate::base::{KeyspaceId, Lsn, Timestamp};
use crate::table::block::Block;
use crate::table::filter::{Filter, key_hash};
use crate::table::format::{
    BLOCK_HEADER, BlockKind, BlockPlace, Contents, FOOTER, Footer, check_block,
};
use crate::table::index::{BlockAt, Index};
use crate::wal::header::HeaderFault;

use super::report::Inspected;

/// A key in words.
pub(super) fn key_fact(keyspace: KeyspaceId, key: &[u8]) -> Value {
    json!({"keyspace": keyspace.0, "key": String::from_utf8_lossy(key)})
}

/// The table that a file name stands for, also of a table that was set aside.
pub(super) fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".table").or_else(|| name.strip_suffix(".orphan"))?;
    let is_one = digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| digits.parse().ok()).flatten()
}

/// What a table says; `bytes` are all of it, or the last of them when its footer does not hold.
pub(super) fn inspect(
    bytes: &[u8],
    size: u64,
    name: Option<u64>,
) -> Result<Inspected, HeaderFault> {
    let mut said = Inspected::new("table");
    let footer_at = size.saturating_sub(to_u64(FOOTER));
    let start = bytes.len().saturating_sub(FOOTER);
    let footer = match Footer::decode(bytes.get(start..).unwrap_or_default(), size) {
        Ok(footer) => footer,
        Err(HeaderFault::Damaged(what)) => {
            said.damaged(footer_at, None, what);
            return Ok(said);
        }
        Err(unsupported) => return Err(unsupported),
    };
    footer_facts(&mut said, &footer);
    if name.is_some_and(|name| name != footer.table) {
        said.damaged(footer_at + 40, None, "the table is another than its name says");
    }
    Walk::new(bytes, footer).walk(&mut said, footer_at);
    Ok(said)
}

fn footer_facts(said: &mut Inspected, footer: &Footer) {
    let contents = &footer.contents;
    said.fact("store_id", footer.store_id.to_string());
    said.fact("table", footer.table);
    said.fact("versions", contents.entries);
    said.fact("keys", contents.keys);
    said.fact("deletions", contents.deletions);
    said.fact("key_bytes", contents.key_bytes);
    said.fact("value_bytes", contents.value_bytes);
    said.fact("first_lsn", contents.lsns.0.0);
    said.fact("last_lsn", contents.lsns.1.0);
    said.fact("first_at", contents.times.0.to_string());
    said.fact("last_at", contents.times.1.to_string());
    said.fact("filter_bytes", footer.filter_length);
    said.fact("index_bytes", footer.index_length);
}

/// A walk over the blocks.
struct Walk<'a> {
    bytes: &'a [u8],
    footer: Footer,
    filter: Option<Filter>,
    last: Option<(KeyspaceId, Vec<u8>, Lsn)>,
    counted: Contents,
    blocks: u64,
}

impl<'a> Walk<'a> {
    fn new(bytes: &'a [u8], footer: Footer) -> Self {
        let lsns = (Lsn::MAX, Lsn::ZERO);
        let times = (Timestamp(u64::MAX), Timestamp::ZERO);
        let counted = Contents { lsns, times, ..Contents::default() };
        Self { bytes, footer, filter: None, last: None, counted, blocks: 0 }
    }

    fn walk(&mut self, said: &mut Inspected, footer_at: u64) {
        let Footer { filter_offset, filter_length, index_offset, index_length, .. } = self.footer;
        if let Some(payload) = self.block(BlockKind::Filter, (filter_offset, filter_length), said) {
            self.filter = Filter::decode(payload);
            if self.filter.is_none() {
                said.damaged(filter_offset, None, "a filter has no whole number of blocks");
            }
        }
        let payload = self.block(BlockKind::Index, (index_offset, index_length), said);
        let index = payload.map(|payload| Index::decode(payload.to_vec(), filter_offset));
        match index {
            Some(Ok(index)) => self.walk_blocks(&index, said),
            Some(Err(fault)) => {
                let at = index_offset + to_u64(BLOCK_HEADER + fault.offset);
                said.damaged(at, None, fault.what);
            }
            None => {}
        }
        said.fact("blocks", self.blocks);
        if said.is_whole() && self.counted != self.footer.contents {
            said.damaged(footer_at, None, "the footer counts other things than are in the table");
        }
    }

    /// The payload of a block that is whole.
    fn block(
        &self,
        kind: BlockKind,
        (offset, length): (u64, u32),
        said: &mut Inspected,
    ) -> Option<&'a [u8]> {
        let start = to_usize(offset);
        let end = start.saturating_add(BLOCK_HEADER).saturating_add(widen(length));
        let block = self.bytes.get(start..end).unwrap_or_default();
        let place = BlockPlace { table: self.footer.table, offset };
        match check_block(block, place, kind) {
            Ok(()) => block.get(BLOCK_HEADER..),
            Err(what) => {
                said.damaged(offset, None, what);
                None
            }
        }
    }

    fn walk_blocks(&mut self, index: &Index, said: &mut Inspected) {
        if let Some((keyspace, key)) =
            index.count().checked_sub(1).and_then(|at| index.last_key(at))
        {
            said.fact("largest", key_fact(keyspace, key));
        }
        let blocks = (0..index.count()).filter_map(|number| {
            let (at, (_, last_key)) = (index.block(number)?, index.last_key(number)?);
            Some((at, last_key))
        });
        for (at, last_key) in blocks {
            if said.is_full() {
                return;
            }
            let Some(payload) = self.block(BlockKind::Data, (at.offset, at.length), said) else {
                continue;
            };
            self.blocks += 1;
            let whole = [&[0; BLOCK_HEADER], payload].concat();
            let block = Block::decode(whole).and_then(|block| block.check().map(|()| block));
            match block {
                Ok(block) if block.keyspace() != at.keyspace => {
                    let what = "a block is of another keyspace than the index says";
                    said.damaged(at.offset, None, what);
                }
                Ok(block) => self.walk_entries(&block, at, last_key, said),
                Err(fault) => {
                    let place = at.offset + to_u64(BLOCK_HEADER + fault.offset);
                    said.damaged(place, None, fault.what);
                }
            }
        }
    }

    fn walk_entries(&mut self, block: &Block, at: BlockAt, last_key: &[u8], said: &mut Inspected) {
        let (mut key, keyspace) = (Vec::new(), at.keyspace);
        for number in 0..block.count() {
            let place = at.offset + to_u64(block.entry_offset(number));
            // The block was checked as a whole.
            let Ok(Some(version)) = block.entry(number, &mut key) else { break };
            let before = self.last.as_ref();
            let order = before.map(|(last, bytes, _)| (*last, bytes).cmp(&(keyspace, &key)));
            let is_newer = before.is_some_and(|(_, _, lsn)| *lsn <= version.lsn);
            let is_same = order.is_some_and(std::cmp::Ordering::is_eq);
            if order.is_some_and(std::cmp::Ordering::is_gt) || (is_same && is_newer) {
                said.damaged(place, Some(version.lsn), "the versions are not in order");
            }
            if self.counted.entries == 0 {
                said.fact("smallest", key_fact(keyspace, &key));
            }
            let counted = &mut self.counted;
            counted.entries += 1;
            counted.keys += u64::from(!is_same);
            counted.deletions += u64::from(version.value.is_none());
            counted.key_bytes += to_u64(key.len());
            counted.value_bytes += to_u64(version.value.map_or(0, <[u8]>::len));
            counted.lsns = (counted.lsns.0.min(version.lsn), counted.lsns.1.max(version.lsn));
            counted.times = (counted.times.0.min(version.time), counted.times.1.max(version.time));
            let hash = key_hash(keyspace, &key);
            if self.filter.as_ref().is_some_and(|filter| !filter.may_hold(hash)) {
                said.damaged(place, Some(version.lsn), "the filter denies this key");
            }
            self.last = Some((keyspace, key.clone(), version.lsn));
        }
        if key != last_key {
            let what = "the index names another last key than the block has";
            said.damaged(at.offset, None, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_names_of_tables_are_read() {
        assert_eq!(parse_name("0000000000000012.table"), Some(12));
        assert_eq!(parse_name("0000000000000012.orphan"), Some(12));
        for name in ["12.table", "000000000000001x.table", "0000000000000012.wal", ".table"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
