//! The `jidoka` command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    jidoka::cli::main()
}
