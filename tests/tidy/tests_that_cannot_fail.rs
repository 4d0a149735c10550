//! Code that pretends: tests that never run or never fail, functions that are not there.

use super::lexer::{Token, tokens};
use super::source::{Finding, Source};

/// Every pretence in a Rust file.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    if !source.is_rust() {
        return Vec::new();
    }
    let tokens = tokens(&source.text);
    let mut findings = ignored_examples(source);
    for at in 0..tokens.len() {
        let says = unfinished(&tokens, at)
            .or_else(|| attribute(&tokens, at))
            .or_else(|| idle_match(&tokens, at));
        if let (Some(says), Some(token)) = (says, tokens.get(at)) {
            findings.push(source.finding(token.line, says));
        }
    }
    findings
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| &token.text)
}

fn unfinished(tokens: &[Token], at: usize) -> Option<&'static str> {
    let is_call = text(tokens, at + 1) == "!";
    (is_call && matches!(text(tokens, at), "todo" | "unimplemented"))
        .then_some("finish it, or leave it out until it is needed")
}

fn attribute(tokens: &[Token], at: usize) -> Option<&'static str> {
    if text(tokens, at) != "#" || text(tokens, at + 1) != "[" {
        return None;
    }
    let inside = tokens.iter().skip(at).take_while(|token| token.text != "]");
    inside.into_iter().find_map(|token| match token.text.as_str() {
        "ignore" => Some("a test that does not run proves nothing: make it fast, or remove it"),
        "should_panic" => Some("any panic would do: catch the one you mean and check its message"),
        _ => None,
    })
}

/// `matches!(…);` as a statement drops its answer.
fn idle_match(tokens: &[Token], at: usize) -> Option<&'static str> {
    let begins = at == 0 || matches!(text(tokens, at - 1), "{" | "}" | ";");
    if !begins || text(tokens, at) != "matches" || text(tokens, at + 1) != "!" {
        return None;
    }
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate().skip(at + 2) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return (text(tokens, index + 1) == ";")
                .then_some("the answer is dropped: write `assert!(matches!(…))`");
        }
    }
    None
}

fn ignored_examples(source: &Source) -> Vec<Finding> {
    let fences = source.lines().filter(|(_, line)| {
        let line = line.trim_start().trim_start_matches(['/', '!']).trim_start();
        line.strip_prefix("```").is_some_and(|tags| tags.split(',').any(|tag| tag == "ignore"))
    });
    fences
        .map(|(number, _)| {
            source.finding(number, "an example that does not compile lies: let it, or use ```text")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) {
        let findings = check(&Source::planted("src/a.rs", &format!("\n{text}")));
        assert!(findings.len() == 1 && findings[0].line == 2, "{findings:?}");
    }

    #[track_caller]
    fn allowed(text: &str) {
        assert_eq!(check(&Source::planted("src/a.rs", text)), []);
    }

    #[test]
    fn stubs_are_refused() {
        refused("fn f() { todo!() }");
        refused("fn f() { unimplemented!(\"later\") }");
        allowed("// todo!()\nlet todo = \"unimplemented!()\";");
    }

    #[test]
    fn tests_that_do_not_run_are_refused() {
        refused("#[ignore] fn f() {}");
        refused("#[ignore = \"slow\"] fn f() {}");
        refused("#[cfg_attr(miri, ignore)] fn f() {}");
        refused("#[should_panic(expected = \"x\")] fn f() {}");
        refused("/// ```no_run,ignore");
        allowed("fn ignore() {} // #[ignore]");
        allowed("/// ```text");
    }

    #[test]
    fn a_dropped_answer_is_refused() {
        refused("fn f() { matches!(x, Some(_)); }");
        refused("fn f() { g(); matches!(x, Y { .. } if z(1)); }");
        allowed("fn f() -> bool { matches!(x, Some(_)) }");
        allowed("fn f() { assert!(matches!(x, Some(_))); let y = matches!(x, 1); }");
    }
}
