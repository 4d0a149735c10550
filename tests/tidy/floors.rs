//! The floors: a module may name only modules declared above it in `src/lib.rs`.
//!
//! The order is total, so there are no cycles, and everything a module rests on can be read
//! before it. `sim` may name everything and nothing may name it, because what is shipped must not
//! know that it is being tested. Comments may mention what they like.

use super::lexer::{Token, tokens};
use super::paths::{RootName, extern_names, root_names};
use super::source::{Finding, Source};

/// Folders (with a last `/`), files of any folder (with a first `*/`) and files that take bytes or
/// values and return values, and therefore must not name `vfs`.
const PURE: &[&str] = &[
    "src/base/",
    "*/format.rs",
    "*/plan.rs",
    "src/wal/recovery.rs",
    "src/manifest/change.rs",
    "src/manifest/scan.rs",
    "src/manifest/sector.rs",
    "src/manifest/state.rs",
    "src/doc/canonical.rs",
    "src/doc/dump.rs",
    "src/doc/export.rs",
    "src/doc/field.rs",
    "src/doc/filter.rs",
    "src/doc/id.rs",
    "src/doc/import.rs",
    "src/doc/json.rs",
    "src/doc/line.rs",
    "src/doc/order.rs",
    "src/doc/patch.rs",
    "src/doc/query.rs",
    "src/tcps/",
];

/// Every use of a module that is not declared above the user.
pub(crate) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(lib) = sources.iter().find(|source| source.path == "src/lib.rs") else {
        return Vec::new();
    };
    let floors = declared(&tokens(&lib.text));
    sources.iter().flat_map(|source| check_file(source, &floors)).collect()
}

fn check_file(source: &Source, floors: &[String]) -> Vec<Finding> {
    if source.path == "src/main.rs" {
        let names = extern_names(&tokens(&source.text), "jidoka");
        let others = names.iter().filter(|used| used.name != "cli" && used.name != "sim");
        return others
            .map(|used| {
                source.finding(
                    used.line,
                    "the program only calls `cli` and hands it `sim`: move this there",
                )
            })
            .collect();
    }
    let Some(module) = module_of(&source.path) else { return Vec::new() };
    let own = module.first().map_or("", String::as_str);
    let Some(height) = floors.iter().position(|floor| floor == own) else {
        let says = format!("`{own}` is not declared in src/lib.rs: declare it on its floor");
        return vec![source.finding(1, says)];
    };
    root_names(&tokens(&source.text), &module)
        .iter()
        .filter_map(|used| judge(used, own, height, floors).map(|says| (used.line, says)))
        .map(|(line, says)| source.finding(line, says))
        .collect()
}

/// What is wrong with a use of `used` in the module `own`, declared at `height` of `floors`.
fn judge(used: &RootName, own: &str, height: usize, floors: &[String]) -> Option<String> {
    let name = used.name.as_str();
    if name == own || own == "sim" {
        return None;
    }
    if name == "sim" {
        return Some(format!("`{own}` names `sim`: what is shipped must not know its tests"));
    }
    match floors.iter().position(|floor| floor == name) {
        Some(other) if other < height => None,
        Some(_) => Some(format!(
            "`{own}` names `{name}`, which src/lib.rs declares below it: take a value, a trait or \
             a callback from `{name}` instead, or move the shared part to a lower floor"
        )),
        None => Some(format!("name `{name}` through the module that defines it")),
    }
}

/// Every use of `vfs` in a pure file.
pub(crate) fn check_pure(sources: &[Source]) -> Vec<Finding> {
    let pure = sources.iter().filter(|source| is_pure(&source.path));
    pure.flat_map(|source| {
        let module = module_of(&source.path).unwrap_or_default();
        root_names(&tokens(&source.text), &module)
            .into_iter()
            .filter(|used| used.name == "vfs")
            .map(|used| source.finding(used.line, PURE_ADVICE))
            .collect::<Vec<_>>()
    })
    .collect()
}

const PURE_ADVICE: &str = "a pure file names `vfs`: take bytes or values and return values, and \
                           leave the reading and writing to the shell around it";

fn is_pure(path: &str) -> bool {
    path.starts_with("src/")
        && PURE.iter().any(|pattern| match pattern.strip_prefix('*') {
            Some(end) => path.ends_with(end),
            None if pattern.ends_with('/') => path.starts_with(pattern),
            None => path == *pattern,
        })
}

/// The names of `mod x;` items in their order.
fn declared(tokens: &[Token]) -> Vec<String> {
    tokens
        .windows(3)
        .filter_map(|window| match window {
            [keyword, name, end] if keyword.text == "mod" && end.text == ";" => {
                Some(name.text.clone())
            }
            _ => None,
        })
        .collect()
}

/// `src/wal/format.rs` is `["wal", "format"]`; `None` for the root and for other folders.
fn module_of(path: &str) -> Option<Vec<String>> {
    let inside = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    let inside = inside.strip_suffix("/mod").unwrap_or(inside);
    let is_root = matches!(inside, "lib" | "main") || inside.starts_with("bin/");
    (!is_root).then(|| inside.split('/').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str =
        "pub mod base;\n#[cfg(unix)]\nmod vfs;\n// mod no;\npub mod wal;\npub mod sim;";

    fn says(path: &str, text: &str) -> Vec<String> {
        let sources = [Source::planted("src/lib.rs", LIB), Source::planted(path, text)];
        let findings = check(&sources).into_iter().chain(check_pure(&sources));
        findings.map(|finding| finding.to_string()).collect()
    }

    #[track_caller]
    fn refused(path: &str, text: &str, start: &str) {
        let says = says(path, text);
        assert!(says.len() == 1 && says[0].starts_with(start), "{says:?}");
    }

    #[test]
    fn looking_down_is_allowed() {
        assert_eq!(says("src/wal/log.rs", "use crate::{base, vfs::Vfs}; use super::x;"), [""; 0]);
        assert_eq!(says("src/wal/mod.rs", "//! crate::sim\nuse crate::wal::log;"), [""; 0]);
        assert_eq!(says("src/sim/disk.rs", "use crate::{base, wal, vfs};"), [""; 0]);
        assert_eq!(says("tests/it.rs", "use crate::fixture;"), [""; 0]);
    }

    #[test]
    fn looking_up_is_refused() {
        refused("src/vfs/os.rs", "\nuse crate::wal::X;", "src/vfs/os.rs:2: `vfs` names `wal`");
        refused("src/vfs/os.rs", "use super::super::{base, wal};", "src/vfs/os.rs:1: `vfs` names");
        refused("src/wal/log.rs", "use crate::sim::Disk;", "src/wal/log.rs:1: `wal` names `sim`");
        refused("src/wal/log.rs", "use crate::Error;", "src/wal/log.rs:1: name `Error` through");
        refused("src/wal/log.rs", "use crate::*;", "src/wal/log.rs:1: name `*` through");
        refused("src/lost/a.rs", "", "src/lost/a.rs:1: `lost` is not declared");
    }

    #[test]
    fn the_program_only_calls_the_command_line() {
        assert_eq!(says("src/main.rs", "fn main() { jidoka::cli::run() }"), [""; 0]);
        refused("src/main.rs", "use jidoka::{cli, wal};", "src/main.rs:1: the program only");
    }

    #[test]
    fn pure_files_take_values() {
        refused("src/wal/format.rs", "use crate::vfs::File;", "src/wal/format.rs:1: a pure file");
        refused("src/wal/recovery.rs", "use super::super::vfs;", "src/wal/recovery.rs:1: a pure");
        assert_eq!(says("src/wal/log.rs", "use crate::vfs::File;"), [""; 0]);
    }

    #[test]
    fn the_order_is_read_from_the_declarations() {
        assert_eq!(declared(&tokens(LIB)), ["base", "vfs", "wal", "sim"]);
    }
}
