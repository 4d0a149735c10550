//! The files of the repository as text, and what a check has to say about them.
#![expect(clippy::disallowed_methods, reason = "reads the repository, not a store")]

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// One text file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Relative to the repository, with `/` on every system.
    pub(crate) path: String,
    /// The whole content.
    pub(crate) text: String,
}

impl Source {
    /// A file for a test of a check.
    #[cfg(test)]
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    pub(crate) fn is_markdown(&self) -> bool {
        self.path.ends_with(".md")
    }

    /// The lines with their numbers, from 1.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// A finding at `line` of this file.
    pub(crate) fn finding(&self, line: usize, says: impl Into<String>) -> Finding {
        Finding { path: self.path.clone(), line, says: says.into() }
    }
}

/// A broken rule: where, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) says: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.says)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The names at the top of the repository that are not ignored; folders end with `/`.
pub(crate) fn top_level() -> Vec<String> {
    let ignored = ignored();
    let mut names: Vec<String> = entries(root())
        .into_iter()
        .map(|(name, path)| if path.is_dir() { format!("{name}/") } else { name })
        .filter(|name| !ignored.contains(name))
        .collect();
    names.sort();
    names
}

/// Every text file of the repository that is not ignored, in the order of the paths.
pub(crate) fn repository() -> Vec<Source> {
    let mut sources = Vec::new();
    walk(root(), "", &ignored(), &mut sources);
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "src/lib.rs is not found");
    sources
}

/// The lines of `.gitignore`; only the form `name/` is used, and means the name at any depth.
fn ignored() -> Vec<String> {
    let text = fs::read_to_string(root().join(".gitignore")).expect(".gitignore can be read");
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    assert!(names.iter().all(|name| name.ends_with('/')), ".gitignore: write folders, as `name/`");
    names.push(".git/".to_owned());
    names
}

fn entries(dir: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(dir).expect("a folder of the repository can be read");
    entries
        .map(|entry| entry.expect("a folder of the repository can be read"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()))
        .collect()
}

fn walk(dir: &Path, prefix: &str, ignored: &[String], sources: &mut Vec<Source>) {
    for (name, path) in entries(dir) {
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            if !ignored.contains(&format!("{name}/")) {
                walk(&path, &format!("{relative}/"), ignored, sources);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            // Files that are not UTF-8 are stored bytes, not text. A worktree's `.git` is a file.
            if name != ".git" {
                sources.push(Source { path: relative, text });
            }
        }
    }
}
