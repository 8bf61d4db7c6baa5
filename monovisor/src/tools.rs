//! The programs that make ISO images, from Debian's packages.

use crate::Error;
use std::env;
use std::path::Path;
use std::process::Command;

/// A program or folder that must be there, and the package that brings it.
const NEEDED: &[(&str, &str)] = &[
    ("grub-mkrescue", "grub-common"),
    ("xorriso", "xorriso"),
    ("mformat", "mtools"),
    ("/usr/lib/grub/i386-pc", "grub-pc-bin"),
    ("/usr/lib/grub/x86_64-efi", "grub-efi-amd64-bin"),
];

/// The modules that GRUB needs here, with the partition tables that grub-mkrescue's own start-up file asks for; all there
/// are would double the size of a small image.
const MODULES: &str = "--install-modules=linux normal iso9660 test all_video \
    part_acorn part_amiga part_apple part_bsd part_dfly part_dvh part_gpt part_msdos part_plan part_sun part_sunpc";

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

/// Makes an image of the files in `stage`.
pub fn grub_mkrescue(stage: &Path, output: &Path) -> Result<(), Error> {
    let name = "grub-mkrescue";
    let ran = Command::new(name)
        .args(["--locales=", "--fonts=", "--themes=", MODULES, "-o"])
        .arg(output)
        .arg(stage)
        .output()
        .map_err(|error| Error::Tool {
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
