//! One word for each concept (`docs/glossary.md`), names that say something, no silent debt.

use super::lexer::tokens;
use super::source::{Finding, Source};

/// Words we do not use, and the word we have for what they mean.
const SYNONYMS: &[(&str, &str)] = &[
    ("journal", "segment for one file, log for all of them"),
    ("logfile", "segment"),
    ("sstable", "table"),
    ("txid", "LSN"),
    ("txnid", "LSN"),
    ("master", "leader, or writer"),
    ("slave", "replica"),
    ("standby", "replica"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "helper", "misc", "manager"];

/// Marks of work left undone. In two parts, so that this file does not carry them itself.
const DEBTS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Every synonym of a glossary word in `src` and in the documents.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let in_source = source.is_rust() && source.path.starts_with("src/");
    let is_document = source.is_markdown() && source.path != "docs/glossary.md";
    if !in_source && !is_document {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        for (word, right) in SYNONYMS {
            if identifiers(line).any(|identifier| contains(identifier, word)) {
                findings.push(source.finding(number, format!("`{word}`: the word is {right}")));
            }
        }
    }
    findings
}

/// Every file or module whose name says nothing.
pub(crate) fn check_names(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let advice = |name: &str| format!("`{name}` says nothing: name the file after its one idea");
    let is_empty = |name: &str| EMPTY_NAMES.iter().any(|empty| contains(name, empty));
    let path = source.path.trim_end_matches(".rs");
    let mut findings: Vec<Finding> = path
        .split('/')
        .filter(|part| is_empty(part))
        .map(|part| source.finding(1, advice(part)))
        .collect();
    let tokens = tokens(&source.text);
    for pair in tokens.windows(2) {
        if let [keyword, name] = pair
            && keyword.text == "mod"
            && is_empty(&name.text)
        {
            findings.push(source.finding(name.line, advice(&name.text)));
        }
    }
    findings
}

/// Every mark of undone work on a line that names no issue as `#12`.
pub(crate) fn check_debts(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in source.lines() {
        let debt = identifiers(line).find(|word| DEBTS.contains(word));
        if let Some(debt) = debt.filter(|_| !names_an_issue(line)) {
            let says = format!("`{debt}` without an issue: do it, or write `{debt}(#12)`");
            findings.push(source.finding(number, says));
        }
    }
    findings
}

fn names_an_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn identifiers(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Whether `identifier` is `word`, or one of its parts is, in any case and number.
fn contains(identifier: &str, word: &str) -> bool {
    let is_word = |part: &str| part.strip_suffix('s').unwrap_or(part) == word || part == word;
    let joined: String = identifier.chars().filter(|c| *c != '_').collect();
    is_word(&joined.to_lowercase()) || parts(identifier).iter().any(|part| is_word(part))
}

/// `LockTable` and `lock_table` are `["lock", "table"]`.
fn parts(identifier: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for c in identifier.chars() {
        if c == '_' || (c.is_uppercase() && after_lower) {
            parts.push(String::new());
        }
        after_lower = c.is_lowercase();
        if let Some(part) = parts.last_mut().filter(|_| c != '_') {
            part.extend(c.to_lowercase());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(check: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<String> {
        let findings = check(&Source::planted(path, text));
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn synonyms_are_refused_with_the_right_word() {
        assert_eq!(
            says(check, "src/a.rs", "\nstruct TxId;"),
            ["src/a.rs:2: `txid`: the word is LSN"]
        );
        assert_eq!(says(check, "src/a.rs", "// Two Journals.").len(), 1);
        assert_eq!(says(check, "src/a.rs", "let journal_size = JournalSize;").len(), 1);
        assert_eq!(says(check, "docs/a.md", "an SSTable").len(), 1);
        assert_eq!(says(check, "docs/a.md", "masterly journaling"), [""; 0]);
        assert_eq!(says(check, "docs/glossary.md", "| log | … | journal |"), [""; 0]);
        assert_eq!(says(check, "tests/a.rs", "// journal"), [""; 0]);
    }

    #[test]
    fn empty_names_are_refused() {
        assert_eq!(says(check_names, "src/wal/utils.rs", "").len(), 1);
        assert_eq!(says(check_names, "tests/helpers/mod.rs", "").len(), 1);
        assert_eq!(says(check_names, "src/a.rs", "\nmod lock_manager;").len(), 1);
        assert_eq!(says(check_names, "src/a.rs", "// mod util;\nfn helper() {}"), [""; 0]);
    }

    #[test]
    fn debts_need_an_issue() {
        for debt in DEBTS {
            assert_eq!(says(check_debts, "a.toml", &format!("# {debt}: later")).len(), 1);
            assert_eq!(says(check_debts, "a.rs", &format!("// {debt}(#12): later")), [""; 0]);
        }
        assert_eq!(says(check_debts, "a.rs", "// mktemp XXXXXX; todo list"), [""; 0]);
    }
}
