//! The changes that a caller has put into a batch, until it is committed.
//!
//! Keys and values lie one behind the other in one allocation, because most batches have one
//! change and some have many thousands. They are put in order once, when they are committed, and
//! only if they did not come in order.

use super::batch::Keyspace;
use super::format::Change;

/// One change, of bytes that lie elsewhere.
#[derive(Clone, Debug)]
struct Operation {
    keyspace: Keyspace,
    is_put: bool,
    /// Where its key begins.
    start: usize,
    key_len: usize,
    value_len: usize,
}

/// Changes of keys; of a key the last one counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Staged {
    bytes: Vec<u8>,
    operations: Vec<Operation>,
    /// They did not come in ascending order of keyspace and key.
    unordered: bool,
}

impl Staged {
    pub(super) const fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// How many there are; of keys, once they are in order.
    pub(super) const fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether they are in ascending order of keyspace and key, each key once.
    pub(super) const fn is_ordered(&self) -> bool {
        !self.unordered
    }

    pub(super) fn stage(&mut self, keyspace: &Keyspace, key: &[u8], change: Change<'_>) {
        let (is_put, value) = match change {
            Change::Put(value) => (true, value),
            Change::Delete(note) => (false, note),
        };
        let last = self.operations.last().map(|last| self.address(last));
        self.unordered |= last.is_some_and(|last| last >= (keyspace, key));
        let (start, keyspace) = (self.bytes.len(), keyspace.clone());
        self.bytes.reserve(key.len() + value.len());
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        let (key_len, value_len) = (key.len(), value.len());
        self.operations.push(Operation { keyspace, is_put, start, key_len, value_len });
    }

    /// Puts them in order, and leaves of each key the last.
    pub(super) fn order(&mut self) {
        if !std::mem::take(&mut self.unordered) {
            return;
        }
        let mut operations = std::mem::take(&mut self.operations);
        // Stable: what came later stays behind.
        operations.sort_by(|a, b| self.address(a).cmp(&self.address(b)));
        operations.dedup_by(|later, kept| {
            let same = self.address(later) == self.address(kept);
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        self.operations = operations;
    }

    /// The changes: keyspace, key, and what happens to it.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Keyspace, &[u8], Change<'_>)> {
        self.operations.iter().map(|operation| {
            let Operation { keyspace, is_put, start, key_len, value_len } = operation;
            let (key, value) = (self.slice(*start, *key_len), start + key_len);
            let value = self.slice(value, *value_len);
            let change = if *is_put { Change::Put(value) } else { Change::Delete(value) };
            (keyspace, key, change)
        })
    }

    /// Those at `range`, for the plant that makes two commits of one batch.
    pub(super) fn only(&self, range: std::ops::Range<usize>) -> Self {
        let operations = self.operations.get(range).unwrap_or_default().to_vec();
        Self { bytes: self.bytes.clone(), operations, unordered: self.unordered }
    }

    fn address<'a>(&'a self, operation: &'a Operation) -> (&'a Keyspace, &'a [u8]) {
        (&operation.keyspace, self.slice(operation.start, operation.key_len))
    }

    fn slice(&self, start: usize, len: usize) -> &[u8] {
        self.bytes.get(start..start + len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_out_in_order_with_the_last_change_of_each_key() {
        let [a, b] = ["a", "b"].map(|name| Keyspace::new(name).unwrap());
        let mut staged = Staged::default();
        let changes: [(&Keyspace, &[u8], Change<'_>); 6] = [
            (&b, b"1", Change::Put(b"first")),
            (&a, b"2", Change::Put(b"two")),
            (&b, b"1", Change::Delete(b"note")),
            (&a, b"1", Change::Delete(b"")),
            (&a, b"2", Change::Put(b"")),
            (&b, b"", Change::Put(b"empty")),
        ];
        changes.iter().for_each(|(keyspace, key, change)| staged.stage(keyspace, key, *change));
        assert!(!staged.is_ordered());
        staged.order();
        assert!(staged.is_ordered());
        let [_, _, last_b1, a1, last_a2, b0] = changes;
        let ordered: Vec<_> = staged.iter().collect();
        assert_eq!(ordered, [a1, last_a2, b0, last_b1]);
        assert_eq!(staged.len(), 4);
    }

    #[test]
    fn what_came_in_order_is_known_to_be_in_order() {
        let keyspace = Keyspace::new("a").unwrap();
        let mut staged = Staged::default();
        for key in [&b""[..], b"1", b"10", b"2"] {
            staged.stage(&keyspace, key, Change::Put(b"value"));
            assert!(staged.is_ordered());
        }
        staged.stage(&keyspace, b"2", Change::Put(b"again"));
        assert!(!staged.is_ordered(), "the same key twice is not in order");
    }
}
