//! GRUB in one file, for servers of boot programs to hand out.

use crate::command;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What starts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// A BIOS' PXE, whose UNDI is its driver.
    Pxe,
    /// UEFI, whose simple network protocol is.
    Uefi,
}

impl Starter {
    /// The format, in GRUB's words.
    fn format(self) -> &'static str {
        match self {
            Self::Pxe => "i386-pc-pxe",
            Self::Uefi => "x86_64-efi",
        }
    }

    /// The module with the driver.
    fn driver(self) -> &'static str {
        match self {
            Self::Pxe => "pxe",
            Self::Uefi => "efinet",
        }
    }
}

/// Makes `image`, which does what `script` says.
pub fn make(image: &Path, starter: Starter, script: &str) -> Result<()> {
    let text = image.with_extension("cfg");
    fs::write(&text, script).with_context(|| format!("cannot write {}", text.display()))?;
    let mut make = Command::new("grub-mkimage");
    make.args(["-O", starter.format(), "-p", "/", "-c"])
        .arg(&text);
    make.arg("-o").arg(image).arg(starter.driver());
    make.args(["net", "tftp", "http", "normal", "linux", "echo"]);
    command::output(&mut make).map(drop)
}
