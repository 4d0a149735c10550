//! A range of a copy.

use crate::archive::format::{RANGE_HEADER, RangeHeader, take_record};
use crate::base::Lsn;
use crate::base::codec::{Cursor, to_u64};
use crate::wal::format::next_chain;
use crate::wal::header::HeaderFault;

use super::report::Inspected;

/// What `bytes`, the beginning of a file of `size` bytes, say.
pub(super) fn range(
    bytes: &[u8],
    size: u64,
    name: Option<(Lsn, Lsn)>,
) -> Result<Inspected, HeaderFault> {
    let mut said = Inspected::new("range of a copy");
    let header = match RangeHeader::decode(bytes) {
        Ok(header) => header,
        Err(HeaderFault::Damaged(what)) => {
            said.damaged(0, None, what);
            return Ok(said);
        }
        Err(unsupported) => return Err(unsupported),
    };
    said.fact("store_id", header.store_id.to_string());
    said.fact("first_lsn", header.first.0);
    said.fact("last_lsn", header.last.0);
    said.fact("chain_before", format!("{:016x}", header.chain_before));
    said.fact("chain_after", format!("{:016x}", header.chain_after));
    if name.is_some_and(|name| name != (header.first, header.last)) {
        said.damaged(32, None, "the range's records are not those its name says");
    }
    if header.first > header.last || header.last == Lsn::MAX {
        said.damaged(32, None, "the header holds impossible values");
        return Ok(said);
    }
    let end = header.bytes.saturating_add(to_u64(RANGE_HEADER));
    if size != end {
        let what = format!("the file has {size} bytes, and its header says {end}");
        said.damaged(size.min(end), None, what);
    }
    records(bytes.get(RANGE_HEADER..).unwrap_or_default(), &header, &mut said);
    Ok(said)
}

/// Walks the records up to the first that is not what was written: where the next one begins is
/// then not known.
fn records(bytes: &[u8], header: &RangeHeader, said: &mut Inspected) {
    let mut cursor = Cursor::new(bytes);
    let (mut next, mut chain, mut count) = (header.first, header.chain_before, 0_u64);
    let (mut first_time, mut last_time) = (None, None);
    while cursor.remaining() > 0 && next <= header.last {
        let offset = to_u64(cursor.offset() + RANGE_HEADER);
        let record = match take_record(&mut cursor) {
            Ok(record) => record,
            Err(fault) => {
                said.damaged(offset, Some(next), fault.what);
                break;
            }
        };
        chain = next_chain(chain, &record.header);
        if record.header.lsn != next || record.header.chain != chain {
            said.damaged(offset, Some(next), "the record does not continue the one before");
            break;
        }
        first_time = first_time.or(Some(record.header.time));
        last_time = Some(record.header.time);
        count += 1;
        next = next.next();
    }
    said.fact("records", count);
    said.fact("first_at", first_time.map(|time| time.to_string()));
    said.fact("last_at", last_time.map(|time| time.to_string()));
    let at_end = cursor.remaining() == 0 && next == header.last.next();
    let complete = at_end && chain == header.chain_after;
    if !complete && said.is_whole() {
        let what = "the records end elsewhere than the header says";
        said.damaged(to_u64(bytes.len() + RANGE_HEADER), Some(next), what);
    }
}
