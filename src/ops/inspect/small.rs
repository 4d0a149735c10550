//! The small files: identity, saved tail, salvage plan, the end of a copy, the lock.

use serde_json::{Value, json};

use crate::archive::format::End;
use crate::wal::first;
use crate::wal::header::HeaderFault;
use crate::wal::identity::Identity;
use crate::wal::salvage::plan::Plan;
use crate::wal::saved::{self, SavedPlace};

use super::report::Inspected;

/// Damage goes into the report; another version is the caller's to refuse.
type Said = Result<Inspected, HeaderFault>;

pub(super) fn identity(bytes: &[u8]) -> Said {
    let mut said = Inspected::new("identity of a store");
    match Identity::decode(bytes) {
        Ok(identity) => {
            said.fact("store_id", identity.store_id.to_string());
            said.fact("term", identity.term.0);
            said.fact("created", identity.created.to_string());
            said.fact("segment_bytes", identity.segment_bytes);
            let ancestors = identity.ancestors.iter().map(|ancestor| {
                json!({"store_id": ancestor.store_id.to_string(), "up_to_lsn": ancestor.up_to.0})
            });
            said.fact("ancestors", ancestors.collect::<Vec<Value>>());
        }
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

pub(super) fn end(bytes: &[u8]) -> Said {
    let mut said = Inspected::new("end of a copy");
    match End::decode(bytes) {
        Ok(end) => {
            said.fact("store_id", end.store_id.to_string());
            said.fact("last_lsn", end.lsn.0);
            said.fact("complete_to", end.time.to_string());
            said.fact("chain", format!("{:016x}", end.chain));
        }
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

pub(super) fn tail(bytes: &[u8]) -> Said {
    let mut said = Inspected::new("saved end of the log");
    match saved::describe(bytes) {
        Ok((store_id, parts)) => {
            said.fact("store_id", store_id.to_string());
            let part = |place: &SavedPlace| {
                let (segment, offset, bytes) = place;
                json!({"segment": segment.0, "offset": offset, "bytes": bytes})
            };
            said.fact("parts", parts.iter().map(part).collect::<Vec<Value>>());
        }
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

/// A log with a plan beside it is refused, so a plan that cannot be read is damage.
pub(super) fn plan(bytes: &[u8]) -> Said {
    let mut said = Inspected::new("plan of a salvage that did not end");
    match Plan::decode(bytes) {
        Ok(plan) => {
            said.fact("store_id", plan.store_id.to_string());
            said.fact("quarantine", plan.quarantine);
            said.fact("segment", plan.segment.0);
            said.fact("keep_bytes", plan.keep_bytes);
            said.fact("kept_lsn", plan.kept.0);
            said.fact("lost_lsn", plan.lost.0);
            said.fact("term", plan.term.0);
        }
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

pub(super) fn first(bytes: &[u8]) -> Said {
    let mut said = Inspected::new("beginning of the log");
    match first::decode(bytes) {
        Ok((store_id, first)) => {
            said.fact("store_id", store_id.to_string());
            said.fact("segment", first.segment.0);
            said.fact("salt", first.salt.map(|salt| format!("{:016x}", salt.0)));
            said.fact("oldest_lsn", first.oldest().0);
            said.fact("seq", first.position.seq.0);
            said.fact("term", first.position.term.0);
            said.fact("time", first.position.time.to_string());
        }
        Err(HeaderFault::Damaged(what)) => said.damaged(0, None, what),
        Err(unsupported) => return Err(unsupported),
    }
    Ok(said)
}

/// Nothing depends on what a lock says, so nothing in it is damage.
pub(super) fn lock(bytes: &[u8]) -> Inspected {
    let mut said = Inspected::new("lock");
    let holder = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<u32>().ok());
    said.fact("last_holder_pid", holder);
    said
}
