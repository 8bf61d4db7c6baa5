//! Boot media made from Debian's packages without being root: diskettes, disks and CDs with a boot loader on them, and a
//! boot loader for the network.

pub mod cd;
pub mod core;
pub mod disk;
pub mod floppy;

use crate::command;
use crate::package::{self, Architecture};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that a medium holds: where it is, and what it is called there.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where it is.
    pub source: PathBuf,
    /// Its name on the medium, of at most eight characters and three.
    pub name: String,
}

impl Entry {
    /// A file and its name on the medium.
    pub fn new(source: PathBuf, name: &str) -> Self {
        let name = name.to_owned();
        Self { source, name }
    }
}

/// A file of a package.
pub fn packaged(package: &str, file: &str) -> Result<PathBuf> {
    let path = package::fetch(package, Architecture::Amd64)?.join(file);
    ensure!(path.is_file(), "the package {package} has no {file}");
    Ok(path)
}

/// A module of SYSLINUX, under its own name.
pub fn module(name: &str) -> Result<Entry> {
    let file = format!("usr/lib/syslinux/modules/bios/{name}");
    Ok(Entry::new(packaged("syslinux-common", &file)?, name))
}

/// Copies files into the FAT volume at `offset` of an image.
fn fill(image: &Path, offset: u64, files: &[Entry]) -> Result<()> {
    for file in files {
        let mut copy = Command::new("mcopy");
        copy.arg("-i").arg(volume(image, offset)).arg(&file.source);
        command::output(copy.arg(format!("::/{}", file.name)))?;
    }
    Ok(())
}

/// A FAT volume within an image, in mtools' words.
fn volume(image: &Path, offset: u64) -> String {
    format!("{}@@{offset}", image.display())
}

/// Installs SYSLINUX into the FAT volume at `offset`, with this configuration.
fn install_syslinux(image: &Path, offset: u64, config: &str) -> Result<()> {
    let text = image.with_extension("cfg");
    fs::write(&text, config).with_context(|| format!("cannot write {}", text.display()))?;
    let files = [Entry::new(text, "syslinux.cfg"), module("ldlinux.c32")?];
    fill(image, offset, &files)?;
    let mut install = Command::new(packaged("syslinux", "usr/bin/syslinux")?);
    install.arg("-t").arg(offset.to_string()).arg(image);
    command::output(&mut install).map(drop)
}
