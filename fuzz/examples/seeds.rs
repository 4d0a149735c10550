//! Writes seeds for every target into `corpus/`: cases of the crash lab, parts of stores that
//! such cases leave, and the texts that the tests of the parsers begin with.
//!
//! `cargo run --example seeds` in this folder. The corpus itself is not kept.

use std::fs;
use std::path::Path;

use jidoka::sim::generate;
use jidoka::wal::format::RECORD_HEADER;
use jidoka_fuzz::cases::bytes_of;
use jidoka_fuzz::input::Input;
use jidoka_fuzz::shop::Shop;

const CASES: u64 = 64;
const QUERIES: [&str; 4] = [
    "details.stage = \"paint\"\nat:desc\n123\n{\"at\":1,\"details\":{\"stage\":\"paint\"}}\n\
     {\"at\":2}",
    "n >= 10\nn\n\n{\"n\":9}\n{\"n\":10.0}\n{\"n\":\"10\"}\n[1]\nnull",
    "at ^= 2026\nid:asc\n1\n{\"at\":\"2026-01-01\"}",
    "a != [1,{\"b\":null}]\na.0.b\n12345\n{\"a\":[1,{\"b\":null}]}\n{}",
];
const TEXTS: [&str; 5] = [
    "{\"id\":\"a\",\"n\":[1,2.5e-7,-0.0,true,null],\"t\":\"\\u00e9\\ud83d\\ude00\"}",
    "{\"id\":1}\n{\"work_order_id\":\"w\",\"stages\":[]}\n\n{\"x\":",
    "[{\"id\":\"a\"},{\"id\":\"\"},3,\"four\"]",
    "{\"receipts\":[{\"receipt_id\":\"r\",\"stage\":\"build\"}],\
     \"andons\":[{\"andon_id\":7}],\"by\":1}",
    "{\"repo\":\"a/b\",\"number\":12}\n{\"git_sha\":\"00ff\"}",
];

fn main() -> std::io::Result<()> {
    for seed in 0..CASES {
        let case = bytes_of(&generate(seed, 24));
        for target in ["ops_model", "ops_crash"] {
            write(target, seed, &case)?;
        }
        // A store is made from any bytes: those of a case are as varied as any.
        for target in ["wal_roundtrip_mutate", "ops_rot", "recover_any_dir", "copy_decode"] {
            write(target, seed, &[&[seed as u8, (seed >> 2) as u8], case.as_slice()].concat())?;
        }
        parts(seed, &Shop::build(&mut Input::new(&case), true))?;
    }
    for (number, text) in (0..).zip(QUERIES) {
        write("query_parse", number, text.as_bytes())?;
    }
    for (number, text) in (0..).zip(TEXTS) {
        write("doc_codec", number, text.as_bytes())?;
        write("import_split", number, &[&[number as u8, 0], text.as_bytes()].concat())?;
    }
    let names = [0; 19].iter().chain(&[4]).chain(b"work/orders").copied();
    write("id_and_names", 0, &names.collect::<Vec<u8>>())
}

/// The parts of one store that the decoders take alone.
fn parts(seed: u64, shop: &Shop) -> std::io::Result<()> {
    for (path, bytes) in &shop.files {
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if path.ends_with("IDENTITY") {
            write("wal_decode", seed, &[&[1, 0], bytes.as_slice()].concat())?;
        } else if path.ends_with("1.wal") && used > 4096 {
            // The records, to be sealed for the salt that the target uses.
            write("wal_decode", 1000 + seed, &[&[3, 1], &bytes[4096..used]].concat())?;
        } else if path.ends_with(".range") {
            write("copy_decode", 1000 + seed, bytes)?;
            let payload = 76 + 56 + 16 + 56..bytes.len().min(400);
            write("commit_payload", seed, bytes.get(payload).unwrap_or_default())?;
        } else if path.ends_with("END") {
            write("copy_decode", 2000 + seed, bytes)?;
        }
    }
    const { assert!(RECORD_HEADER == 72) };
    Ok(())
}

fn write(target: &str, number: u64, bytes: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("seed-{number:04}")), bytes)
}
