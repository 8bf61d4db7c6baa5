//! Builds the project's own guest programs, `qemu-tests/guests/*.rs`. Each is one file, so `rustc` alone does.

use crate::{command, tree};
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

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
    let directory = tree::guests().join("plugins");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let output = directory.join(name).with_extension("so");
    let source = tree::root().join("qemu-tests/plugins").join(name);
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2024",
        "--crate-type",
        "cdylib",
        "-Copt-level=2",
    ]);
    rustc
        .arg("-o")
        .arg(&output)
        .arg(source.with_extension("rs"));
    command::output(&mut rustc)?;
    Ok(output)
}

/// Builds `qemu-tests/guests/<name>.rs` and returns the program's path.
pub fn build(name: &str, form: Form) -> Result<PathBuf> {
    // Tests run side by side, and two may want the same program. A poisoned lock guards nothing that could be broken.
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock();
    let sources = tree::root().join("qemu-tests/guests");
    let output = tree::guests().join("programs").join(name);
    let directory = tree::guests().join("programs");
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
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
    rustc
        .arg("-o")
        .arg(&output)
        .arg(sources.join(name).with_extension("rs"));
    command::output(&mut rustc)?;
    Ok(output)
}
