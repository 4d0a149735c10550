//! Behaviour of the whole store, a module per behaviour.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what a test builds on fails it where it stands"
)]

mod cases;
mod concurrency;
mod crash;
mod iteration;
mod model;
mod rot;
mod smoke;
mod sync_failures;
