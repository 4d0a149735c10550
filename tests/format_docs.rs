//! The pages in `docs/format` say the same as the code: a specification that can drift will.
//!
//! A page describes each structure under a heading of its own by a table whose first columns are
//! `offset`, `size` and `field`. Rows follow each other without gaps. A last row may have a size
//! that is not a number: a part whose length another field gives.
#![expect(clippy::disallowed_methods, reason = "reads the repository, not a store")]

use std::fs;
use std::path::Path;

/// A field as a page tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    offset: usize,
    /// `None`: given by another field.
    size: Option<usize>,
    field: String,
}

/// A table and the heading it stands under.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Layout {
    heading: String,
    rows: Vec<Row>,
}

/// The layouts as code exports them: heading, then (field, offset, size).
type CodeLayouts<'a> = &'a [(&'a str, &'a [(&'a str, usize, usize)])];

/// The layout tables of a page in their order; other tables are passed over.
fn parse(page: &str) -> Result<Vec<Layout>, String> {
    let mut layouts: Vec<Layout> = Vec::new();
    let mut heading = String::new();
    let (mut fenced, mut inside) = (false, false);
    for (index, line) in page.lines().enumerate() {
        let number = index + 1;
        fenced ^= line.trim_start().starts_with("```");
        if fenced {
            continue;
        }
        if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        let Some(cells) = cells(line) else {
            inside = false;
            continue;
        };
        if is_header(&cells) {
            if layouts.iter().any(|layout| layout.heading == heading) {
                return Err(format!("line {number}: a second layout under `{heading}`"));
            }
            layouts.push(Layout { heading: heading.clone(), rows: Vec::new() });
            inside = true;
        } else if inside && !is_rule(&cells) {
            let row = row(number, &cells)?;
            if let Some(layout) = layouts.last_mut() {
                layout.rows.push(row);
            }
        }
    }
    Ok(layouts)
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inside = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inside.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
}

fn is_header(cells: &[&str]) -> bool {
    matches!(cells, ["offset", "size", "field", ..])
}

fn is_rule(cells: &[&str]) -> bool {
    cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| matches!(c, '-' | ':')))
}

fn row(line: usize, cells: &[&str]) -> Result<Row, String> {
    let [offset, size, field, ..] = cells else {
        return Err(format!("line {line}: a row needs offset, size and field"));
    };
    let offset = offset.parse().map_err(|_| format!("line {line}: `{offset}` is no offset"))?;
    Ok(Row { line, offset, size: size.parse().ok(), field: (*field).to_owned() })
}

/// Every place where a row does not begin where the one before it ends.
fn gaps(layouts: &[Layout]) -> Vec<String> {
    let pairs = layouts.iter().flat_map(|layout| layout.rows.windows(2));
    pairs
        .filter_map(|pair| match pair {
            [before, after] => match before.size {
                None => Some(format!(
                    "line {}: only the last field may have no number as its size",
                    before.line
                )),
                Some(size) if before.offset + size != after.offset => Some(format!(
                    "line {}: `{}` is at {}, but `{}` ends at {}",
                    after.line,
                    after.field,
                    after.offset,
                    before.field,
                    before.offset + size
                )),
                Some(_) => None,
            },
            _ => None,
        })
        .collect()
}

/// Every difference between the tables of a page and the layouts of the code, both ways.
fn differences(page: &[Layout], code: CodeLayouts<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (heading, fields) in code {
        let Some(layout) = page.iter().find(|layout| layout.heading == *heading) else {
            found.push(format!("no layout under the heading `{heading}`"));
            continue;
        };
        let told: Vec<(&str, usize, usize)> = layout
            .rows
            .iter()
            .filter_map(|row| row.size.map(|size| (row.field.as_str(), row.offset, size)))
            .collect();
        let missing = fields.iter().filter(|field| !told.contains(field));
        let invented = told.iter().filter(|field| !fields.contains(field));
        found.extend(missing.map(|field| format!("`{heading}`: the page lacks {field:?}")));
        found.extend(invented.map(|field| format!("`{heading}`: the code lacks {field:?}")));
    }
    for layout in page {
        if !code.iter().any(|(heading, _)| *heading == layout.heading) {
            found.push(format!("`{}`: a layout the code does not have", layout.heading));
        }
    }
    found
}

/// What a page says of versions: its title, the last row of its table of versions, and the meaning
/// of each field `version`, each with the heading it stands under.
fn versions(page: &str) -> Vec<(String, Option<u32>)> {
    let (mut heading, mut newest, mut found) = (String::new(), None, Vec::new());
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            let version = title.rsplit_once(", version ").and_then(|(_, told)| told.parse().ok());
            found.push(("title".to_owned(), version));
        } else if line.starts_with('#') {
            line.trim_start_matches('#').trim().clone_into(&mut heading);
        }
        match cells(line).as_deref() {
            Some([_, _, "version", _, meaning, ..]) => {
                found.push((heading.clone(), meaning.parse().ok()));
            }
            Some([version, _]) if heading == "Versions" => {
                newest = version.parse().ok().or(newest);
            }
            _ => {}
        }
    }
    found.push(("Versions".to_owned(), newest));
    found
}

/// The text of `docs/format/<name>`, for every page there is.
fn pages() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/format");
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name, fs::read_to_string(entry.path()).ok()?))
        })
        .filter(|(name, _)| name.ends_with(".md"))
        .collect()
}

#[test]
fn every_page_says_what_its_code_says() {
    let page = |name: &str| {
        let (_, text) = pages().into_iter().find(|(path, _)| path.ends_with(name)).unwrap();
        parse(&text).unwrap()
    };
    let identity = jidoka::wal::identity::LAYOUTS;
    assert_eq!(differences(&page("identity.md"), identity), [""; 0]);
    let log = [
        jidoka::wal::header::LAYOUTS,
        jidoka::wal::format::LAYOUTS,
        jidoka::wal::saved::LAYOUTS,
        jidoka::wal::salvage::plan::LAYOUTS,
        jidoka::wal::first::LAYOUTS,
    ]
    .concat();
    assert_eq!(differences(&page("wal.md"), &log), [""; 0]);
    assert_eq!(differences(&page("manifest.md"), jidoka::manifest::LAYOUTS), [""; 0]);
    let commit = [jidoka::store::format::LAYOUTS, &[jidoka::doc::stored::LAYOUT]].concat();
    assert_eq!(differences(&page("commit.md"), &commit), [""; 0]);
    assert_eq!(differences(&page("table.md"), jidoka::table::format::LAYOUTS), [""; 0]);
    assert_eq!(differences(&page("copy.md"), jidoka::archive::format::LAYOUTS), [""; 0]);
}

#[test]
fn every_page_says_the_versions_that_its_code_writes() {
    use jidoka::wal::{first, format, identity, salvage::plan, saved};
    let told = |name: &str| {
        let (_, text) = pages().into_iter().find(|(path, _)| path == name).unwrap();
        versions(&text)
    };
    let expected = |fields: &[(&str, u32)]| -> Vec<(String, Option<u32>)> {
        let page = fields[0].1;
        let all = [&[("title", page)], fields, &[("Versions", page)]].concat();
        all.into_iter().map(|(heading, version)| (heading.to_owned(), Some(version))).collect()
    };
    let log = [
        ("Segment header", format::VERSION),
        ("Saved tail", saved::VERSION),
        ("Salvage plan", plan::VERSION),
        ("Beginning of the log", first::VERSION),
    ];
    assert_eq!(told("wal.md"), expected(&log));
    assert_eq!(told("identity.md"), expected(&[("Identity", identity::VERSION)]));
    let copy = jidoka::archive::format::VERSION;
    assert_eq!(told("copy.md"), expected(&[("Range header", copy), ("End", copy)]));
    let document = u32::from(jidoka::doc::stored::VERSION);
    assert_eq!(told("commit.md"), expected(&[("Document", document)]));
}

#[test]
fn every_layout_of_every_page_is_contiguous() {
    for (name, page) in pages() {
        let layouts = parse(&page).unwrap_or_else(|error| panic!("docs/format/{name}: {error}"));
        assert_eq!(gaps(&layouts), [""; 0], "docs/format/{name}");
    }
}

const TOY: &str = "\
# Toy
| case | meaning |
|---|---|
| a | not a layout |

## Header
| offset | size | field | type |
|---|---:|---|---|
| 0 | 4 | `magic` | bytes |
| 4 | 8 | `seq` | u64 |

```text
| offset | size | field |
```
### Body
| offset | size | field |
|:---|---|---|
| 12 | 2 | length |
| 14 | length | payload |
";

const TOY_VERSIONS: &str = "\
# Toy, version 2
## Header
| offset | size | field | type | meaning |
|---|---|---|---|---|
| 8 | 4 | version | u32 | two |
## Versions
| version | change |
|---|---|
| 1 | the first |
| 2 | another |
";

#[test]
fn versions_are_found_where_a_page_tells_them() {
    let told = versions(TOY_VERSIONS);
    let told: Vec<_> = told.iter().map(|(heading, version)| (&**heading, *version)).collect();
    assert_eq!(told, [("title", Some(2)), ("Header", None), ("Versions", Some(2))]);
}

const TOY_CODE: CodeLayouts<'_> =
    &[("Header", &[("magic", 0, 4), ("seq", 4, 8)]), ("Body", &[("length", 12, 2)])];

#[test]
fn tables_are_found_under_their_headings() {
    let layouts = parse(TOY).unwrap();
    let told: Vec<_> = layouts
        .iter()
        .flat_map(|layout| {
            layout.rows.iter().map(|row| (&*layout.heading, &*row.field, row.offset))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Header", "magic", 0),
            ("Header", "seq", 4),
            ("Body", "length", 12),
            ("Body", "payload", 14)
        ]
    );
    assert_eq!(layouts[1].rows[1].size, None);
    assert_eq!(gaps(&layouts), [""; 0]);
}

#[test]
fn bad_rows_are_named_by_their_line() {
    let error = parse(&TOY.replace("| 4 | 8", "| four | 8")).unwrap_err();
    assert_eq!(error, "line 10: `four` is no offset");
    let error = parse(&TOY.replace("### Body", "## Header")).unwrap_err();
    assert_eq!(error, "line 16: a second layout under `Header`");
}

#[test]
fn gaps_and_overlaps_are_found() {
    let found = |from: &str, to: &str| gaps(&parse(&TOY.replace(from, to)).unwrap());
    assert_eq!(found("| 4 | 8", "| 5 | 8"), ["line 10: `seq` is at 5, but `magic` ends at 4"]);
    assert_eq!(found("| 0 | 4", "| 0 | 6"), ["line 10: `seq` is at 4, but `magic` ends at 6"]);
    let found = found("| 0 | 4", "| 0 | some");
    assert_eq!(found, ["line 9: only the last field may have no number as its size"]);
}

#[test]
fn a_page_and_its_code_are_compared_both_ways() {
    let layouts = parse(TOY).unwrap();
    assert_eq!(differences(&layouts, TOY_CODE), [""; 0]);
    let moved = parse(&TOY.replace("`seq`", "`lsn`")).unwrap();
    assert_eq!(
        differences(&moved, TOY_CODE),
        ["`Header`: the page lacks (\"seq\", 4, 8)", "`Header`: the code lacks (\"lsn\", 4, 8)"]
    );
    let renamed = parse(&TOY.replace("### Body", "### Tail")).unwrap();
    assert_eq!(
        differences(&renamed, TOY_CODE),
        ["no layout under the heading `Body`", "`Tail`: a layout the code does not have"]
    );
}
