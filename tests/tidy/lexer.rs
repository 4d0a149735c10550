//! Rust source as words and signs, without comments and without the content of literals.
//!
//! Enough of the language to tell code from text: a banned name in a comment or in a string is no
//! use of it. Literals vanish, lifetimes vanish, `::` is one token, other signs are one each.

/// A word or a sign of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Token {
    pub(crate) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The code of a Rust file.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.peek(0).is_some() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.at += 1;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn push(&mut self, text: String) {
        self.tokens.push(Token { text, line: self.line });
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (Some('/'), Some('/')) => self.skip_while(|c| c != '\n'),
            (Some('/'), Some('*')) => self.skip_block_comment(),
            (Some('"'), _) => self.skip_quoted('"'),
            (Some('\''), _) => self.skip_char_or_lifetime(),
            (Some(':'), Some(':')) => {
                self.at += 2;
                self.push("::".to_owned());
            }
            (Some(c), _) if is_word(c) => self.word(),
            (Some(c), _) => {
                self.bump();
                if !c.is_whitespace() {
                    self.push(c.to_string());
                }
            }
            (None, _) => {}
        }
    }

    fn skip_while(&mut self, keep: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&keep) {
            self.bump();
        }
    }

    fn skip_block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.at += 2;
                }
                (None, _) => return,
                _ => {
                    self.bump();
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_quoted(&mut self, quote: char) {
        self.bump();
        while let Some(c) = self.bump() {
            if c == '\\' {
                self.bump();
            } else if c == quote {
                return;
            }
        }
    }

    fn skip_raw(&mut self, hashes: usize) {
        self.at += hashes + 1;
        while let Some(c) = self.bump() {
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == Some('#')) {
                self.at += hashes;
                return;
            }
        }
    }

    fn skip_char_or_lifetime(&mut self) {
        if self.peek(1) == Some('\\') || self.peek(2) == Some('\'') {
            self.skip_quoted('\'');
        } else {
            self.bump();
            self.skip_while(is_word);
        }
    }

    fn word(&mut self) {
        let mut word = String::new();
        while let Some(c) = self.peek(0).filter(|c| is_word(*c)) {
            word.push(c);
            self.bump();
        }
        let hashes = self.chars.iter().skip(self.at).take_while(|c| **c == '#').count();
        let is_raw = matches!(word.as_str(), "r" | "br" | "cr");
        if is_raw && self.peek(hashes) == Some('"') {
            self.skip_raw(hashes);
        } else if is_raw && hashes == 1 {
            self.at += 1; // `r#type`: the word itself comes next.
        } else if matches!(word.as_str(), "b" | "c") && self.peek(0) == Some('"') {
            self.skip_quoted('"');
        } else if word == "b" && self.peek(0) == Some('\'') {
            self.skip_quoted('\'');
        } else {
            self.push(word);
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        tokens(text).into_iter().map(|token| token.text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_and_literals_are_not_code() {
        assert_eq!(words("a /* b /* c */ d */ e // f\ng"), "a e g");
        assert_eq!(words(r#"a("b \" c", 'd', '\'', b'e', b"f") g"#), "a ( , , , , ) g");
        assert_eq!(words("r#\"a \" b\"# c br\"d\" r#type"), "c type");
        assert_eq!(words("a<'b> 'c: loop"), "a < > : loop");
        assert_eq!(words("crate::a:b"), "crate :: a : b");
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let tokens = tokens("a \"\n\n\" b /*\n*/ c\nd");
        let lines: Vec<usize> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 3, 4, 5]);
    }
}
