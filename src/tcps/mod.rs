//! The Toyota Code Production System: what the documents of a code factory are about.
//!
//! A demand signal pulls a work order; the order's stages leave receipts; a defect raises an
//! andon, and an open andon stops the line. Such documents arrive in many spellings, written by
//! many tools. [`recognise`] tells by its members which of the four kinds a document is, so that
//! an import can put it where the rules of its kind apply.
//!
//! This floor knows documents and never the engine: whatever it says about a document follows
//! from the document alone. What it does not recognise it leaves to the caller; it never
//! guesses, because a document in the wrong collection is harder to find than one in `documents`.

mod recognise;
pub mod samples;

pub use recognise::recognise;
