//! Which lines may run at once: those that touch nothing that an earlier, unfinished line touches.
//!
//! Pure. Every address has a queue of the lines that touch it. A line may run when it is at the
//! head of all its queues, and leaves them when it is done; so lines of one address keep their
//! order, and a line of several addresses cannot deadlock, because all queues have the order of
//! the input.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::doc::Operation;

/// Something whose lines keep their order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Address {
    Document(String, String),
    Key(String, Vec<u8>),
    Request(String),
}

/// What a write touches; a document with an id still to be generated touches nothing.
pub(super) fn addresses(operations: &[Operation], request: Option<&str>) -> BTreeSet<Address> {
    let of_operation = |operation: &Operation| match operation {
        Operation::Put { collection, id: Some(id), .. }
        | Operation::Patch { collection, id, .. }
        | Operation::Delete { collection, id, .. } => {
            Some(Address::Document(collection.clone(), id.clone()))
        }
        Operation::KeyPut { keyspace, key, .. } | Operation::KeyDelete { keyspace, key } => {
            Some(Address::Key(keyspace.clone(), key.clone()))
        }
        _ => None,
    };
    let request = request.map(|request| Address::Request(request.to_owned()));
    operations.iter().filter_map(of_operation).chain(request).collect()
}

/// Jobs that run, wait to run, or wait for others; `J` is what a job is about.
#[derive(Debug)]
pub(super) struct Order<J> {
    queues: BTreeMap<Address, VecDeque<u64>>,
    /// Jobs behind others, and in how many queues each still is.
    blocked: BTreeMap<u64, (usize, J)>,
    ready: VecDeque<(u64, J)>,
    addresses: BTreeMap<u64, BTreeSet<Address>>,
}

impl<J> Order<J> {
    pub(super) fn new() -> Self {
        let (queues, blocked) = (BTreeMap::new(), BTreeMap::new());
        Self { queues, blocked, ready: VecDeque::new(), addresses: BTreeMap::new() }
    }

    /// Takes in the job `number`, higher than all before.
    pub(super) fn add(&mut self, number: u64, addresses: BTreeSet<Address>, job: J) {
        let mut behind = 0;
        for address in &addresses {
            let queue = self.queues.entry(address.clone()).or_default();
            behind += usize::from(!queue.is_empty());
            queue.push_back(number);
        }
        self.addresses.insert(number, addresses);
        if behind == 0 {
            self.ready.push_back((number, job));
        } else {
            self.blocked.insert(number, (behind, job));
        }
    }

    /// A job that may run now.
    pub(super) fn next(&mut self) -> Option<(u64, J)> {
        self.ready.pop_front()
    }

    /// The job `number` is done; says how many others may run because of it.
    pub(super) fn done(&mut self, number: u64) -> usize {
        let ready_before = self.ready.len();
        for address in self.addresses.remove(&number).unwrap_or_default() {
            let Some(queue) = self.queues.get_mut(&address) else { continue };
            queue.pop_front();
            match queue.front().copied() {
                Some(next) => self.advance(next),
                None => drop(self.queues.remove(&address)),
            }
        }
        self.ready.len() - ready_before
    }

    fn advance(&mut self, number: u64) {
        if let Some((behind, job)) = self.blocked.remove(&number) {
            if behind > 1 {
                self.blocked.insert(number, (behind - 1, job));
            } else {
                self.ready.push_back((number, job));
            }
        }
    }

    /// Jobs that are not done.
    pub(super) fn outstanding(&self) -> usize {
        self.addresses.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &str) -> BTreeSet<Address> {
        keys.bytes().map(|key| Address::Key("k".to_owned(), vec![key])).collect()
    }

    fn drain(order: &mut Order<()>) -> Vec<u64> {
        std::iter::from_fn(|| order.next()).map(|(number, ())| number).collect()
    }

    #[test]
    fn lines_of_one_key_keep_their_order_and_others_do_not_wait() {
        let mut order = Order::new();
        for (number, touched) in [(1, "a"), (2, "b"), (3, "a"), (4, "ab"), (5, ""), (6, "b")] {
            order.add(number, keys(touched), ());
        }
        assert_eq!(drain(&mut order), [1, 2, 5]);
        assert_eq!((order.done(2), drain(&mut order)), (0, vec![]));
        assert_eq!(order.done(1), 1);
        assert_eq!(drain(&mut order), [3]);
        order.done(3);
        assert_eq!(drain(&mut order), [4]);
        order.done(4);
        assert_eq!(drain(&mut order), [6]);
        assert_eq!(order.outstanding(), 2);
        order.done(5);
        order.done(6);
        assert_eq!((order.outstanding(), order.queues.len()), (0, 0));
    }

    #[test]
    fn an_operation_touches_its_document_or_key_and_a_generated_id_nothing() {
        let put = |id: Option<&str>| Operation::Put {
            collection: "c".to_owned(),
            id: id.map(str::to_owned),
            doc: serde_json::Value::Null,
            condition: crate::doc::Condition::None,
        };
        let document = Address::Document("c".to_owned(), "a".to_owned());
        assert_eq!(addresses(&[put(None), put(Some("a"))], None), [document].into());
        assert_eq!(addresses(&[], Some("r")), [Address::Request("r".to_owned())].into());
    }
}
