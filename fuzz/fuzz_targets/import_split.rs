//! Input: whether the file is JSON Lines, whether all goes to one collection, and its text.
//!
//! Oracle: no panic; every document that is split off can be stored and nothing of the text is
//! dropped; importing twice stores nothing twice, and what was stored is what was in the text.
#![no_main]

use std::path::{Path, PathBuf};

use jidoka::doc::id::{check_collection, check_id};
use jidoka::doc::import::split;
use jidoka::doc::{Canonical, json};
use jidoka::ops::{ImportOptions, import};
use jidoka::tcps::recognise;
use jidoka::vfs::memory::MemoryVfs;
use jidoka::vfs::{FileExt, OpenMode, Vfs};
use jidoka_fuzz::input::Input;
use jidoka_fuzz::shop::open;
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let name = input.pick(&["/in.json", "/in.jsonl"]);
    let collection = input.flag().then(|| "all".to_owned());
    let text = input.rest();
    if let Ok(value) = json::parse(text) {
        splits(value, collection.as_deref());
    }
    let disk = MemoryVfs::new();
    let file = disk.open(Path::new(name), OpenMode::CreateNew).expect("a new file");
    file.write_all_at(text, 0).expect("a healthy disk");
    let docs = open(&disk, 1).expect("a new store");
    let options = ImportOptions { collection, ..ImportOptions::default() };
    let paths = [PathBuf::from(name)];
    let first = import(&docs, &disk, &paths, &options).expect("a healthy store");
    let again = import(&docs, &disk, &paths, &options).expect("a healthy store");
    assert_eq!(again.imported, 0, "{first:?}, then {again:?}");
    assert_eq!(again.present, first.imported + first.present);
    assert_eq!(again.refused, first.refused);
});

fn splits(value: Value, collection: Option<&str>) {
    let candidates = split(value.clone(), "stem", collection, &recognise);
    let elements = value.as_array().map(Vec::len);
    assert!(elements.is_none_or(|count| count == candidates.len()));
    let mut kept = 0;
    for candidate in candidates.iter().flatten() {
        assert!(check_collection(&candidate.collection).is_ok() && check_id(&candidate.id).is_ok());
        assert!(collection.is_none_or(|name| name == candidate.collection));
        Canonical::of(&candidate.doc).expect("a part of a document is a document");
        kept += leaves(&candidate.doc);
    }
    if candidates.iter().all(Result::is_ok) {
        assert_eq!(kept, leaves(&value), "every value is in one of the documents");
    }
}

/// How many values that hold no others there are.
fn leaves(value: &Value) -> usize {
    match value {
        Value::Array(elements) => elements.iter().map(leaves).sum(),
        Value::Object(members) => members.values().map(leaves).sum(),
        _ => 1,
    }
}
