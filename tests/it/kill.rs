//! A writer is killed again and again under load, and every promise it made is looked for.
//!
//! The operations of a round are known before it begins, and what each document, key or batch
//! must be after each of its operations follows from what was there. Lines of one address keep
//! their order, so after the kill it must be in one of these states: the one of the last answered
//! operation, or a later one that was sent. `JIDOKA_KILL_ROUNDS` and `JIDOKA_KILL_SEED` choose how
//! often, and which.
#![expect(clippy::disallowed_methods, reason = "a writer is fed by a thread, outside the engine")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use jidoka::store::Store;
use serde_json::{Value, json};

use super::program::{place, program, run};

/// A small generator with a seed; how good its numbers are does not matter.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % end
    }
}

/// Addresses that always change together: one document, one key, or what a batch changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Unit {
    Document(u64),
    Key(u64),
    Batch(u64),
}

/// What is dumped for an address: collection or keyspace, id or key, to revision and content.
type State = BTreeMap<(String, String), (u64, Value)>;

/// One line, and the state of its unit after it.
struct Line {
    unit: Unit,
    text: String,
    after: State,
    /// The answer: revisions, or the kind of the error.
    answer: Value,
}

fn address(place: &str, number: u64) -> (String, String) {
    (place.to_owned(), format!("{number:02}"))
}

/// The operations on the members of a unit, and what it is after them.
fn operate(dice: &mut Dice, unit: Unit, before: &State, tag: &str) -> (Value, State, Value) {
    let doc = json!({"tag": tag, "size": tag.len()});
    let put =
        |place: &str, id: &str| json!({"op": "put", "collection": place, "id": id, "doc": doc});
    let next = |address: &(String, String)| before.get(address).map_or(1, |(rev, _)| rev + 1);
    match unit {
        Unit::Document(number) => {
            let address = address("c", number);
            let id = address.1.clone();
            let choice = dice.below(10);
            if choice < 6 {
                let rev = next(&address);
                let answer = json!({"id": id, "rev": rev});
                return (put("c", &id), [(address, (rev, doc.clone()))].into(), answer);
            }
            let Some((rev, old)) = before.get(&address) else {
                let delete = json!({"op": "delete", "collection": "c", "id": id});
                return (delete, before.clone(), json!("not_found"));
            };
            if choice < 8 {
                let patch = json!({"op": "patch", "collection": "c", "id": id, "if_rev": rev,
                    "patch": {"patched": tag}});
                let mut doc = old.clone();
                doc["patched"] = json!(tag);
                let answer = json!({"id": id, "rev": rev + 1});
                (patch, [(address, (rev + 1, doc))].into(), answer)
            } else {
                let delete = json!({"op": "delete", "collection": "c", "id": id});
                (delete, State::new(), json!({"id": id, "rev": rev}))
            }
        }
        Unit::Key(number) => {
            let address = address("k", number);
            let key = address.1.clone();
            if dice.below(4) > 0 {
                let put = json!({"op": "kv_put", "keyspace": "k", "key": key, "value": tag});
                (put, [(address, (0, json!(tag)))].into(), json!({"key": key}))
            } else {
                let delete = json!({"op": "kv_delete", "keyspace": "k", "key": key});
                (delete, State::new(), json!({"key": key}))
            }
        }
        Unit::Batch(number) => {
            let addresses = ["left", "right", "bk"].map(|place| address(place, number));
            let id = addresses[0].1.clone();
            let revs = [next(&addresses[0]), next(&addresses[1])];
            let key = json!({"key": id});
            if before.is_empty() || dice.below(4) > 0 {
                let ops = json!([put("left", &id), put("right", &id),
                    {"op": "kv_put", "keyspace": "bk", "key": id, "value": tag}]);
                let [left, right, kv] = addresses;
                let after = [
                    (left, (revs[0], doc.clone())),
                    (right, (revs[1], doc.clone())),
                    (kv, (0, json!(tag))),
                ];
                let answer = json!([{"id": id, "rev": revs[0]}, {"id": id, "rev": revs[1]}, key]);
                (json!({"op": "batch", "ops": ops}), after.into(), answer)
            } else {
                let ops = json!([{"op": "delete", "collection": "left", "id": id},
                    {"op": "delete", "collection": "right", "id": id},
                    {"op": "kv_delete", "keyspace": "bk", "key": id}]);
                let answer =
                    json!([{"id": id, "rev": revs[0] - 1}, {"id": id, "rev": revs[1] - 1}, key]);
                (json!({"op": "batch", "ops": ops}), State::new(), answer)
            }
        }
    }
}

fn plan(dice: &mut Dice, round: u64, lines: u64, now: &BTreeMap<Unit, State>) -> Vec<Line> {
    let mut states = now.clone();
    let mut plan = Vec::new();
    for number in 0..lines {
        let unit = match dice.below(10) {
            0..5 => Unit::Document(dice.below(40)),
            5..7 => Unit::Key(dice.below(20)),
            _ => Unit::Batch(dice.below(20)),
        };
        let before = states.get(&unit).cloned().unwrap_or_default();
        let tag = format!("{round}-{number}-{}", "x".repeat(dice.below(400) as usize));
        let (line, after, answer) = operate(dice, unit, &before, &tag);
        states.insert(unit, after.clone());
        plan.push(Line { unit, text: format!("{line}\n"), after, answer });
    }
    plan
}

/// Runs a writer over `plan` until it has answered `enough` lines, and kills it; gives how many
/// lines were sent, and the answers by line number.
fn killed_writer(store: &Path, plan: &[Line], enough: usize) -> (usize, BTreeMap<usize, Value>) {
    let mut command = program(store);
    command.args(["apply", "--threads", "4"]).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let texts: Vec<String> = plan.iter().map(|line| line.text.clone()).collect();
    let feeder = std::thread::spawn(move || {
        let sent = texts.iter().take_while(|text| input.write_all(text.as_bytes()).is_ok());
        sent.count()
    });
    let mut answers = BTreeMap::new();
    for line in output.split(b'\n') {
        // The last line may be cut off by the kill; then nobody was answered.
        if let Ok(answer) = serde_json::from_slice::<Value>(&line.unwrap()) {
            answers.insert(answer["n"].as_u64().unwrap() as usize - 1, answer);
        }
        if answers.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    (feeder.join().unwrap(), answers)
}

/// Everything the store holds, by address; its documents are read a second way too.
fn content(store: &Path) -> State {
    let mut content = State::new();
    for line in run(store, &["dump"], "").ok().lines() {
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let (address, value) = match text("collection") {
            Some(collection) => {
                let rev = line["rev"].as_u64().unwrap();
                ((collection, text("id").unwrap()), (rev, line["doc"].clone()))
            }
            None => {
                let address = (text("keyspace").unwrap(), text("key").unwrap());
                (address, (0, line["value"].clone()))
            }
        };
        assert!(content.insert(address, value).is_none(), "dumped twice: {line}");
    }
    for collection in ["c", "left", "right"] {
        for line in run(store, &["list", collection], "").ok().lines() {
            let address = (collection.to_owned(), line["id"].as_str().unwrap().to_owned());
            let listed = (line["rev"].as_u64().unwrap(), line["doc"].clone());
            assert_eq!(content.get(&address), Some(&listed), "{address:?}");
        }
    }
    content
}

fn unit_of((place, id): &(String, String)) -> Unit {
    let number = id.parse().unwrap();
    match place.as_str() {
        "c" => Unit::Document(number),
        "k" => Unit::Key(number),
        _ => Unit::Batch(number),
    }
}

/// What was answered, without what only the store can know.
fn essence(answer: &Value) -> Value {
    if let Some(kind) = answer["error"].get("kind") {
        return kind.clone();
    }
    assert_eq!(answer["durable"], true, "{answer}");
    if let Some(results) = answer.get("results") {
        return results.clone();
    }
    let mut answer = answer.clone();
    let members = answer.as_object_mut().unwrap();
    for name in ["n", "lsn", "durable"] {
        members.remove(name);
    }
    answer
}

#[test]
fn a_killed_writer_has_kept_every_promise_and_nothing_else() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let (rounds, seed) = (number("JIDOKA_KILL_ROUNDS", 20), number("JIDOKA_KILL_SEED", 7));
    let mut dice = Dice(seed);
    let (_dir, store) = place();
    // Small segments, so that kills fall into rotations too.
    Store::builder(&store).segment_bytes(64 << 10).open().unwrap().close().unwrap();
    let mut now: BTreeMap<Unit, State> = BTreeMap::new();
    let (mut answered, mut survived) = (0, 0);
    for round in 0..rounds {
        let place = format!("round {round} of seed {seed}");
        let enough = 1 + dice.below(300) as usize;
        let plan = plan(&mut dice, round, enough as u64 + 2000, &now);
        let (sent, answers) = killed_writer(&store, &plan, enough);
        assert!(answers.len() >= enough, "{place}: the writer ended by itself: {answers:?}");
        for (at, answer) in &answers {
            assert_eq!(essence(answer), plan[*at].answer, "{place}: {}", plan[*at].text);
        }
        let mut found: BTreeMap<Unit, State> = BTreeMap::new();
        for (address, value) in content(&store) {
            found.entry(unit_of(&address)).or_default().insert(address, value);
        }
        // Per unit: its lines, and the last that was answered.
        let mut lines: BTreeMap<Unit, (Vec<usize>, usize)> = BTreeMap::new();
        for (at, line) in plan.iter().enumerate().take(sent) {
            let (of_unit, promised) = lines.entry(line.unit).or_default();
            of_unit.push(at);
            if answers.contains_key(&at) {
                *promised = of_unit.len();
            }
        }
        for unit in found.keys().chain(now.keys()).chain(lines.keys()) {
            let state = found.get(unit).cloned().unwrap_or_default();
            let (of_unit, promised) = lines.get(unit).cloned().unwrap_or_default();
            let start = now.get(unit).cloned().unwrap_or_default();
            let states: Vec<&State> =
                std::iter::once(&start).chain(of_unit.iter().map(|at| &plan[*at].after)).collect();
            let reached = states[promised..].iter().position(|one| **one == state);
            let Some(extra) = reached else {
                panic!("{place}: {unit:?} is {state:?}, promised {:?}", states[promised]);
            };
            survived += extra;
        }
        answered += answers.len();
        now = found;
    }
    eprintln!("{rounds} kills, {answered} answers kept, at least {survived} survived unanswered");
    assert_eq!(run(&store, &["verify"], "").ok().json()["ok"], true);
}
