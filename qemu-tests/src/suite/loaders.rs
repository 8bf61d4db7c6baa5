//! Boot loaders of Debian's packages on every kind of medium: each reads more of itself through the BIOS, shows it, and goes on.

use super::seat::Seat;
use super::session::{BOOT, Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::loader::Payload;
use crate::medium::cd::{self, Emulation};
use crate::medium::disk::{self, Table};
use crate::medium::{Entry, floppy, module};
use crate::pc::{Pc, Place};
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

pub(super) const CASES: &[Case] = &[
    case("loader-syslinux-floppy", Tier::Always, syslinux_floppy),
    case("loader-syslinux-disk", Tier::Full, syslinux_disk),
    case("loader-memdisk-floppy", Tier::Full, memdisk_floppy),
    case("loader-memdisk-disk", Tier::Full, memdisk_disk),
    case("loader-chain", Tier::Full, chain),
    case("loader-emulated-floppy", Tier::Full, |lab| {
        let inner = menu_floppy(lab)?;
        emulated(lab, inner, Emulation::Floppy)
    }),
    case("loader-emulated-disk", Tier::Full, |lab| {
        let inner = menu_disk(lab)?;
        emulated(lab, inner, Emulation::Disk)
    }),
    case("loader-grub-legacy", Tier::Full, grub_legacy),
    case("loader-grub-mbr", Tier::Full, |lab| grub(lab, Table::Mbr)),
    case("loader-grub-gpt", Tier::Full, |lab| grub(lab, Table::Gpt)),
];

const fn case(name: &'static str, tier: Tier, body: fn(&mut Lab) -> Result<()>) -> Case {
    Case {
        name,
        tier,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body,
    }
}

/// SYSLINUX' menu, whose second entry lists the memory as the BIOS tells it, and whose third switches off by APM.
const MENU: &str = "default menu.c32\nprompt 0\nmenu title The inner menu\n\
                    label first\nmenu label First\ncom32 meminfo.c32\n\
                    label memory\nmenu label Memory\ncom32 meminfo.c32\n\
                    label off\nmenu label Off\ncom32 poweroff.c32\n";
const TITLE: &str = "The inner menu";

fn modules() -> Result<Vec<Entry>> {
    [
        "menu.c32",
        "libutil.c32",
        "libcom32.c32",
        "meminfo.c32",
        "poweroff.c32",
    ]
    .into_iter()
    .map(module)
    .collect()
}

fn menu_floppy(lab: &Lab) -> Result<PathBuf> {
    floppy::syslinux(lab.directory(), MENU, &modules()?)
}

fn menu_disk(lab: &Lab) -> Result<PathBuf> {
    disk::syslinux(lab.directory(), MENU, &modules()?)
}

/// The menu comes, and, where there are keys, its second entry.
fn menu(lab: &mut Lab, pc: &Pc) -> Result<Seat> {
    let mut seat = lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, pc)?;
        seat.shows(TITLE, BOOT)?;
        seat.shows("Press [Tab] to edit options", SOON)?;
        Ok(seat)
    })?;
    if seat.has_keyboard() {
        lab.step("memory map", |_| {
            seat.presses("down")?;
            seat.presses("ret")?;
            seat.shows("INT 15 88: 0xfc00 (64512K)", SOON)?;
            seat.shows("1 [-] usable", SOON)
        })?;
    }
    Ok(seat)
}

fn syslinux_floppy(lab: &mut Lab) -> Result<()> {
    let image = menu_floppy(lab)?;
    menu(lab, &Pc::with(Place::Floppy, image)).map(drop)
}

fn syslinux_disk(lab: &mut Lab) -> Result<()> {
    let image = menu_disk(lab)?;
    let mut seat = menu(lab, &Pc::with(Place::Disk, image))?;
    if !seat.has_keyboard() {
        return Ok(());
    }
    lab.step("power off", |_| {
        seat.types("off\n")?;
        seat.session.console.ended(SOON).map(drop)
    })
}

fn emulated(lab: &mut Lab, inner: PathBuf, emulation: Emulation) -> Result<()> {
    let image = cd::emulating(lab.directory(), &inner, emulation)?;
    menu(lab, &Pc::with(Place::Cd, image)).map(drop)
}

/// ISOLINUX does this at once.
fn isolinux(lab: &Lab, what: &str, inner: Option<PathBuf>) -> Result<PathBuf> {
    let stage = cd::stage(lab.directory())?;
    if let Some(inner) = inner {
        fs::copy(inner, stage.join("inner.img"))?;
    }
    let config = format!("default only\nprompt 0\nlabel only\n{what}\n");
    cd::isolinux(lab.directory(), &stage, &config)
}

/// MEMDISK takes a diskette into memory, hooks INT 13h and INT 15h, and boots it.
fn memdisk_floppy(lab: &mut Lab) -> Result<()> {
    let inner = menu_floppy(lab)?;
    let image = isolinux(lab, "linux memdisk\ninitrd inner.img", Some(inner))?;
    shown_menu(lab, &Pc::with(Place::Cd, image))
}

/// The same with a hard disk.
fn memdisk_disk(lab: &mut Lab) -> Result<()> {
    let inner = menu_disk(lab)?;
    let image = isolinux(
        lab,
        "linux memdisk\ninitrd inner.img\nappend harddisk",
        Some(inner),
    )?;
    shown_menu(lab, &Pc::with(Place::Cd, image))
}

/// A loader on a CD starts the loader on the disk.
fn chain(lab: &mut Lab) -> Result<()> {
    let inner = menu_disk(lab)?;
    let image = isolinux(lab, "com32 chain.c32\nappend hd0", None)?;
    let pc = Pc::with(Place::Cd, image).and(Place::Disk, inner);
    menu(lab, &pc).map(drop)
}

/// The menu comes, from a medium that takes some of the memory.
fn shown_menu(lab: &mut Lab, pc: &Pc) -> Result<()> {
    lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, pc)?;
        seat.shows(TITLE, BOOT)?;
        seat.shows("Press [Tab] to edit options", SOON).map(drop)
    })
}

/// GRUB 0.97 finds itself on a diskette, and the disk that is there.
fn grub_legacy(lab: &mut Lab) -> Result<()> {
    let image = floppy::grub_legacy(lab.directory())?;
    let disk = lab.directory().join("other.img");
    fs::write(&disk, vec![0; 8 << 20])?;
    let pc = Pc::with(Place::Floppy, image).and(Place::Disk, disk);
    let mut seat = lab.step("prompt", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("grub>", BOOT)?;
        Ok(seat)
    })?;
    if !seat.has_keyboard() {
        return Ok(());
    }
    lab.step("keys", |_| {
        seat.types("geometry (hd0)\n")?;
        seat.shows("The number of sectors = 16384, LBA", SOON)?;
        seat.types("displaymem\n")?;
        seat.shows("Usable RAM", SOON).map(drop)
    })
}

/// GRUB 2 on a hard disk loads Debian's kernel from it, and the kernel finds the partitions.
fn grub(lab: &mut Lab, table: Table) -> Result<()> {
    let Payload {
        kernel,
        initrd,
        append,
    } = lab.guest().payload();
    let mut files = vec![Entry::new(kernel, "kernel")];
    files.extend(initrd.map(|initrd| Entry::new(initrd, "initrd")));
    let script = format!("linux /kernel {append}\ninitrd /initrd\nboot\n");
    let image = disk::grub(lab.directory(), table, &script, &files)?;
    lab.step("shell", |lab| {
        let mut session = lab.start_pc(&Pc::with(Place::Disk, image))?;
        session.shell().map(drop)
    })
}
