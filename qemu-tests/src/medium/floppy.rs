//! Diskettes of 1440 KiB.

use super::{Entry, fill, install_syslinux, packaged, volume};
use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The medium's size.
pub const BYTES: u64 = 1_474_560;

/// A FAT diskette with SYSLINUX, its configuration and these files.
pub fn syslinux(directory: &Path, config: &str, files: &[Entry]) -> Result<PathBuf> {
    let image = directory.join("floppy.img");
    fs::File::create(&image)?.set_len(BYTES)?;
    let mut format = Command::new("mformat");
    command::output(
        format
            .args(["-f", "1440", "-i"])
            .arg(volume(&image, 0))
            .arg("::"),
    )?;
    fill(&image, 0, files)?;
    install_syslinux(&image, 0, config)?;
    Ok(image)
}

/// GRUB 0.97 on a diskette without a file system: its second stage follows its first.
pub fn grub_legacy(directory: &Path) -> Result<PathBuf> {
    let mut content = Vec::new();
    for stage in ["stage1", "stage2"] {
        let file = packaged("grub-legacy", &format!("usr/lib/grub/x86_64-pc/{stage}"))?;
        let stage = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        content.extend(stage);
    }
    let bytes = usize::try_from(BYTES)?;
    ensure!(content.len() <= bytes, "GRUB is larger than a diskette");
    content.resize(bytes, 0);
    let image = directory.join("floppy.img");
    fs::write(&image, content)?;
    Ok(image)
}
