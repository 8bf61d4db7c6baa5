//! `cargo xtask …`: the project's commands. `run` and `test` are the two to know.
#![forbid(unsafe_code)]

mod bench;
mod checks;
mod compile;
mod directory;
mod host;
mod image;
mod run;
mod test;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds, runs and checks Monovisor.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Boot Monovisor with a guest in QEMU and hand its serial console to this terminal
    Run(Box<run::Options>),
    /// Build the bootable file, target/monovisor/monovisor
    Build(compile::Options),
    /// Run the checks, the unit tests and the end-to-end suite
    Test(test::Options),
    /// Count instructions: single exits, and a boot
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match perform(&Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: &Task) -> anyhow::Result<()> {
    match task {
        Task::Run(options) => run::run(options),
        Task::Bench(options) => bench::bench(options),
        Task::Test(options) => test::test(options),
        Task::Build(options) => {
            host::prepare(host::Need::Toolchain)?;
            compile::image_of(options.vendor).map(drop)
        }
    }
}
