//! Which names of the crate's root a file uses, through `crate::`, `self::` or `super::`.

use super::lexer::Token;

/// A name used from the crate's root; `*` stands for all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RootName {
    pub(crate) name: String,
    pub(crate) line: usize,
}

/// The root names used by the file whose module is `module`, such as `["wal", "format"]`.
pub(crate) fn root_names(tokens: &[Token], module: &[String]) -> Vec<RootName> {
    let mut reader = Reader { tokens, at: 0, found: Vec::new() };
    let mut module = module.to_vec();
    // Inline modules we are inside of, each with the depth of braces around it.
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0_usize;
    while reader.at < tokens.len() {
        match (reader.text(0), reader.text(1), reader.text(2)) {
            ("mod", name, "{") => {
                module.push(name.to_owned());
                inline.push(depth);
                reader.at += 2;
                continue;
            }
            ("crate" | "super" | "self", "::", _) | ("crate", "as", _) => {
                reader.tree(module.clone());
                continue;
            }
            ("{", ..) => depth += 1,
            ("}", ..) => {
                depth = depth.saturating_sub(1);
                if inline.last() == Some(&depth) {
                    inline.pop();
                    module.pop();
                }
            }
            _ => {}
        }
        reader.at += 1;
    }
    reader.found
}

/// The first names after `krate::`, for a program that uses the library by name.
pub(crate) fn extern_names(tokens: &[Token], krate: &str) -> Vec<RootName> {
    let mut reader = Reader { tokens, at: 0, found: Vec::new() };
    while reader.at < tokens.len() {
        let starts = reader.text(0) == krate && reader.text(1) == "::";
        reader.at += 1;
        if starts {
            reader.at += 1;
            reader.tree(Vec::new());
        }
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<RootName>,
}

impl Reader<'_> {
    fn text(&self, ahead: usize) -> &str {
        self.tokens.get(self.at + ahead).map_or("", |token| &token.text)
    }

    fn report(&mut self, name: &str) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        self.found.push(RootName { name: name.to_owned(), line });
    }

    /// Reads one path, or one tree of a `use`, that starts inside the module `base`.
    fn tree(&mut self, mut base: Vec<String>) {
        loop {
            let word = self.text(0).to_owned();
            match word.as_str() {
                "{" => return self.group(&base),
                "crate" => base.clear(),
                "super" => {
                    base.pop();
                }
                "self" => {}
                _ => {
                    if base.is_empty() {
                        self.report(&word);
                    }
                    let is_word = self.tokens.get(self.at).is_some_and(Token::is_word);
                    base.push(word);
                    if !is_word {
                        self.at += 1;
                        return;
                    }
                }
            }
            self.at += 1;
            if self.text(0) == "as" && base.is_empty() {
                self.report("*");
            }
            if self.text(0) != "::" {
                return;
            }
            self.at += 1;
        }
    }

    fn group(&mut self, base: &[String]) {
        self.at += 1;
        loop {
            match self.text(0) {
                "" => return,
                "}" => {
                    self.at += 1;
                    return;
                }
                "," => self.at += 1,
                _ => {
                    self.tree(base.to_vec());
                    while !matches!(self.text(0), "" | "," | "}") {
                        self.at += 1; // `as name`
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::tokens;
    use super::*;

    fn names(text: &str, module: &[&str]) -> String {
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        let found = root_names(&tokens(text), &module);
        found.into_iter().map(|found| found.name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_and_groups_are_resolved() {
        assert_eq!(names("use crate::wal::log;", &["store"]), "wal");
        assert_eq!(names("use crate::{a, b::c as d, e::{f, g}};", &["store"]), "a b e");
        assert_eq!(names("let x = crate::a::f::<crate::b::T>(y);", &["store"]), "a b");
        assert_eq!(names("pub(crate) fn f() {}", &["store"]), "");
        assert_eq!(names("use crate::*; use crate as all;", &["store"]), "* *");
    }

    #[test]
    fn super_counts_from_the_module_it_stands_in() {
        assert_eq!(names("use super::format::X;", &["wal", "log"]), "");
        assert_eq!(names("use super::super::store::X;", &["wal", "log"]), "store");
        assert_eq!(
            names("use super::{super::{store::X, base}, y};", &["wal", "log"]),
            "store base"
        );
        assert_eq!(names("mod tests { use super::*; } use super::x;", &["wal"]), "x");
        assert_eq!(names("mod tests { fn f() { super::super::x::f() } }", &["wal"]), "x");
        assert_eq!(names("mod t { } fn f() { super::x::f(); }", &["wal"]), "x");
        assert_eq!(names("use self::super::x; use super::{self as all};", &["wal"]), "x *");
    }

    #[test]
    fn a_program_names_the_library() {
        let found =
            extern_names(&tokens("use jidoka::{cli, wal::X}; fn f() { jidoka::a() }"), "jidoka");
        let found: Vec<String> = found.into_iter().map(|found| found.name).collect();
        assert_eq!(found, ["cli", "wal", "a"]);
    }
}
