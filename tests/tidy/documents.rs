//! Documents: one title each; decisions numbered without gaps, and with their reasons.

use super::source::{Finding, Source};

/// Every document whose number of titles is not one.
pub(crate) fn check_titles(source: &Source) -> Vec<Finding> {
    if !source.is_markdown() || !source.path.starts_with("docs/") {
        return Vec::new();
    }
    let titles: Vec<usize> = headings(source, "# ").map(|(number, _)| number).collect();
    match titles.as_slice() {
        [_] => Vec::new(),
        [] => vec![source.finding(1, "no title: begin with one `# ` line")],
        [_, more @ ..] => more
            .iter()
            .map(|number| source.finding(*number, "a second title: use `## ` for sections"))
            .collect(),
    }
}

/// Lines that begin with `mark`, outside of fenced blocks, without it.
fn headings<'a>(source: &'a Source, mark: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    let mut fenced = false;
    source.lines().filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        line.strip_prefix(mark).filter(|_| !fenced).map(|rest| (number, rest.trim()))
    })
}

/// Every decision that is misnamed, out of sequence or without its reasons.
pub(crate) fn check_decisions(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut expected = 1;
    for source in sources {
        let Some(name) = source.path.strip_prefix("docs/decisions/") else { continue };
        match number_of(name) {
            None => findings.push(source.finding(1, "name it NNNN-title-in-lower-case.md")),
            Some(number) => {
                if number != expected {
                    let says = format!("the next number is {expected:04}: no gaps, no repeats");
                    findings.push(source.finding(1, says));
                }
                expected = number + 1;
            }
        }
        findings.extend(missing_sections(source));
    }
    findings
}

fn missing_sections(source: &Source) -> Option<Finding> {
    let has = |name: &str| headings(source, "## ").any(|(_, heading)| heading == name);
    let reasons = has("Rejected") || has("Consequences");
    let says = "give it `## Context`, `## Decision`, and `## Rejected` or `## Consequences`";
    (!(has("Context") && has("Decision") && reasons)).then(|| source.finding(1, says))
}

fn number_of(name: &str) -> Option<u32> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let well_named = number.len() == 4 && !title.is_empty() && title.chars().all(is_plain);
    number.parse().ok().filter(|_| well_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "# T\n## Context\n## Decision\n## Rejected\n";

    #[test]
    fn a_document_has_one_title() {
        let lines = |text: &str| -> Vec<usize> {
            let findings = check_titles(&Source::planted("docs/a/b.md", text));
            findings.iter().map(|finding| finding.line).collect()
        };
        assert_eq!(lines("# One\n```sh\n# not one\n```\n## Section\n"), [0; 0]);
        assert_eq!(lines("## Section\n"), [1]);
        assert_eq!(lines("# One\n\n# Two\n"), [3]);
        assert_eq!(check_titles(&Source::planted("src/a.md", "")), []);
    }

    fn decisions(names: &[&str], text: &str) -> Vec<String> {
        let planted = |name: &&str| Source::planted(&format!("docs/decisions/{name}"), text);
        let sources: Vec<Source> = names.iter().map(planted).collect();
        check_decisions(&sources).into_iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn decisions_are_contiguous() {
        assert_eq!(decisions(&["0001-a.md", "0002-b-2.md"], WHOLE), [""; 0]);
        assert_eq!(decisions(&["0001-a.md", "0003-c.md"], WHOLE).len(), 1);
        assert_eq!(decisions(&["0001-a.md", "0001-b.md"], WHOLE).len(), 1);
        assert_eq!(decisions(&["first.md"], WHOLE).len(), 1);
        assert_eq!(decisions(&["0001-Big.md"], WHOLE).len(), 1);
    }

    #[test]
    fn decisions_give_reasons() {
        assert_eq!(decisions(&["0001-a.md"], &WHOLE.replace("Rejected", "Consequences")), [""; 0]);
        for section in ["Context", "Decision", "Rejected"] {
            assert_eq!(decisions(&["0001-a.md"], &WHOLE.replace(section, "Other")).len(), 1);
        }
    }
}
