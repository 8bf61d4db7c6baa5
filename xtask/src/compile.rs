//! Builds the kernel, the boot binary that embeds it, and from that the bootable file.

use crate::{host, image};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use qemu_tests::turn::Turn;
use qemu_tests::{command, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to build.
#[derive(Args)]
pub struct Options {
    /// Whose CPUs the file is for
    #[arg(long, value_enum, default_value_t = Vendor::Both)]
    pub vendor: Vendor,
}

/// Whose CPUs the file is for: the code for others is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vendor {
    /// AMD-V and VT-x.
    Both,
    /// AMD-V only.
    Amd,
    /// VT-x only.
    Intel,
}

impl Vendor {
    /// Those that leave something out.
    pub const SINGLE: [Self; 2] = [Self::Amd, Self::Intel];

    /// The kernel's features.
    pub const fn features(self) -> &'static str {
        match self {
            Self::Both => "svm,vmx",
            Self::Amd => "svm",
            Self::Intel => "vmx",
        }
    }
}

/// A program for the bare machine.
struct Program {
    package: &'static str,
    binary: &'static str,
    /// For rustc.
    flags: &'static [&'static str],
}

/// The kernel is linked into the top 2 GiB at a fixed address; `boot` puts it there wherever it was loaded.
const KERNEL: Program = Program {
    package: "kernel",
    binary: "monovisor-kernel",
    flags: &["-Crelocation-model=static", "-Ccode-model=kernel"],
};
/// The entry code runs at any address: the target's default, position-independent code.
const BOOT: Program = Program {
    package: "boot",
    binary: "monovisor-boot",
    flags: &[],
};

/// Which `defmt` frames are compiled in, unless the environment says otherwise.
const DEFMT_LOG: &str = "info";

/// Builds everything, for all CPUs, and returns the bootable file's path.
pub fn image() -> Result<PathBuf> {
    image_of(Vendor::Both)
}

/// The same for the CPUs of `vendor`.
pub fn image_of(vendor: Vendor) -> Result<PathBuf> {
    let _turn = Turn::take()?;
    let artifacts = tree::artifacts();
    fs::create_dir_all(&artifacts)
        .with_context(|| format!("cannot create {}", artifacts.display()))?;
    let kernel = fs::read(build(&KERNEL, vendor.features(), &[])?)?;
    place(&kernel, &artifacts.join("kernel.elf"))?;
    let embedded = embedded_kernel();
    place(&image::pack(&kernel)?, &embedded)?;
    let boot = build(&BOOT, "image", &[("MONOVISOR_KERNEL", &embedded)])?;
    let image = tree::image();
    image::write(&boot, &image)?;
    eprintln!(
        "built {} ({} KiB)",
        image.display(),
        fs::metadata(&image)?.len() / 1024
    );
    Ok(image)
}

/// The kernel as the boot binary embeds it.
pub fn embedded_kernel() -> PathBuf {
    tree::artifacts().join("kernel.stripped.elf")
}

/// Cargo, for the bare-metal target and without flags from the environment: they would replace those of `build`.
pub fn bare_metal_cargo(verb: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(tree::root())
        .arg(verb)
        .args(["--target", host::TARGET]);
    cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    if std::env::var_os("DEFMT_LOG").is_none() {
        cargo.env("DEFMT_LOG", DEFMT_LOG);
    }
    cargo
}

/// Builds `program`, in a target directory of its own because its flags are its own.
fn build(program: &Program, features: &str, environment: &[(&str, &Path)]) -> Result<PathBuf> {
    eprintln!("building {}", program.package);
    let directory = tree::root().join("target/image").join(program.package);
    let flags: Vec<_> = program
        .flags
        .iter()
        .map(|flag| format!("\"{flag}\""))
        .collect();
    let mut cargo = bare_metal_cargo("build");
    cargo.arg("--config").arg(format!(
        "target.{}.rustflags=[{}]",
        host::TARGET,
        flags.join(",")
    ));
    cargo.args([
        "--profile",
        "image",
        "--package",
        program.package,
        "--bin",
        program.binary,
    ]);
    cargo.args(["--no-default-features", "--features", features]);
    cargo.arg("--target-dir").arg(&directory);
    cargo.envs(environment.iter().copied());
    command::run(&mut cargo)?;
    Ok(directory
        .join(host::TARGET)
        .join("image")
        .join(program.binary))
}

/// Writes only when the content differs, so that what depends on the file's time is not built again.
fn place(content: &[u8], path: &Path) -> Result<()> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    tree::replace(path, content)
}
