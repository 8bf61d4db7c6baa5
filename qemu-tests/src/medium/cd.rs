//! CDs that boot by El Torito.

use super::packaged;
use crate::command;
use crate::package::{self, Architecture};
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a CD's boot image is started (El Torito 1.0, section 2.0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emulation {
    /// Loaded like a program.
    Nothing,
    /// As the first diskette drive's medium.
    Floppy,
    /// As the first hard disk.
    Disk,
}

/// A fresh directory for a CD's files.
pub fn stage(directory: &Path) -> Result<PathBuf> {
    let stage = directory.join("cd");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage)?;
    Ok(stage)
}

/// A CD of the files in `stage`, which starts `boot`, one of them.
pub fn image(directory: &Path, stage: &Path, boot: &str, emulation: Emulation) -> Result<PathBuf> {
    let image = directory.join("boot.iso");
    let mut make = Command::new("xorriso");
    make.args(["-as", "mkisofs", "-quiet", "-o"]).arg(&image);
    make.args(["-b", boot, "-c", "boot.cat"]);
    match emulation {
        Emulation::Nothing => {
            make.args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"]);
        }
        Emulation::Floppy => {}
        Emulation::Disk => {
            make.arg("-hard-disk-boot");
        }
    }
    command::output(make.arg(stage))?;
    Ok(image)
}

/// A CD with nothing but an image of a diskette or a disk.
pub fn emulating(directory: &Path, medium: &Path, emulation: Emulation) -> Result<PathBuf> {
    let stage = stage(directory)?;
    fs::copy(medium, stage.join("boot.img"))?;
    image(directory, &stage, "boot.img", emulation)
}

/// ISOLINUX with all its modules, the files that `stage` has, and this configuration.
pub fn isolinux(directory: &Path, stage: &Path, config: &str) -> Result<PathBuf> {
    let library = package::fetch("syslinux-common", Architecture::Amd64)?.join("usr/lib/syslinux");
    let modules = library.join("modules/bios");
    for entry in fs::read_dir(&modules)
        .with_context(|| format!("cannot list {}", modules.display()))?
        .flatten()
    {
        fs::copy(entry.path(), stage.join(entry.file_name()))?;
    }
    fs::copy(library.join("memdisk"), stage.join("memdisk"))?;
    let loader = packaged("isolinux", "usr/lib/ISOLINUX/isolinux.bin")?;
    fs::copy(loader, stage.join("isolinux.bin"))?;
    fs::write(stage.join("isolinux.cfg"), config)?;
    image(directory, stage, "isolinux.bin", Emulation::Nothing)
}

/// GRUB 0.97 with this menu and the files that `stage` has.
pub fn grub_legacy(directory: &Path, stage: &Path, menu: &str) -> Result<PathBuf> {
    const LOADER: &str = "boot/grub/stage2_eltorito";
    fs::create_dir_all(stage.join("boot/grub"))?;
    let loader = packaged("grub-legacy", "usr/lib/grub/x86_64-pc/stage2_eltorito")?;
    fs::copy(loader, stage.join(LOADER))?;
    fs::write(stage.join("boot/grub/menu.lst"), menu)?;
    image(directory, stage, LOADER, Emulation::Nothing)
}
