//! What the crash lab is asked and what it answers. The lab sees every floor and no floor sees it,
//! so the program hands its function in.

use crate::base::Result;

/// What to attack with.
#[derive(Clone, Debug)]
pub struct LabRequest {
    /// The first seed.
    pub seed: u64,
    /// Seeds to play.
    pub runs: Option<u64>,
    /// Time to use.
    pub seconds: Option<u64>,
    /// Length of the sequences that are all played.
    pub exhaustive: u32,
    /// Threads.
    pub threads: u64,
    /// A case to play instead.
    pub replay: Option<Vec<u8>>,
    /// Tells people a line at once: what was found must outlive the attack. Any thread calls it.
    pub tell: fn(&str),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct LabReport {
    /// One JSON value.
    pub json: Vec<u8>,
    /// For people: the trace of a replay and its failure. An attack told each when it was found.
    pub notes: Vec<String>,
    /// Whether a rule was broken.
    pub failed: bool,
}

/// The lab.
pub type Lab = fn(&LabRequest) -> Result<LabReport>;
