//! Answers kept for requests that may be repeated, oldest forgotten first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::limits::{REPLIES_KEPT_BYTES, REQUESTS_KEPT};
use crate::base::{Lsn, Timestamp};

/// What the first commit of a request was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) lsn: Lsn,
    pub(super) time: Timestamp,
    pub(super) reply: Arc<[u8]>,
}

/// A bounded window of answers; rebuilt from the log at open.
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
