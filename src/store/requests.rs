//! Answers kept for requests that may be repeated, oldest forgotten first.
//!
//! They are in the log with the commits that they answer; a checkpoint writes those that are still
//! kept into the tables, in a keyspace of their own, so that the log may go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::limits::{REPLIES_KEPT_BYTES, REQUESTS_KEPT};
use crate::base::{Bytes, KeyspaceId, Lsn, Timestamp, Version};

/// The keyspace of the tables that holds answers: behind all that can have a name.
pub const REQUESTS: KeyspaceId = KeyspaceId(u32::MAX);

/// What the first commit of a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) lsn: Lsn,
    pub(super) time: Timestamp,
    pub(super) reply: Arc<[u8]>,
}

/// A bounded window of answers; rebuilt from the tables and the log at open.
#[derive(Debug, Default)]
pub(super) struct Requests {
    answers: BTreeMap<Arc<str>, Answer>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Requests {
    pub(super) fn get(&self, id: &str) -> Option<&Answer> {
        self.answers.get(id)
    }

    /// What the tables say of requests, which may be more than is kept.
    pub(super) fn from_tables(mut versions: Vec<(Bytes, Version)>) -> Self {
        versions.sort_by_key(|(_, version)| version.lsn);
        let mut requests = Self::default();
        for (id, Version { lsn, time, value }) in versions {
            if let (Ok(id), Some(reply)) = (std::str::from_utf8(&id), value) {
                let reply = reply.as_ref().into();
                requests.keep(id, Answer { lsn, time, reply });
            }
        }
        requests
    }

    /// Keeps what is kept by `later`, too.
    pub(super) fn extend(&mut self, later: &Self) {
        for id in &later.order {
            if let Some(answer) = later.get(id) {
                self.keep(id, answer.clone());
            }
        }
    }

    /// Those of commits after `lsn`, by their ids.
    pub(super) fn after(&self, lsn: Lsn) -> Vec<(Arc<str>, Answer)> {
        let after = self.order.iter().rev().map_while(|id| {
            let answer = self.answers.get(id).filter(|answer| answer.lsn > lsn)?;
            Some((Arc::clone(id), answer.clone()))
        });
        let mut after: Vec<_> = after.collect();
        after.sort_by(|a, b| a.0.cmp(&b.0));
        after
    }

    /// The commit of the oldest that is kept.
    pub(super) fn oldest(&self) -> Option<Lsn> {
        self.answers.get(self.order.front()?).map(|answer| answer.lsn)
    }

    pub(super) fn keep(&mut self, id: &str, answer: Answer) {
        let id: Arc<str> = id.into();
        self.bytes += answer.reply.len();
        self.order.push_back(id.clone());
        self.answers.insert(id, answer);
        while self.order.len() > REQUESTS_KEPT || self.bytes > REPLIES_KEPT_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(answer) = self.answers.remove(&oldest) {
                self.bytes -= answer.reply.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_bounded_in_count_and_bytes() {
        let answer =
            |len: usize| Answer { lsn: Lsn(1), time: Timestamp(1), reply: vec![0; len].into() };
        let mut requests = Requests::default();
        for number in 0..=REQUESTS_KEPT {
            requests.keep(&number.to_string(), answer(0));
        }
        assert_eq!(requests.get("0"), None);
        assert!(requests.get("1").is_some());
        requests.keep("large", answer(REPLIES_KEPT_BYTES));
        requests.keep("last", answer(1));
        assert_eq!(requests.get("large"), None);
        assert!(requests.get("last").is_some());
    }
}
