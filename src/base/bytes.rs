//! Bytes that never change and are cheap to clone: keys and values as readers get them.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, Range};
use std::sync::Arc;

use super::codec::{narrow, widen};

/// Bytes that need no memory apart.
const INLINE: usize = 30;

/// Where bytes are that many others are in, too.
type Owner = Arc<dyn AsRef<[u8]> + Send + Sync>;

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Shared(Arc<[u8]>),
    Part { owner: Owner, start: u32, len: u32 },
}

/// Bytes that never change, cheap to clone.
///
/// A value that was read from a table is a part of the block it was in, and keeps that block in
/// memory as long as it lives: copy what is to be held for long.
#[derive(Clone)]
pub struct Bytes(Repr);

impl Bytes {
    /// The bytes of `owner` in `range`, which are not copied unless they are few.
    ///
    /// # Panics
    /// If `owner` has no such bytes, or they begin beyond 4 GiB.
    #[must_use]
    pub fn part<T>(owner: &Arc<T>, range: Range<usize>) -> Self
    where
        T: AsRef<[u8]> + Send + Sync + 'static,
    {
        let bytes: &[u8] = (**owner).as_ref();
        let part = bytes.get(range.clone());
        assert!(part.is_some(), "a part is inside of its owner");
        match part {
            Some(part) if part.len() > INLINE => {
                let owner: Owner = Arc::<T>::clone(owner);
                let (start, len) = (narrow(range.start), narrow(range.len()));
                Self(Repr::Part { owner, start, len })
            }
            part => part.unwrap_or_default().into(),
        }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(bytes);
                Self(Repr::Inline { len, bytes: inline })
            }
            _ => Self(Repr::Shared(bytes.into())),
        }
    }
}

impl<const N: usize> From<&[u8; N]> for Bytes {
    fn from(bytes: &[u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.as_slice().into()
    }
}

impl From<Arc<[u8]>> for Bytes {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self(Repr::Shared(bytes))
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Shared(bytes) => bytes,
            Repr::Part { owner, start, len } => {
                let (start, len) = (widen(*start), widen(*len));
                (**owner).as_ref().get(start..start + len).unwrap_or_default()
            }
        }
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl PartialEq<[u8]> for Bytes {
    fn eq(&self, other: &[u8]) -> bool {
        **self == *other
    }
}

impl<const N: usize> PartialEq<[u8; N]> for Bytes {
    fn eq(&self, other: &[u8; N]) -> bool {
        **self == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_however_they_are_held() {
        let all: Vec<u8> = (0..200).collect();
        let owner = Arc::new(all.clone());
        for len in [0, 1, INLINE, INLINE + 1, 100] {
            let expected = &all[50..50 + len];
            let ways: [Bytes; 4] = [
                expected.into(),
                expected.to_vec().into(),
                Arc::<[u8]>::from(expected).into(),
                Bytes::part(&owner, 50..50 + len),
            ];
            for one in &ways {
                assert_eq!((&**one, one.clone()), (expected, ways[0].clone()));
                assert_eq!(one.cmp(&all.as_slice().into()), expected.cmp(&all));
            }
        }
        assert_eq!(Arc::strong_count(&owner), 1, "nothing is held any more");
        let part = Bytes::part(&owner, 0..100);
        assert_eq!((Arc::strong_count(&owner), part.len()), (2, 100));
    }

    #[test]
    fn a_few_bytes_take_no_memory_apart() {
        assert!(size_of::<Bytes>() <= 32, "{} bytes", size_of::<Bytes>());
        let owner = Arc::new(vec![7; 200]);
        let part = Bytes::part(&owner, 0..INLINE);
        assert_eq!((Arc::strong_count(&owner), part.len()), (1, INLINE));
    }
}
