//! Looking after a store.
