//! Behaviour of the whole store, a module per behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on panics, and says where"
)]

mod documents;
mod history;
mod smoke;
mod verify;
