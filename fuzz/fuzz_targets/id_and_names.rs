//! Input: a time, ten random bytes and two texts, as a collection or keyspace and as an id or key.
//!
//! Oracle: a name or id is refused by the store exactly when its check refuses it; what was
//! stored is found under it, after a reopen too, and beside no other.
#![no_main]

use jidoka::base::{ErrorKind, Timestamp};
use jidoka::doc::id::{check_collection, check_id, generate_id};
use jidoka::doc::{Condition, Listing};
use jidoka::store::{Keyspace, Namespace, directory_key, parse_directory_entry};
use jidoka::vfs::memory::MemoryVfs;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::shop::{observe, open};
use serde_json::json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = Input::new(bytes);
    let time = Timestamp(input.u64());
    let mut random = [0; 10];
    random.fill_with(|| input.byte());
    let made = generate_id(time, random);
    assert!(made.len() == 26 && check_id(&made).is_ok());
    let later = generate_id(time.plus_micros(1000), [0; 10]);
    assert!(time.0 / 1000 + 1 >= 1 << 48 || later > made);
    let repeat = [1, 1, 1, 40, 300][input.below(5)];
    let len = input.below(64);
    let name = String::from_utf8_lossy(input.bytes(len)).repeat(repeat);
    let id = String::from_utf8_lossy(input.rest()).repeat(repeat);
    for namespace in [Namespace::Collection, Namespace::Keyspace] {
        if let Ok(keyspace) = Keyspace::in_namespace(namespace, &name) {
            let entry = parse_directory_entry(&directory_key(&keyspace), &7_u32.to_le_bytes());
            assert_eq!(entry.map(|(found, _)| found), Some(keyspace));
        }
    }
    let disk = MemoryVfs::new();
    let docs = open(&disk, 1).expect("a new store");
    let legal = check_collection(&name).is_ok() && check_id(&id).is_ok();
    match docs.put(&name, &id, &json!("here"), Condition::None) {
        Ok(written) => assert!(legal && written.id == id),
        Err(error) => assert!(!legal && error.kind() == ErrorKind::Invalid, "{error:?}"),
    }
    let shown = observe(&docs).expect("a healthy store");
    docs.store().close().expect("a close on a healthy disk");
    drop(docs);
    let docs = open(&disk, 2).expect("a store that was closed");
    assert_eq!(observe(&docs).expect("a healthy store"), shown);
    if legal {
        assert!(docs.get(&name, &id).expect("a healthy store").is_some());
        assert_eq!(docs.collections(), [name.as_str()]);
        let listed = docs.list(&name, &Listing::default()).expect("a healthy store");
        assert_eq!(listed.count(), 1);
    } else {
        assert!(docs.collections().is_empty());
    }
});
