//! What lies where: the top level stays as it is, and no file knows the machine it was written on.

use super::source::{Finding, Source};

/// What the top level may hold besides dotfiles.
const TOP_LEVEL: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches/",
    "docs/",
    "fuzz/",
    "power/",
    "src/",
    "target/",
    "tests/",
];

/// Folders at the root of a file system where people and machines keep their checkouts.
const MACHINE_FOLDERS: &[&str] = &["home", "root", "Users", "work", "workspace", "builds"];

/// Hosts of package registries. In two parts, so that this file does not name them itself.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("pypi", ".org"),
    concat!("golang", ".org"),
];

/// Every name that does not belong at the top of the repository; folders end with `/`.
pub(crate) fn check_top_level(names: &[String]) -> Vec<Finding> {
    let says = "not one of the things at the top level: it belongs in src, tests, benches, fuzz, \
                power or docs, or is a dotfile";
    let strangers =
        names.iter().filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()));
    strangers.map(|name| Finding { path: name.clone(), line: 1, says: says.to_owned() }).collect()
}

/// Every absolute path of a machine and every registry in a text file other than a lock file.
pub(crate) fn check_places(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.ends_with("Cargo.lock") {
        return findings;
    }
    for (number, line) in source.lines() {
        if MACHINE_FOLDERS.iter().any(|folder| names_folder(line, folder)) {
            findings.push(source.finding(number, "a path of one machine: write a relative one"));
        }
        if REGISTRIES.iter().any(|host| line.contains(host)) {
            findings.push(source.finding(number, "a registry's host: name the package instead"));
        }
    }
    findings
}

/// Whether `line` holds `/folder/` as the beginning of a path.
fn names_folder(line: &str, folder: &str) -> bool {
    let needle = format!("/{folder}/");
    line.match_indices(&needle).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '*' | '}'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_at_the_top_level_are_refused() {
        let names = ["src/", ".ci/", "Cargo.toml", "notes.txt", "examples/"].map(str::to_owned);
        let found: Vec<String> = check_top_level(&names).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["notes.txt", "examples/"]);
    }

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check_places(&Source::planted(path, text)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn paths_of_a_machine_are_refused() {
        let [home, work] = ["home", "work"].map(|folder| format!("/{folder}/x"));
        assert_eq!(lines("docs/a.md", &format!("\nsee {home}")), [2]);
        assert_eq!(lines("src/a.rs", &format!("\"{work}\"")), [1]);
        assert_eq!(lines("docs/a.md", &format!("https://host{home} and ..{work}")), [0; 0]);
    }

    #[test]
    fn registries_are_refused_outside_lock_files() {
        let text = format!("index = \"https://index.{}/\"", REGISTRIES[0]);
        assert_eq!(lines(".cargo/config.toml", &text), [1]);
        assert_eq!(lines("fuzz/Cargo.lock", &text), [0; 0]);
    }
}
