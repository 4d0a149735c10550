//! `apply`: answers, their order, and what a bad line does.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};

use serde_json::{Value, json};

use super::program::{place, program, run};

fn lines(operations: &[Value]) -> String {
    operations.iter().map(|operation| format!("{operation}\n")).collect()
}

#[test]
fn every_operation_is_answered_in_order_with_the_fields_of_the_contract() {
    let (_dir, store) = place();
    let input = lines(&[
        json!({"op": "put", "collection": "c", "id": "a", "doc": {"x": 1}, "if_absent": true}),
        json!({"op": "patch", "collection": "c", "id": "a", "patch": {"y": 2}, "if_rev": 1}),
        json!({"op": "kv_put", "keyspace": "k", "key": {"base64": "/w=="}, "value": "v"}),
        json!({"op": "batch", "ops": [
            {"op": "put", "collection": "c", "id": "b", "doc": []},
            {"op": "kv_put", "keyspace": "k", "key": "x", "value": {"base64": "/w=="}},
            {"op": "delete", "collection": "c", "id": "a"},
        ]}),
        json!({"op": "put", "collection": "c", "doc": 7}),
        json!({"op": "sync"}),
        json!({"op": "kv_delete", "keyspace": "k", "key": "x"}),
        json!({"op": "checkpoint"}),
    ]);
    let answers = run(&store, &["apply"], &input).ok().lines();
    let generated = answers[4]["id"].clone();
    assert_eq!(generated.as_str().unwrap().len(), 26);
    assert_eq!(
        answers,
        [
            json!({"n": 1, "lsn": 2, "durable": true, "id": "a", "rev": 1}),
            json!({"n": 2, "lsn": 3, "durable": true, "id": "a", "rev": 2}),
            json!({"n": 3, "lsn": 4, "durable": true, "key": {"base64": "/w=="}}),
            json!({"n": 4, "lsn": 5, "durable": true, "results": [
                {"id": "b", "rev": 1}, {"key": "x"}, {"id": "a", "rev": 2},
            ]}),
            json!({"n": 5, "lsn": 6, "durable": true, "id": generated, "rev": 1}),
            json!({"n": 6, "lsn": 6, "durable": true}),
            json!({"n": 7, "lsn": 7, "durable": true, "key": "x"}),
            json!({"n": 8, "lsn": 7, "durable": true}),
        ]
    );
    let dump = run(&store, &["dump"], "").ok().lines();
    assert_eq!(dump.last().unwrap()["key"], json!({"base64": "/w=="}));
}

#[test]
fn a_bad_line_is_answered_and_the_rest_goes_on() {
    let (_dir, store) = place();
    let good = json!({"op": "put", "collection": "c", "id": "a", "doc": 1, "if_absent": true});
    let input = format!("{good}\n\n{{\"op\":\n{{\"op\":\"drop\"}}\n{good}\n{{\"op\":\"sync\"}}");
    for threads in ["1", "4"] {
        let done = run(&store, &["apply", "--threads", threads], &input);
        assert_eq!(done.code, 3, "{done:?}");
        let kinds: BTreeMap<u64, Value> = done
            .lines()
            .iter()
            .map(|answer| (answer["n"].as_u64().unwrap(), answer["error"]["kind"].clone()))
            .collect();
        assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        for bad in [2, 3, 4] {
            assert_eq!(kinds[&bad], "invalid", "{done:?}");
        }
        assert_eq!((&kinds[&5], &kinds[&6]), (&json!("conflict"), &Value::Null), "{done:?}");
    }
}

#[test]
fn a_repeated_request_gets_the_first_answer() {
    let (_dir, store) = place();
    let operation = json!({"op": "put", "collection": "c", "id": "a", "doc": 1});
    let batch = json!({"op": "batch", "request": "r1", "ops": [operation]});
    let first = run(&store, &["apply"], &lines(std::slice::from_ref(&batch))).ok().json();
    let other = json!({"op": "put", "collection": "c", "id": "a", "doc": 2, "request": "r2"});
    let answers = run(&store, &["apply"], &lines(&[batch, other.clone(), other])).ok().lines();
    assert_eq!(answers[0], first);
    assert_eq!((&answers[1]["rev"], &answers[1]["lsn"]), (&answers[2]["rev"], &answers[2]["lsn"]));
    assert_eq!(run(&store, &["get", "c", "a"], "").ok().json()["rev"], 2);
}

#[test]
fn weaker_durability_says_so_and_a_clean_end_loses_nothing() {
    for durability in ["buffered", "memory"] {
        let (_dir, store) = place();
        let put = json!({"op": "put", "collection": "c", "doc": 1});
        let mut operations = vec![put; 20];
        operations.push(json!({"op": "sync"}));
        let input = lines(&operations);
        let answers = run(&store, &["apply", "--durability", durability], &input).ok().lines();
        assert!(answers[..20].iter().all(|answer| answer["durable"] == false), "{answers:?}");
        assert_eq!(answers[20]["durable"], true);
        assert_eq!(run(&store, &["dump", "--digest"], "").ok().json()["items"], 20);
    }
}

#[test]
fn answers_come_while_the_input_is_open() {
    let (_dir, store) = place();
    for threads in ["1", "3"] {
        let mut command = program(&store);
        let mut child = command.args(["apply", "--threads", threads]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        for n in 1..=5 {
            let line = json!({"op": "put", "collection": "c", "id": "a", "doc": n});
            input.write_all(format!("{line}\n").as_bytes()).unwrap();
            let mut answer = String::new();
            output.read_line(&mut answer).unwrap();
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!((&answer["n"], &answer["durable"]), (&json!(n), &json!(true)));
        }
        drop(input);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn lines_of_one_document_keep_their_order_among_many_threads() {
    let (_dir, store) = place();
    let mut operations = Vec::new();
    let mut expected = BTreeMap::new();
    // Each revision is required by the next line, so any other order is a conflict.
    for step in 0..40_u64 {
        for id in ["a", "b", "c"] {
            let rev = expected.entry(id).or_insert(0_u64);
            let mut put = json!({"op": "put", "collection": "c", "id": id, "doc": step});
            if *rev > 0 {
                put["if_rev"] = json!(*rev);
            }
            *rev += 1;
            operations.push(put);
        }
        if step % 5 == 0 {
            let ops: Vec<Value> = expected
                .iter_mut()
                .map(|(id, rev)| {
                    let op = json!({
                        "op": "put", "collection": "c", "id": id, "doc": "batch", "if_rev": *rev
                    });
                    *rev += 1;
                    op
                })
                .collect();
            operations.push(json!({"op": "batch", "ops": ops}));
        }
        operations.push(json!({"op": "kv_put", "keyspace": "k", "key": "x", "value": "v"}));
        operations.push(json!({"op": "put", "collection": "other", "doc": step}));
        if step % 10 == 9 {
            operations.push(json!({"op": "sync"}));
        }
    }
    let done = run(&store, &["apply", "--threads", "8"], &lines(&operations)).ok();
    let answers = done.lines();
    assert_eq!(answers.len(), operations.len());
    let mut order: Vec<u64> = answers.iter().map(|answer| answer["n"].as_u64().unwrap()).collect();
    // A sync is answered after every earlier line, and before every later one.
    for (at, answer) in answers.iter().enumerate() {
        let n = answer["n"].as_u64().unwrap();
        if operations[n as usize - 1]["op"] == "sync" {
            assert_eq!(at as u64 + 1, n);
        }
    }
    order.sort_unstable();
    assert!(order.iter().copied().eq(1..=operations.len() as u64));
    for (id, rev) in expected {
        assert_eq!(run(&store, &["get", "c", id], "").ok().json()["rev"], rev, "{id}");
    }
}
