//! Hard disks with a table of partitions and a FAT volume.

use super::{Entry, fill, install_syslinux, packaged, volume};
use crate::command;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SECTOR: usize = 512;
/// The disk's size.
const SECTORS: u64 = 64 << 11;
/// Where GRUB's core is, and where it has to end.
const CORE: u64 = 40;
const CORE_END: u64 = VOLUME;
/// Where the volume is, and how long.
const VOLUME: u64 = 2048;
const VOLUME_SECTORS: u64 = SECTORS - VOLUME - 64;

/// The kind of partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// In the first sector, as PCs always had it.
    Mbr,
    /// GUID partition table (UEFI 2.10, section 5.3).
    Gpt,
}

/// A disk with SYSLINUX in a FAT16 partition, behind SYSLINUX' own master boot record.
pub fn syslinux(directory: &Path, config: &str, files: &[Entry]) -> Result<PathBuf> {
    let image = directory.join("disk.img");
    let record = read(&packaged(
        "syslinux-common",
        "usr/lib/syslinux/mbr/mbr.bin",
    )?)?;
    let mut content = blank();
    content[..record.len()].copy_from_slice(&record);
    Table::Mbr.write(&mut content);
    fs::write(&image, content)?;
    format(&image)?;
    let offset = VOLUME * SECTOR as u64;
    fill(&image, offset, files)?;
    install_syslinux(&image, offset, config)?;
    Ok(image)
}

/// A disk with GRUB 2 before a FAT16 partition that holds the files; GRUB does what `script` says. Its root is the volume.
pub fn grub(directory: &Path, table: Table, script: &str, files: &[Entry]) -> Result<PathBuf> {
    let image = directory.join("disk.img");
    let mut content = blank();
    let boot = read(&packaged("grub-pc-bin", "usr/lib/grub/i386-pc/boot.img")?)?;
    content[..SECTOR].copy_from_slice(&boot[..SECTOR]);
    // boot.img: the sector of the core.
    content[0x5c..0x64].copy_from_slice(&CORE.to_le_bytes());
    table.write(&mut content);
    let core = core(directory, table, script)?;
    ensure!(
        CORE + core.len().div_ceil(SECTOR) as u64 <= CORE_END,
        "GRUB's core of {} bytes is too long",
        core.len()
    );
    content[usize::try_from(CORE)? * SECTOR..][..core.len()].copy_from_slice(&core);
    fs::write(&image, content)?;
    format(&image)?;
    fill(&image, VOLUME * SECTOR as u64, files)?;
    Ok(image)
}

/// GRUB's core, with the list of its own blocks at its first sector's end: where the rest starts, its length, and its segment.
fn core(directory: &Path, table: Table, script: &str) -> Result<Vec<u8>> {
    const LIST: usize = SECTOR - 12;
    let (modules, root) = match table {
        Table::Mbr => ("part_msdos", "hd0,msdos1"),
        Table::Gpt => ("part_gpt", "hd0,gpt2"),
    };
    let config = directory.join("core.cfg");
    fs::write(&config, format!("set root={root}\n{script}"))?;
    let path = directory.join("core.img");
    let library = packaged("grub-pc-bin", "usr/lib/grub/i386-pc/boot.img")?;
    let library = library.parent().context("no directory")?;
    let mut make = Command::new("grub-mkimage");
    make.args(["-O", "i386-pc", "-p", "/", "-d"]).arg(library);
    make.arg("-c").arg(&config).arg("-o").arg(&path);
    make.args([
        "biosdisk", "fat", "linux", "linux16", "echo", "boot", modules,
    ]);
    command::output(&mut make)?;
    let mut core = read(&path)?;
    let rest = u16::try_from(core.len().div_ceil(SECTOR) - 1)?;
    core[LIST..LIST + 8].copy_from_slice(&(CORE + 1).to_le_bytes());
    core[LIST + 8..LIST + 10].copy_from_slice(&rest.to_le_bytes());
    Ok(core)
}

fn blank() -> Vec<u8> {
    vec![0; SECTORS as usize * SECTOR]
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn format(image: &Path) -> Result<()> {
    let mut format = Command::new("mformat");
    format.arg("-i").arg(volume(image, VOLUME * SECTOR as u64));
    format.args(["-h", "16", "-s", "63", "-c", "4"]);
    format.args(["-H", &VOLUME.to_string(), "-T", &VOLUME_SECTORS.to_string()]);
    command::output(format.arg("::")).map(drop)
}

impl Table {
    fn write(self, disk: &mut [u8]) {
        match self {
            // FAT16 with more than 32 MiB, by linear addresses.
            Self::Mbr => write_mbr(disk, 0x80, 0x0e, VOLUME, VOLUME_SECTORS),
            Self::Gpt => {
                write_mbr(disk, 0, 0xee, 1, SECTORS - 1);
                write_gpt(disk);
            }
        }
    }
}

/// The first partition's entry. Cylinders, heads and sectors are left to the linear addresses.
fn write_mbr(disk: &mut [u8], flags: u8, kind: u8, start: u64, sectors: u64) {
    // Loaders' own records have code there, for media without a table.
    disk[0x1be..0x1fe].fill(0);
    let entry = &mut disk[0x1be..0x1ce];
    entry[0] = flags;
    entry[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[4] = kind;
    entry[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&(start as u32).to_le_bytes());
    entry[12..16].copy_from_slice(&(sectors as u32).to_le_bytes());
    disk[0x1fe..0x200].copy_from_slice(&[0x55, 0xaa]);
}

/// Both copies of the table: GRUB's partition between the table and the volume, and the volume.
fn write_gpt(disk: &mut [u8]) {
    const ENTRIES_BYTES: usize = 128 * 128;
    const BIOS_BOOT: &[u8; 16] = b"Hah!IdontNeedEFI";
    const BASIC_DATA: [u8; 16] = [
        0xa2, 0xa0, 0xd0, 0xeb, 0xe5, 0xb9, 0x33, 0x44, 0x87, 0xc0, 0x68, 0xb6, 0xb7, 0x26, 0x99,
        0xc7,
    ];
    let mut entries = vec![0; ENTRIES_BYTES];
    let partitions = [
        (BIOS_BOOT, CORE, CORE_END - 1),
        (&BASIC_DATA, VOLUME, VOLUME + VOLUME_SECTORS - 1),
    ];
    for (index, (kind, first, last)) in partitions.into_iter().enumerate() {
        let entry = &mut entries[index * 128..][..128];
        entry[..16].copy_from_slice(kind);
        entry[16..32].fill(index as u8 + 1);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&last.to_le_bytes());
    }
    let last = SECTORS - 1;
    for (place, other, table) in [(1, last, 2), (last, 1, last - 32)] {
        let mut header = [0; SECTOR];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (at, value) in [
            (24, place),
            (32, other),
            (40, 34),
            (48, last - 33),
            (72, table),
        ] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        header[56..72].fill(0x77);
        header[80..84].copy_from_slice(&128_u32.to_le_bytes());
        header[84..88].copy_from_slice(&128_u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..0x5c]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        disk[place as usize * SECTOR..][..SECTOR].copy_from_slice(&header);
        disk[table as usize * SECTOR..][..ENTRIES_BYTES].copy_from_slice(&entries);
    }
}

/// The CRC of Ethernet and of UEFI's tables (IEEE 802.3, section 3.2.9), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| {
            sum >> 1 ^ (POLYNOMIAL & (sum & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn both_copies_of_a_gpt_name_each_other() {
        let mut disk = blank();
        Table::Gpt.write(&mut disk);
        let header = |sector: u64| &disk[sector as usize * SECTOR..][..SECTOR];
        let last = SECTORS - 1;
        assert_eq!(header(1)[32..40], last.to_le_bytes());
        assert_eq!(header(last)[32..40], 1_u64.to_le_bytes());
        assert_eq!(disk[0x1c2], 0xee);
    }
}
