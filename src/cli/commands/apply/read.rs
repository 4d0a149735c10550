//! Lines of standard input, as they arrive, none longer than a limit.

use std::io::{self, BufRead};

use crate::base::codec::to_u64;

/// Longest line: larger than any commit of a store with segments of the default size.
pub(super) const LINE_BYTES_MAX: u64 = 64 << 20;

/// A line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Line(Vec<u8>),
    /// It was longer than the limit, and its bytes were dropped.
    TooLong,
}

/// The next line, or `None` at the end of the input.
///
/// # Errors
/// As the input says.
pub(super) fn next_line(input: &mut dyn BufRead, max: u64) -> io::Result<Option<Input>> {
    let mut line = Vec::new();
    let mut dropped = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            let nothing = line.is_empty() && !dropped;
            return Ok((!nothing).then(|| finished(line, dropped)));
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let part = available.get(..end.unwrap_or(available.len())).unwrap_or_default();
        if dropped || to_u64(line.len() + part.len()) > max {
            dropped = true;
            line = Vec::new();
        } else {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            return Ok(Some(finished(line, dropped)));
        }
    }
}

fn finished(line: Vec<u8>, dropped: bool) -> Input {
    if dropped { Input::TooLong } else { Input::Line(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, max: u64) -> Vec<Input> {
        let mut input = io::BufReader::with_capacity(3, text.as_bytes());
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input, max).unwrap() {
            lines.push(line);
        }
        lines
    }

    #[test]
    fn lines_come_without_their_ends_and_the_last_needs_none() {
        let line = |text: &str| Input::Line(text.into());
        assert_eq!(lines("", 9), []);
        assert_eq!(lines("\nabcdefg\nx", 9), [line(""), line("abcdefg"), line("x")]);
        assert_eq!(lines("x\n", 9), [line("x")]);
    }

    #[test]
    fn a_line_beyond_the_limit_is_dropped_and_the_next_is_read() {
        let line = |text: &str| Input::Line(text.into());
        assert_eq!(lines("12345\n1234\n12345", 4), [Input::TooLong, line("1234"), Input::TooLong]);
    }
}
