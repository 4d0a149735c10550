//! The `jidoka` command line.

use std::process::ExitCode;

#[cfg(feature = "sim")]
fn main() -> ExitCode {
    jidoka::cli::main_with_lab(jidoka::sim::lab)
}

#[cfg(not(feature = "sim"))]
fn main() -> ExitCode {
    jidoka::cli::main()
}
