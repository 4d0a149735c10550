//! The manifest, and the file that says which one is in force.

use serde_json::{Value, json};

use crate::manifest::ListedTable;
use crate::manifest::describe::{self, Fault, Named, Told};
use crate::wal::header::HeaderFault;

use super::report::Inspected;
use super::table::key_fact;

/// What the whole of `CURRENT` says.
pub(super) fn current(bytes: &[u8]) -> Result<Inspected, HeaderFault> {
    let mut said = Inspected::new("name of the manifest in force");
    match describe::current(bytes) {
        Ok(named) => named_facts(&mut said, &named),
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

fn named_facts(said: &mut Inspected, named: &Named) {
    said.fact("store_id", named.store_id.to_string());
    said.fact("manifest", named.manifest);
    said.fact("salt", format!("{:016x}", named.salt));
    said.fact("manifest_bytes", named.file_bytes);
}

/// What `bytes`, the beginning of a file of `size` bytes, say.
pub(super) fn manifest(
    bytes: &[u8],
    size: u64,
    name: Option<u64>,
) -> Result<Inspected, HeaderFault> {
    let mut said = Inspected::new("manifest");
    let named = match describe::header(bytes) {
        Ok(named) => named,
        Err(HeaderFault::Damaged(what)) => {
            said.damaged(0, None, what);
            return Ok(said);
        }
        Err(unsupported) => return Err(unsupported),
    };
    named_facts(&mut said, &named);
    if name.is_some_and(|name| name != named.manifest) {
        said.damaged(40, None, "the manifest is another than its name says");
    }
    if size != named.file_bytes {
        let what = format!("the file has {size} bytes, and its header says {}", named.file_bytes);
        said.damaged(size.min(named.file_bytes), None, what);
        return Ok(said);
    }
    match describe::manifest(bytes) {
        Ok(told) => state_facts(&mut said, &told),
        Err(Fault::Damaged(offset, what)) => said.damaged(offset, None, what),
        Err(Fault::Unsupported(what)) => return Err(HeaderFault::Unsupported(what)),
    }
    Ok(said)
}

fn state_facts(said: &mut Inspected, told: &Told) {
    let checkpoint = told.state.checkpoint();
    said.fact("first_edit", told.first.number);
    said.fact("last_edit", told.last.number);
    said.fact("last_edit_hash", format!("{:016x}", told.last.hash));
    said.fact("record_bytes", told.end);
    said.fact("end", if told.is_torn { "torn" } else { "clean" });
    said.fact("checkpoint_lsn", checkpoint.position.lsn.0);
    said.fact("checkpoint_seq", checkpoint.position.seq.0);
    said.fact("checkpoint_term", checkpoint.position.term.0);
    said.fact("checkpoint_at", checkpoint.position.time.to_string());
    said.fact("checkpoint_segment", checkpoint.segment.0);
    said.fact("next_table", told.state.next_table());
    let drops = told.state.drops();
    let drops = drops.map(|(keyspace, lsn)| json!({"keyspace": keyspace.0, "up_to_lsn": lsn.0}));
    said.fact("dropped", drops.collect::<Vec<Value>>());
    said.fact("tables", told.state.tables().map(|table| table_fact(table)).collect::<Vec<Value>>());
}

fn table_fact(table: &ListedTable) -> Value {
    json!({
        "table": table.number,
        "level": table.level,
        "file_bytes": table.file_bytes,
        "file_hash": format!("{:016x}", table.file_hash),
        "versions": table.entries,
        "deletions": table.tombstones,
        "data_bytes": table.data_bytes,
        "first_lsn": table.lsns.0.0,
        "last_lsn": table.lsns.1.0,
        "first_at": table.times.0.to_string(),
        "last_at": table.times.1.to_string(),
        "smallest": key_fact(table.smallest.keyspace, &table.smallest.bytes),
        "largest": key_fact(table.largest.keyspace, &table.largest.bytes),
    })
}
