//! `apply`: operations of another program, one a line, each answered when it is durable.
//!
//! `read` takes lines from standard input, bounded in length; `parse` turns a line into
//! operations; `answer` spells what came of it. With one thread, `command` does one line after the
//! other. With more, `order` decides which lines may run at once (it is pure), and `pool` runs
//! them: lines of the same document, key or request keep their order, and nothing else does.
//!
//! No answer leaves before the store has said that the operation is as durable as asked.

mod answer;
mod command;
mod order;
mod parse;
mod pool;
mod read;

pub(in crate::cli) use command::{ApplyArgs, run};
