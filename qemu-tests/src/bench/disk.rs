//! A disk on IDE: Debian's kernel reads 64 MiB of it by bus master DMA.

use super::counted::{number_after, transcript_with};
use super::{Bench, COMMAND_LINE, GUEST_MIB};
use crate::bundle::{Bus, Guest};
use crate::cpio::Archive;
use crate::initramfs;
use crate::loader::{Firmware, Loader};
use crate::program::{Form, build};
use anyhow::Result;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The disk.
const DISK_MIB: usize = 64;
/// A machine that holds hypervisor, guest and disk.
const HOST_MIB: u32 = 384;

const INIT: &str = r#"#!/bin/sh
mount -t devtmpfs devtmpfs /dev
for module in $(cat /lib/modules/order); do insmod /lib/modules/$module; done
disk /dev/sda
poweroff -f
"#;

/// The initramfs, and the disk's image.
fn files(bench: &Bench) -> Result<(PathBuf, PathBuf)> {
    let directory = bench.place("ide-guest")?;
    let mut archive = Archive::default();
    for name in ["bin", "dev", "lib", "lib/modules"] {
        archive.directory(name);
    }
    archive
        .device("dev/console", (5, 1))
        .device("dev/null", (1, 3));
    archive.file("init", 0o755, INIT.as_bytes());
    initramfs::busybox(&mut archive)?;
    initramfs::load_at_start(&mut archive, &bench.kernel, &["ata_piix", "sd_mod"])?;
    let program = fs::read(build("disk", Form::Executable)?)?;
    archive.file("bin/disk", 0o755, &program);
    let ramdisk = directory.join("initrd.cpio");
    fs::write(&ramdisk, archive.finish())?;
    let disk = directory.join("disk.img");
    let noise: Vec<u8> = (0..DISK_MIB << 20)
        .map(|at| ((at * 167) >> 5) as u8)
        .collect();
    fs::write(&disk, noise)?;
    Ok((ramdisk, disk))
}

fn ticks(arguments: &[OsString], memory_mib: u32, directory: &Path) -> Result<u64> {
    let said = transcript_with(arguments, memory_mib, directory, "\nDMA ")?;
    number_after(&said, "\nDMA ")
}

/// Instructions without a hypervisor.
pub fn bare(bench: &Bench) -> Result<u64> {
    let (ramdisk, disk) = files(bench)?;
    let directory = bench.place("bare-ide")?;
    let payload = bench.payload(&bench.kernel.image(), Some(&ramdisk));
    let mut arguments = Loader::Direct(Firmware::Bios).arguments(&payload, &directory)?;
    let drive = format!("file={},format=raw,if=ide,snapshot=on", disk.display());
    arguments.extend(["-drive".into(), drive.into()]);
    ticks(&arguments, GUEST_MIB, &directory)
}

/// The same, under Monovisor.
pub fn monovisor(bench: &Bench) -> Result<u64> {
    let (ramdisk, disk) = files(bench)?;
    let directory = bench.place("monovisor-ide")?;
    let mut guest = Guest::new(bench.kernel.image());
    guest.ramdisk = Some(ramdisk);
    guest.memory_mib = GUEST_MIB;
    guest.cmdline = COMMAND_LINE.to_owned();
    guest.bus = Bus::Ide;
    guest.disks = vec![disk];
    let payload = super::monovisor(&guest, &directory)?;
    let arguments = Loader::Direct(Firmware::Bios).arguments(&payload, &directory)?;
    ticks(&arguments, HOST_MIB, &directory)
}
