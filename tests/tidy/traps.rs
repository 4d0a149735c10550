//! The page of traps: every test, plant, kind of schedules and module that it names is there.

use super::lexer::{Token, tokens};
use super::source::{Finding, Source};

/// The page.
const PAGE: &str = "docs/traps.md";

/// How many traps there are.
const TRAPS: usize = 40;

/// What a row without a test must say instead.
const COMES_LATER: &[&str] = &["with checkpoints", "with recycling"];

/// Everything on the page that is not there.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else {
        return vec![Finding { path: PAGE.to_owned(), line: 1, says: "is not there".to_owned() }];
    };
    let mut findings = Vec::new();
    let mut numbers = 0;
    for (line, row) in page.lines() {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let &["", number, _, _, how, held, ""] = cells.as_slice() else {
            if row.starts_with('|') {
                findings.push(page.finding(line, "a row has five cells"));
            }
            continue;
        };
        if number == "no." || number.starts_with('-') {
            continue;
        }
        numbers += 1;
        if number.parse() != Ok(numbers) {
            findings.push(page.finding(line, format!("the next trap is number {numbers}")));
        }
        let modules = spans(how).into_iter().filter(|(_, name)| name.contains("::"));
        for (_, module) in modules.filter(|(_, module)| !is_module(sources, module)) {
            findings.push(page.finding(line, format!("there is no module `{module}`")));
        }
        let named = spans(held);
        if named.is_empty() && !COMES_LATER.iter().any(|later| held.contains(later)) {
            findings.push(page.finding(line, "name a test, or say with which feature it comes"));
        }
        let missing = named.into_iter().filter(|(kind, name)| !exists(sources, kind, name));
        findings.extend(missing.map(|(kind, name)| {
            page.finding(line, format!("there is no {kind} `{name}`: name what holds it now"))
        }));
    }
    if numbers != TRAPS {
        findings.push(page.finding(1, format!("{numbers} traps, not {TRAPS}")));
    }
    findings
}

/// What stands between backticks, each with the word that says what it is: a test, unless a plant,
/// a kind or a fuzz target is announced, which holds for a list of them.
fn spans(cell: &str) -> Vec<(&'static str, &str)> {
    let mut spans = Vec::new();
    let mut kind = "test";
    let parts: Vec<&str> = cell.split('`').collect();
    for pair in parts.chunks_exact(2) {
        let &[before, name] = pair else { continue };
        let before = before.trim();
        kind = match before.rsplit([' ', ';']).next() {
            Some("plant" | "plants") => "plant",
            Some("kind" | "kinds") => "kind",
            Some("fuzz") => "fuzz target",
            _ if before == "," => kind,
            _ => "test",
        };
        spans.push((kind, name));
    }
    spans
}

fn is_module(sources: &[Source], module: &str) -> bool {
    let path = format!("src/{}", module.replace("::", "/"));
    let files = [format!("{path}.rs"), format!("{path}/mod.rs")];
    sources.iter().any(|source| files.contains(&source.path))
}

fn exists(sources: &[Source], kind: &str, name: &str) -> bool {
    let text = |path: &str| sources.iter().find(|source| source.path == path).map(|s| &*s.text);
    let holds = |path: &str, what: &str| text(path).is_some_and(|text| text.contains(what));
    match kind {
        "plant" => holds("src/base/plant.rs", &format!(" = \"{name}\",")),
        "kind" => holds("tests/schedules/kinds.rs", &format!("    (\"{name}\", ")),
        "fuzz target" => text(&format!("fuzz/fuzz_targets/{name}.rs")).is_some(),
        _ => name.split_once("::").is_some_and(|(path, test)| {
            text(path).is_some_and(|text| has_test(&tokens(text), test))
        }),
    }
}

fn has_test(tokens: &[Token], name: &str) -> bool {
    let wanted = ["#", "[", "test", "]", "fn", name];
    tokens.windows(wanted.len()).any(|found| found.iter().map(|token| &token.text).eq(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a page of forty rows that all hold, but the third.
    fn says(how: &str, held: &str) -> Vec<String> {
        let row = |number, how, held| format!("| {number} | trap | what | {how} | {held} |\n");
        let good = |number| row(number, "`wal::log`", "plant `bug`");
        let rows: String = (1..=TRAPS)
            .map(|number| if number == 3 { row(number, how, held) } else { good(number) })
            .collect();
        let page = format!("| no. | trap | what | how | held by |\n|---|---|---|---|---|\n{rows}");
        let sources = [
            Source::planted(PAGE, &page),
            Source::planted("src/base/plant.rs", "    Bug = \"bug\",\n    Pest = \"pest\",\n"),
            Source::planted("src/wal/log.rs", "#[test]\nfn it_holds() {}\nfn is_no_test() {}"),
            Source::planted("tests/schedules/kinds.rs", "    (\"two words\", a::b),\n"),
            Source::planted("fuzz/fuzz_targets/target.rs", ""),
        ];
        check(&sources).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn what_is_there_may_be_named() {
        for held in [
            "`src/wal/log.rs::it_holds`",
            "plants `bug`, `pest`; `src/wal/log.rs::it_holds`; kind `two words`; fuzz `target`",
            "with checkpoints",
            "plant `bug`; the rest comes with recycling",
        ] {
            assert_eq!(says("nothing: `wal::log`, by `fdatasync`", held), [""; 0], "{held}");
        }
    }

    #[test]
    fn what_is_not_there_is_found() {
        for held in [
            "`src/wal/log.rs::is_no_test`",
            "`src/wal/log.rs::it_hold`",
            "`src/wal/gone.rs::it_holds`",
            "`it_holds`",
            "plants `bug`, `gone`",
            "kind `two`",
            "fuzz `gone`",
            "nobody has looked",
        ] {
            let found = says("`wal::log`", held);
            assert!(found.len() == 1 && found[0].starts_with("docs/traps.md:5: "), "{found:?}");
        }
        assert_eq!(says("`wal::gone`", "plant `bug`").len(), 1);
        assert_eq!(check(&[]).len(), 1);
        assert_eq!(check(&[Source::planted(PAGE, "| 2 | a | b | c | plant |\n")]).len(), 3);
    }
}
