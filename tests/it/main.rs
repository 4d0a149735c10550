//! Behaviour of the whole store, a module per behaviour.

mod history;
mod smoke;
mod verify;
