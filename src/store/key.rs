//! A key in the tree: its bytes, and the first of them as a number.
//!
//! To descend a tree is to compare keys, and to compare keys that lie elsewhere is to wait for
//! memory at each of them. Most comparisons end within the first eight bytes, so those lie in the
//! tree itself. Who looks for a key has only a slice: it is compared through [`Sought`], which a
//! slice with its prefix is as well as a key, so that a look allocates nothing.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::Arc;

/// A key, cheap to clone; ordered by its bytes.
#[derive(Clone, Debug)]
pub(super) struct Key {
    prefix: u64,
    bytes: Arc<[u8]>,
}

impl Key {
    /// Its bytes.
    pub(super) const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }
}

impl From<&[u8]> for Key {
    fn from(bytes: &[u8]) -> Self {
        Self { prefix: prefix(bytes), bytes: bytes.into() }
    }
}

/// Something that is compared as a key is.
pub(super) trait Sought {
    fn parts(&self) -> (u64, &[u8]);
}

impl Sought for Key {
    fn parts(&self) -> (u64, &[u8]) {
        (self.prefix, &self.bytes)
    }
}

/// A slice that is looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look<'a>(u64, &'a [u8]);

impl<'a> From<&'a [u8]> for Look<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self(prefix(bytes), bytes)
    }
}

impl Sought for Look<'_> {
    fn parts(&self) -> (u64, &[u8]) {
        (self.0, self.1)
    }
}

impl<'a> Borrow<dyn Sought + 'a> for Key {
    fn borrow(&self) -> &(dyn Sought + 'a) {
        self
    }
}

impl Ord for dyn Sought + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        // The prefixes decide nothing that the bytes would decide otherwise.
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for dyn Sought + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Sought + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for dyn Sought + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Key {}

/// Keys in order have prefixes in order; a key that is shorter counts as if zeroes followed.
fn prefix(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(first).swap_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_the_order_of_their_bytes_however_they_are_compared() {
        let mut keys: Vec<&[u8]> = vec![
            b"",
            b"\0",
            b"\0\0",
            b"a",
            b"a\0",
            b"abcdefg",
            b"abcdefgh",
            b"abcdefgh\0",
            b"abcdefghi",
            b"abcdefgi",
            b"\xff",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        keys.sort_unstable();
        for one in &keys {
            for other in &keys {
                let order = one.cmp(other);
                assert_eq!(Key::from(*one).cmp(&Key::from(*other)), order, "{one:?} {other:?}");
                let (look, key) = (Look::from(*one), Key::from(*other));
                let (look, key): (&dyn Sought, &dyn Sought) = (&look, &key);
                assert_eq!(look.cmp(key), order, "{one:?} {other:?}");
            }
        }
    }
}
