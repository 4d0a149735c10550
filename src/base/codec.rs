//! Bounds-checked little-endian bytes: decoding never panics, never indexes, never allocates.

/// What a decoder found wrong, with the offset inside the decoded bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Byte offset at which the field begins.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// Whether every byte is zero; as quick as memory is.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    len_without_zeroes(bytes) == 0
}

/// The length without the zeroes at the end; as quick as memory is.
#[must_use]
pub fn len_without_zeroes(bytes: &[u8]) -> usize {
    // In blocks, each looked at whole: the compiler makes that a few wide instructions.
    const BLOCK: usize = 256;
    let mut len = bytes.len();
    while let Some((rest, block)) = bytes.get(..len).and_then(<[u8]>::split_last_chunk::<BLOCK>) {
        if block.iter().fold(0, |all, byte| all | byte) != 0 {
            break;
        }
        len = rest.len();
    }
    let left = bytes.get(..len).unwrap_or_default();
    left.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// A cursor over bytes of unknown origin.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Bytes left.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.bytes.len().saturating_sub(self.offset)
    }

    /// The error "`what`" at the current offset.
    #[must_use]
    pub const fn malformed(&self, what: &'static str) -> Malformed {
        Malformed { offset: self.offset, what }
    }

    /// Takes `len` bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let end = self.offset.checked_add(len).ok_or(self.malformed("a length overflows"))?;
        let taken =
            self.bytes.get(self.offset..end).ok_or(self.malformed("the bytes end too early"))?;
        self.offset = end;
        Ok(taken)
    }

    /// Takes `N` bytes as an array.
    ///
    /// # Errors
    /// [`Malformed`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.array().map(u8::from_le_bytes)
    }

    /// Takes a `u16`.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    /// Takes a `u32`.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    /// Takes a `u64`.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// Takes a number of [`put_varint`].
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left, it is above a `u32`, or not in its shortest form.
    pub fn varint(&mut self) -> Result<u32, Malformed> {
        let start = self.malformed("a number is not in its shortest form, or too large");
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.u8()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                return Err(start);
            }
            value |= bits << shift;
            if byte < 0x80 {
                return if byte == 0 && shift > 0 { Err(start) } else { Ok(value) };
            }
        }
        Err(start)
    }

    /// Takes a `u32` length and that many bytes.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left.
    pub fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        self.bytes(widen(len))
    }

    /// Takes a `u32` length and that many bytes of UTF-8.
    ///
    /// # Errors
    /// [`Malformed`] when fewer bytes are left or they are not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let start = self.malformed("text is not UTF-8");
        std::str::from_utf8(self.sized()?).map_err(|_| start)
    }

    /// Requires that nothing is left.
    ///
    /// # Errors
    /// [`Malformed`] when bytes are left over.
    pub const fn finish(&self) -> Result<(), Malformed> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.malformed("bytes are left over")) }
    }
}

/// Appends a number in groups of seven bits, the lowest first.
pub fn put_varint(out: &mut Vec<u8>, mut value: u32) {
    while value > 0x7f {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [last, ..] = value.to_le_bytes();
    out.push(last);
}

/// Appends a `u32` length and `bytes`.
///
/// # Panics
/// If `bytes` is 4 GiB or longer; every caller's limit is far below.
pub fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&narrow(bytes.len()).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// A `u32` as a length in memory.
#[must_use]
#[expect(clippy::as_conversions, reason = "usize has at least 32 bits on every supported target")]
pub const fn widen(value: u32) -> usize {
    const { assert!(usize::BITS >= 32) };
    value as usize
}

/// A length in memory as a `u64`.
#[must_use]
#[expect(clippy::as_conversions, reason = "usize has at most 64 bits on every supported target")]
pub const fn to_u64(value: usize) -> u64 {
    const { assert!(usize::BITS <= 64) };
    value as u64
}

/// A `u64` that is known to be a length in memory.
///
/// # Panics
/// If it is not: check it against a limit first.
#[must_use]
pub fn to_usize(value: u64) -> usize {
    assert!(usize::try_from(value).is_ok(), "a length of {value} bytes does not fit in memory");
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A length in memory that is known to fit in a `u32` field.
///
/// # Panics
/// If it does not: check it against a limit first.
#[must_use]
pub fn narrow(value: usize) -> u32 {
    assert!(u32::try_from(value).is_ok(), "a length of {value} bytes does not fit in its field");
    u32::try_from(value).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form_and_comes_back() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u32::MAX - 1, u32::MAX] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(Cursor::new(&bytes).varint(), Ok(value));
            for len in 0..bytes.len() {
                assert!(Cursor::new(&bytes[..len]).varint().is_err());
            }
        }
        assert!(Cursor::new(&[0x80, 0]).varint().is_err(), "a longer form of 0");
        assert!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).varint().is_err(), "beyond 32 bits");
    }

    #[test]
    fn zeroes_at_the_end_are_found_in_any_block() {
        for len in [0, 1, 7, 255, 256, 257, 511, 512, 700] {
            assert!(is_zero(&vec![0; len]));
            for last in 0..len {
                let mut bytes = vec![0; len];
                bytes[last] = 1;
                assert_eq!((len_without_zeroes(&bytes), is_zero(&bytes)), (last + 1, false));
            }
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_refused_before_anything_is_taken() {
        let mut bytes = Vec::new();
        put_sized(&mut bytes, b"abc");
        bytes.pop();
        assert_eq!(Cursor::new(&bytes).sized().unwrap_err().what, "the bytes end too early");
        assert_eq!(
            Cursor::new(&[0xff; 4]).sized().unwrap_err(),
            Malformed { offset: 4, what: "the bytes end too early" }
        );
    }

    #[test]
    fn what_was_put_is_taken_and_leftovers_are_noticed() {
        let mut bytes = Vec::new();
        put_sized(&mut bytes, "töpfe".as_bytes());
        bytes.push(7);
        let mut cursor = Cursor::new(&bytes);
        assert_eq!(cursor.text(), Ok("töpfe"));
        assert_eq!(cursor.finish().unwrap_err().what, "bytes are left over");
        assert_eq!(cursor.u8(), Ok(7));
        assert_eq!(cursor.finish(), Ok(()));
    }
}
