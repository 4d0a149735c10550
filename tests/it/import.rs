//! Import: everything comes in, comes out as it was, and comes in only once.
#![expect(clippy::disallowed_methods, reason = "outside the engine, files are made as anyone does")]

use std::fs;
use std::path::{Path, PathBuf};

use jidoka::doc::Canonical;
use serde_json::{Value, json};

use super::program::{place, run};

/// The shared sample documents, if this checkout stands beside them.
fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let shared = std::env::var_os("JIDOKA_SHARED").map_or_else(beside, PathBuf::from);
    let folder = shared.join("data/tcps");
    folder.is_dir().then_some(folder)
}

fn json_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            json_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// The same value with every number in its one spelling: 100.0 is 100.
fn canonical(value: &Value) -> Value {
    serde_json::from_slice(&Canonical::of(value).unwrap().bytes).unwrap()
}

/// The documents of a file by the contract's words, found without the program's own rules: the
/// whole, or the elements of its arrays and what remains.
fn take_out(value: &Value, exported: &mut Vec<Value>) -> usize {
    let mut remove = |doc: &Value| -> bool {
        let at = exported.iter().position(|other| other == doc);
        at.is_some_and(|at| {
            exported.swap_remove(at);
            true
        })
    };
    if remove(value) {
        return 1;
    }
    let mut parts: Vec<Value> = Vec::new();
    match value {
        Value::Array(elements) => parts.extend(elements.iter().cloned()),
        Value::Object(members) => {
            let is_list = |member: &Value| {
                member.as_array().is_some_and(|e| !e.is_empty() && e.iter().all(Value::is_object))
            };
            let rest = members.iter().filter(|(_, member)| !is_list(member));
            let rest: serde_json::Map<String, Value> =
                rest.map(|(name, member)| (name.clone(), member.clone())).collect();
            for member in members.values().filter(|member| is_list(member)) {
                parts.extend(member.as_array().unwrap().iter().cloned());
            }
            if !rest.is_empty() {
                parts.push(Value::Object(rest));
            }
        }
        _ => {}
    }
    for part in &parts {
        assert!(remove(part), "not exported: {part}");
    }
    assert!(!parts.is_empty(), "not exported: {value}");
    parts.len()
}

#[test]
fn the_shared_documents_come_in_and_out_as_they_are() {
    let Some(folder) = shared() else {
        eprintln!("skipped: there are no shared documents beside this checkout");
        return;
    };
    let (_dir, store) = place();
    let name = folder.to_str().unwrap();
    let first = run(&store, &["import", name], "").ok().json();
    assert_eq!((&first["refused"], &first["present"]), (&json!([]), &json!(0)), "{first}");
    let exported = run(&store, &["export"], "").ok().lines();
    let mut exported: Vec<Value> = exported.iter().map(|line| line["doc"].clone()).collect();
    let mut files = Vec::new();
    json_files(&folder, &mut files);
    let mut documents = 0;
    for file in &files {
        let value = canonical(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap());
        documents += take_out(&value, &mut exported);
    }
    assert_eq!((json!(documents), exported), (first["imported"].clone(), vec![]));
    let second = run(&store, &["import", name], "").ok().json();
    assert_eq!(second, json!({"imported": 0, "present": documents, "refused": []}));
}

#[test]
fn what_cannot_be_stored_is_refused_with_its_place_and_the_rest_comes_in() {
    let (dir, store) = place();
    let folder = dir.path().join("in");
    fs::create_dir_all(folder.join("deeper")).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let lines = write("a.jsonl", "{\"id\":\"1\",\"x\":1}\n\n{\"id\":}\n{\"id\":\"2\"}\n");
    let broken = write("b.json", "{\n  \"a\": 1,\n  \"a\": 2\n}");
    let other = write("c.json", r#"[{"id":"1","x":2},{"id":""},{"id":"3"}]"#);
    let number = write("deeper/d.ndjson", "{\"id\":\"4\",\"n\":9007199254740993}\n");
    write("notes.txt", "not JSON");
    let name = folder.to_str().unwrap();
    let done = run(&store, &["import", name, "--collection", "c"], "");
    assert_eq!(done.code, 3, "{done:?}");
    let report = done.json();
    assert_eq!((&report["imported"], &report["present"]), (&json!(3), &json!(0)));
    let refused = report["refused"].as_array().unwrap();
    let find = |file: &str, line: Value| -> String {
        let found = refused.iter().find(|one| one["file"] == file && one["line"] == line);
        found.unwrap_or_else(|| panic!("{file}: {report}"))["reason"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused.len(), 5, "{report}");
    assert!(find(&lines, json!(3)).starts_with("line 3, column 7:"));
    assert!(find(&broken, json!(3)).contains("twice"));
    assert!(find(&number, json!(1)).contains("2^53-1"));
    let from_other: Vec<&Value> = refused.iter().filter(|one| one["file"] == other).collect();
    assert!(from_other.iter().any(|one| one["reason"] == "differs" && one["id"] == "1"));
    assert!(from_other.iter().any(|one| one["reason"].as_str().unwrap().contains("element 2")));
    let ids: Vec<Value> =
        run(&store, &["list", "c"], "").ok().lines().iter().map(|doc| doc["id"].clone()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
}

#[test]
fn a_missing_path_is_an_error_and_leaves_no_store_behind() {
    let (dir, store) = place();
    let good = dir.path().join("good.json");
    fs::write(&good, "{}").unwrap();
    let arguments = ["import", good.to_str().unwrap(), "missing.json", "--json"];
    run(&store, &arguments, "").refused(4, "not_found");
    assert!(!Path::new(&store).exists());
}

#[test]
fn a_document_too_large_for_the_store_does_not_keep_the_others_out() {
    let (dir, store) = place();
    let file = dir.path().join("many.jsonl");
    let mut text = String::new();
    for number in 0..1500 {
        let size = if number == 700 { 17 << 20 } else { 100 };
        text.push_str(&json!({"id": number, "text": "x".repeat(size)}).to_string());
        text.push('\n');
    }
    fs::write(&file, text).unwrap();
    let done = run(&store, &["import", file.to_str().unwrap()], "");
    assert_eq!((done.code, &done.json()["imported"]), (3, &json!(1499)));
    let refused = done.json()["refused"][0].clone();
    assert_eq!((&refused["line"], &refused["id"]), (&json!(701), &json!("700")), "{refused}");
}
