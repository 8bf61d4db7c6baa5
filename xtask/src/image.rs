//! Turns the linked boot binary into the bootable file.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Writes the bootable file `image` from the ELF of the boot binary.
pub fn write(boot_elf: &Path, image: &Path) -> Result<()> {
    fs::copy(boot_elf, image).with_context(|| format!("cannot write {}", image.display()))?;
    Ok(())
}
