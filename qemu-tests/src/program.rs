//! Builds the project's own guest programs, `qemu-tests/guests/*.rs`. Each is one file, so `rustc` alone does.

use crate::turn::Turn;
use crate::{command, tree};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The bare machine: an image that follows the Linux boot protocol.
    Kernel,
    /// The bare machine: a boot sector.
    Sector,
    /// Linux: a static executable.
    Executable,
}

/// Builds `qemu-tests/plugins/<name>.rs`, which QEMU loads, and returns its path.
pub fn build_plugin(name: &str) -> Result<PathBuf> {
    let source = tree::root().join("qemu-tests/plugins").join(name);
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "cdylib",
        "-Copt-level=2",
    ]);
    rustc.arg(source.with_extension("rs"));
    make(
        rustc,
        &tree::guests().join("plugins"),
        &format!("{name}.so"),
    )
}

/// Builds `qemu-tests/guests/<name>.rs` and returns the program's path.
pub fn build(name: &str, form: Form) -> Result<PathBuf> {
    let sources = tree::root().join("qemu-tests/guests");
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "bin",
        "--target",
        "x86_64-unknown-none",
    ]);
    rustc.args([
        "-Copt-level=2",
        "-Cpanic=abort",
        "-Crelocation-model=static",
        "-Ccode-model=small",
        "-Cstrip=symbols",
    ]);
    let script = match form {
        Form::Kernel => Some("flat.ld"),
        Form::Sector => Some("sector.ld"),
        Form::Executable => None,
    };
    if let Some(script) = script {
        rustc.arg(format!("-Clink-arg=-T{}", sources.join(script).display()));
        rustc.arg("-Clink-arg=--oformat=binary");
    }
    rustc.arg(sources.join(name).with_extension("rs"));
    make(rustc, &tree::guests().join("programs"), name)
}

/// Has `rustc` make the file `name` in `directory`. Runs go on side by side, and two may want the same: who reads it meanwhile finds the old
/// one or the new.
fn make(mut rustc: Command, directory: &Path, name: &str) -> Result<PathBuf> {
    let _turn = Turn::take()?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let (output, new) = (directory.join(name), directory.join(format!("{name}.new")));
    command::output(rustc.arg("-o").arg(&new))?;
    fs::rename(&new, &output).with_context(|| format!("cannot write {}", output.display()))?;
    Ok(output)
}
