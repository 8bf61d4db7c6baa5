//! Builds the kernel, the boot binary that embeds it, and from that the bootable file.

use crate::{host, image};
use anyhow::{Context, Result};
use qemu_tests::{command, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernel is linked into the top 2 GiB at a fixed address; `boot` puts it there wherever it was loaded.
const KERNEL_FLAGS: &[&str] = &["-Crelocation-model=static", "-Ccode-model=kernel"];
/// The boot code runs at any address, so it keeps the target's default, position-independent code.
const BOOT_FLAGS: &[&str] = &[];
/// Which `defmt` frames are compiled in, unless the environment says otherwise.
const DEFMT_LOG: &str = "info";

/// Builds everything and returns the bootable file's path.
pub fn image() -> Result<PathBuf> {
    let artifacts = tree::artifacts();
    fs::create_dir_all(&artifacts)
        .with_context(|| format!("cannot create {}", artifacts.display()))?;
    let kernel = artifacts.join("kernel.elf");
    place(&build("kernel", KERNEL_FLAGS, &[])?, &kernel)?;
    let boot = build("boot", BOOT_FLAGS, &[("MONOVISOR_KERNEL", &kernel)])?;
    let image = tree::image();
    image::write(&boot, &image)?;
    eprintln!(
        "built {} ({} KiB)",
        image.display(),
        fs::metadata(&image)?.len() / 1024
    );
    Ok(image)
}

/// Cargo, for the bare-metal target and without flags from the environment: they would replace ours.
pub fn bare_metal_cargo(verb: &str, flags: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(tree::root())
        .arg(verb)
        .args(["--target", host::TARGET]);
    let list: Vec<_> = flags.iter().map(|flag| format!("\"{flag}\"")).collect();
    cargo.arg("--config").arg(format!(
        "target.{}.rustflags=[{}]",
        host::TARGET,
        list.join(",")
    ));
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if std::env::var_os("DEFMT_LOG").is_none() {
        cargo.env("DEFMT_LOG", DEFMT_LOG);
    }
    cargo
}

/// Builds the binary of `package`, in a target directory of its own because its flags are its own.
fn build(package: &str, flags: &[&str], environment: &[(&str, &Path)]) -> Result<PathBuf> {
    eprintln!("building {package}");
    let directory = tree::root().join("target/image").join(package);
    let mut cargo = bare_metal_cargo("build", flags);
    cargo.args(["--profile", "image", "--package", package, "--bin", package]);
    cargo.arg("--target-dir").arg(&directory);
    cargo.envs(environment.iter().copied());
    command::run(&mut cargo)?;
    Ok(directory.join(host::TARGET).join("image").join(package))
}

/// Copies only when the content differs, so that what depends on the file's time is not built again.
fn place(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}
