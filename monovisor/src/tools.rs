//! The programs that make ISO images, from Debian's packages.

use crate::Error;
use std::env;
use std::path::Path;
use std::process::Command;

/// A program, file or folder that must be there, and the package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("grub-mkimage", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
    ("/usr/lib/ISOLINUX", "isolinux"),
    ("/usr/lib/syslinux/modules/bios", "syslinux-common"),
];

/// Finds all that is missing.
pub fn check() -> Result<(), Error> {
    let (missing, packages): (Vec<&str>, Vec<&str>) = NEEDED
        .iter()
        .filter(|(name, _)| !is_there(name))
        .copied()
        .unzip();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::MissingTools {
        missing: missing.join(", "),
        install: format!("sudo apt-get install --yes {}", packages.join(" ")),
    })
}

fn is_there(name: &str) -> bool {
    if name.starts_with('/') {
        return Path::new(name).is_dir();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Runs the program `name`; one that fails is told with the last lines that it said.
pub fn run(name: &'static str, command: &mut Command) -> Result<(), Error> {
    let ran = command.output().map_err(|error| Error::Tool {
        name,
        said: error.to_string(),
    })?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    let last: Vec<&str> = said.lines().rev().take(5).collect();
    Err(Error::Tool {
        name,
        said: last.into_iter().rev().collect::<Vec<_>>().join("\n"),
    })
}
