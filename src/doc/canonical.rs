//! The one spelling of a value (RFC 8785), its SHA-256, and the rules that make both safe.

use std::fmt;
use std::str::FromStr;

use serde_json::{Number, Value};
use sha2::Digest as _;

use crate::base::limits::DOCUMENT_DEPTH_MAX;
use crate::base::{Error, ErrorKind, Result};

/// Largest magnitude of a number in a document: up to it, every integer is a double.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A document's canonical bytes and their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canonical {
    /// RFC 8785: members sorted, no spaces, numbers as ECMAScript writes them.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub sha256: Sha256,
}

impl Canonical {
    /// The canonical form of `value`.
    ///
    /// # Errors
    /// `Invalid` when [`check_value`] refuses it.
    pub fn of(value: &Value) -> Result<Self> {
        check_value(value)?;
        let bytes = canonical_bytes(value)?;
        let sha256 = Sha256::of(&bytes);
        Ok(Self { bytes, sha256 })
    }
}

/// RFC 8785 bytes of a value that is, or is part of, a checked document.
pub(super) fn canonical_bytes(value: &Value) -> Result<Vec<u8>> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Error::new(ErrorKind::Invalid, format!("no canonical JSON: {error}")))
}

/// A SHA-256; displayed as lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(pub [u8; 32]);

impl Sha256 {
    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }
}

/// A SHA-256 of bytes that come in parts.
#[derive(Debug, Default)]
pub(super) struct Hasher(sha2::Sha256);

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = Error;

    /// Reads what [`fmt::Display`] writes and nothing else, so that a hash has one spelling.
    fn from_str(text: &str) -> Result<Self> {
        let bad = || {
            let what = format!("{text:?} is not a SHA-256; give 64 lower-case hex digits");
            Error::new(ErrorKind::Invalid, what)
        };
        let digits: Vec<u8> = text.bytes().map(digit).collect::<Option<_>>().ok_or_else(bad)?;
        let (pairs, []) = digits.as_chunks::<2>() else { return Err(bad()) };
        let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
        bytes.try_into().map(Self).map_err(|_| bad())
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Checks a value built in memory by the rules that [`super::json`] checks in text.
///
/// # Errors
/// `Invalid`, naming the place as a JSON Pointer: a number beyond 2^53-1 (store it as a string),
/// or nesting beyond [`DOCUMENT_DEPTH_MAX`].
pub fn check_value(value: &Value) -> Result<()> {
    check_at(value, 0).map_err(|defect| {
        let place = if defect.pointer.is_empty() { "the document" } else { &defect.pointer };
        Error::new(ErrorKind::Invalid, format!("{place}: {}", defect.what))
    })
}

/// What is wrong, and where: the pointer grows on the way out, so that good values cost nothing.
struct Defect {
    pointer: String,
    what: String,
}

impl Defect {
    const fn new(what: String) -> Self {
        Self { pointer: String::new(), what }
    }

    fn inside(self, name: &str) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { pointer: format!("/{name}{}", self.pointer), what: self.what }
    }
}

fn check_at(value: &Value, depth: usize) -> Result<(), Defect> {
    if matches!(value, Value::Array(_) | Value::Object(_)) && depth == DOCUMENT_DEPTH_MAX {
        return Err(Defect::new(format!(
            "more than {DOCUMENT_DEPTH_MAX} arrays and objects inside each other; flatten the \
             document"
        )));
    }
    match value {
        Value::Number(number) if !is_safe(number) => Err(Defect::new(format!(
            "the number {number} is beyond {INTEGER_MAX} (2^53-1) and would not be kept exactly; \
             store it as a string"
        ))),
        Value::Array(elements) => elements.iter().enumerate().try_for_each(|(index, element)| {
            check_at(element, depth + 1).map_err(|defect| defect.inside(&index.to_string()))
        }),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            check_at(member, depth + 1).map_err(|defect| defect.inside(name))
        }),
        _ => Ok(()),
    }
}

/// Whether a number is within ±(2^53-1), and so survives the canonical form.
pub(super) fn is_safe(number: &Number) -> bool {
    match number.as_i64() {
        Some(integer) => integer.unsigned_abs() <= INTEGER_MAX,
        // The bound itself is a double, so the comparison is exact.
        None => number.as_f64().is_some_and(|float| float.abs() <= 9_007_199_254_740_991.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::json::parse;
    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(Canonical::of(value).unwrap().bytes).unwrap()
    }

    #[test]
    fn the_example_of_rfc_8785_section_3_2_2_has_its_published_bytes() {
        let input = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        // 1E30 is beyond what we keep, so this one value goes around our parser and check.
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(
            String::from_utf8(canonical_bytes(&value).unwrap()).unwrap(),
            concat!(
                r#"{"literals":[null,true,false],"#,
                r#""numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
                r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
            )
        );
    }

    #[test]
    fn members_sort_by_utf16_units_as_in_rfc_8785_section_3_2_3() {
        let input = r#"{"\u20ac":"Euro Sign","\r":"Carriage Return",
            "\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji",
            "\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}"#;
        let text = text(&parse(input.as_bytes()).unwrap());
        let places: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| text.find(word).unwrap())
            .collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn numbers_are_written_as_ecmascript_writes_them() {
        for (input, output) in [
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("100", "100"),
            ("1e2", "100"),
            ("0.1", "0.1"),
            ("1e-6", "0.000001"),
            ("1e-7", "1e-7"),
            ("5e-324", "5e-324"),
            ("9007199254740991", "9007199254740991"),
            ("-9007199254740991", "-9007199254740991"),
            ("333333333.33333329", "333333333.3333333"),
        ] {
            assert_eq!(text(&parse(input.as_bytes()).unwrap()), output, "{input}");
        }
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_and_does_not_depend_on_the_spelling() {
        let one = Canonical::of(&parse(br#"{"b": 1.0, "a": "\u0041"}"#).unwrap()).unwrap();
        let other = Canonical::of(&parse(br#"{"a":"A","b":1}"#).unwrap()).unwrap();
        assert_eq!(one, other);
        assert_eq!(
            Canonical::of(&json!({})).unwrap().sha256.to_string(),
            "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        );
    }

    #[test]
    fn a_hash_is_read_back_from_its_one_spelling() {
        let hash = Sha256::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse::<Sha256>().unwrap(), hash);
        for bad in ["", "ba", &text[1..], &text.to_uppercase(), &format!("{text}00")] {
            assert_eq!(bad.parse::<Sha256>().unwrap_err().kind(), ErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn a_number_built_in_memory_beyond_the_bound_is_refused_with_its_place() {
        assert!(check_value(&json!([INTEGER_MAX, -9_007_199_254_740_991_i64, 0.5])).is_ok());
        for bad in [json!(INTEGER_MAX + 1), json!(i64::MIN), json!(u64::MAX), json!(1e16)] {
            let error = check_value(&json!({"a/b": [0, bad]})).unwrap_err();
            assert!(error.message().starts_with("/a~1b/1: the number "), "{error}");
        }
    }

    #[test]
    fn nesting_built_in_memory_is_kept_to_the_limit_of_the_parser() {
        let nest = |depth: usize| (1..depth).fold(json!([]), |inner, _| json!([inner]));
        assert!(Canonical::of(&nest(DOCUMENT_DEPTH_MAX)).is_ok());
        assert!(Canonical::of(&nest(DOCUMENT_DEPTH_MAX + 1)).is_err());
    }
}
