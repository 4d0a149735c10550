//! The size of files and lines, and what a `mod.rs` and the engine must not hold.

use super::lexer::{Token, tokens};
use super::source::{Finding, Source};

/// Most lines of a file in `src`, its tests not counted.
const FILE_LINES_MAX: usize = 400;
/// Most lines of a `mod.rs`.
const MOD_LINES_MAX: usize = 150;
/// Most characters of a line of Rust.
const COLUMNS_MAX: usize = 100;

/// Every place where a Rust file is too long, too wide or in the wrong role.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source.is_rust() {
        return findings;
    }
    findings.extend(wide_lines(source));
    if source.path.starts_with("src/") {
        let tokens = tokens(&source.text);
        findings.extend(long_file(source));
        findings.extend(logic_in_mod(source, &tokens));
        findings.extend(sleeping(source, &tokens));
    }
    findings
}

fn wide_lines(source: &Source) -> Vec<Finding> {
    let wide = source.lines().filter(|(_, line)| {
        line.chars().count() > COLUMNS_MAX
            && !line.contains("https://")
            && !line.contains("http://")
    });
    wide.map(|(number, _)| {
        source.finding(number, format!("wider than {COLUMNS_MAX} columns: break the line"))
    })
    .collect()
}

fn long_file(source: &Source) -> Option<Finding> {
    let (max, advice) = if is_mod(source) {
        (MOD_LINES_MAX, "move what is not the essay of the module to a file of its own")
    } else {
        (FILE_LINES_MAX, "find the second idea in it and give it a file")
    };
    let lines = lines_before_tests(&source.text);
    let says = format!("{lines} lines without tests, and {max} are the limit: {advice}");
    (lines > max).then(|| source.finding(max + 1, says))
}

fn is_mod(source: &Source) -> bool {
    source.path.ends_with("/mod.rs")
}

/// The number of lines before the inline module of tests.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |from: &[&str]| {
        let mut items = from.iter().skip_while(|line| line.starts_with("#["));
        from.first().is_some_and(|line| line.starts_with("#[cfg(") && line.contains("test"))
            && items.next().is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
    };
    (0..lines.len()).find(|at| lines.get(*at..).is_some_and(begins)).unwrap_or(lines.len())
}

fn logic_in_mod(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    if !is_mod(source) {
        return Vec::new();
    }
    let functions = tokens
        .windows(2)
        .filter(|pair| matches!(pair, [first, name] if first.text == "fn" && name.is_word()));
    functions
        .filter_map(|pair| pair.first())
        .map(|token| {
            let says = "a mod.rs holds its essay, modules and re-exports: move the function out";
            source.finding(token.line, says)
        })
        .collect()
}

fn sleeping(source: &Source, tokens: &[Token]) -> Vec<Finding> {
    if source.path.starts_with("src/vfs/") || source.path.starts_with("src/cli/") {
        return Vec::new();
    }
    let sleeps = tokens.iter().filter(|token| token.text == "sleep");
    sleeps
        .map(|token| {
            source.finding(token.line, "the engine never sleeps: wait on a condition variable")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(path: &str, text: &str, expected: &str) {
        let findings = check(&Source::planted(path, text));
        assert!(findings.len() == 1, "{findings:?}");
        let says = findings[0].to_string();
        assert!(says.starts_with(expected), "{says}");
    }

    #[track_caller]
    fn allowed(path: &str, text: &str) {
        assert_eq!(check(&Source::planted(path, text)), []);
    }

    #[test]
    fn long_files_are_refused_and_their_tests_not_counted() {
        let full = "//\n".repeat(FILE_LINES_MAX);
        allowed("src/a.rs", &full);
        allowed("src/a.rs", &format!("{full}#[cfg(test)]\nmod tests {{\n\n}}\n"));
        let expected = "#[cfg(test)]\n#[expect(lint)]\nmod tests {\n}\n";
        allowed("src/a.rs", &format!("{full}{expected}"));
        refused("src/a.rs", &format!("#[cfg(test)]\nmod a;\n{full}"), "src/a.rs:401: 402");
        refused("src/a.rs", &format!("{full}//\n"), "src/a.rs:401: 401 lines without tests");
        refused("src/a/mod.rs", &full, "src/a/mod.rs:151: 400 lines");
        allowed("tests/a.rs", &format!("{full}//\n"));
    }

    #[test]
    fn wide_lines_are_refused_except_for_addresses() {
        let wide = "// ".to_owned() + &"ä".repeat(98);
        refused("benches/a.rs", &format!("\n{wide}"), "benches/a.rs:2: wider than 100 columns");
        allowed("benches/a.rs", &wide.replacen("ä", "", 1));
        allowed("src/a.rs", &format!("{wide} https://example.com"));
        allowed("docs/a.md", &wide);
    }

    #[test]
    fn a_mod_file_holds_no_logic() {
        refused("src/a/mod.rs", "/// fn x\n\npub fn f() {}", "src/a/mod.rs:3: a mod.rs holds");
        allowed("src/a/mod.rs", "mod x;\npub use x::f;\nconst C: fn() = f;");
        allowed("src/a/b.rs", "fn f() {}");
    }

    #[test]
    fn the_engine_does_not_sleep() {
        refused("src/a.rs", "\nvfs::thread::sleep(time);", "src/a.rs:2: the engine never sleeps");
        refused("src/a.rs", "use std::thread::sleep;", "src/a.rs:1: the engine never");
        allowed("src/vfs/thread.rs", "std::thread::sleep(time);");
        allowed("src/a.rs", "// sleep");
    }
}
