//! Systems that come with media of their own, from Debian's packages: each is driven by its screen and the keyboard.

use super::seat::Seat;
use super::session::{BOOT, Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::command;
use crate::debian::Kernel;
use crate::loader::{self, Payload};
use crate::medium::{cd, packaged};
use crate::package::{self, Architecture};
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::process::Command;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    case(
        "system-grub-floppy",
        Tier::Always,
        Machines::WithMedia,
        |lab| {
            let image = packaged(
                "grub-rescue-pc",
                "usr/lib/grub-rescue/grub-rescue-floppy.img",
            )?;
            grub(lab, Pc::with(Place::Floppy, image), "(fd0)")
        },
    ),
    case("system-grub-cd", Tier::Full, Machines::WithMedia, |lab| {
        let image = packaged(
            "grub-rescue-pc",
            "usr/lib/grub-rescue/grub-rescue-cdrom.iso",
        )?;
        grub(lab, Pc::with(Place::Cd, image), "(cd)")
    }),
    // Not on Bochs: what it shows is asked of the prompt, and no interrupt reaches the prompt while it computes with IF clear
    // (docs/engines.md). There it tells the serial line (below).
    case("system-memtest-64", Tier::Always, Machines::Qemu, |lab| {
        memtest(lab, "memtest86+x64.iso")
    }),
    case("system-memtest-32", Tier::Full, Machines::Qemu, |lab| {
        memtest(lab, "memtest86+ia32.iso")
    }),
    case(
        "system-memtest-serial",
        Tier::Full,
        Machines::WithMedia,
        memtest_serial,
    ),
    case("system-ipxe", Tier::Full, Machines::WithMedia, ipxe),
    case("system-hdt", Tier::Full, Machines::WithMedia, hdt),
    case("system-gnumach", Tier::Full, Machines::WithMedia, gnumach),
    case("system-xen", Tier::Full, Machines::WithMedia, xen),
    case("system-invaders", Tier::Full, Machines::WithMedia, invaders),
    case(
        "system-installer-amd64",
        Tier::Full,
        Machines::Qemu,
        |lab| installer(lab, "amd64"),
    ),
    case("system-installer-i386", Tier::Full, Machines::Qemu, |lab| {
        installer(lab, "i386")
    }),
];

const fn case(
    name: &'static str,
    tier: Tier,
    machines: Machines,
    body: fn(&mut Lab) -> Result<()>,
) -> Case {
    Case {
        name,
        tier,
        scope: Scope::Everything,
        machines,
        body,
    }
}

/// For a test of memory to end, or a system to be loaded from a floppy.
const LONG: Duration = Duration::from_secs(300);

/// GRUB comes to its menu, finds the drive that it came from, and answers to keys.
fn grub(lab: &mut Lab, pc: Pc, drive: &str) -> Result<()> {
    let mut seat = lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("GNU GRUB  version 2", BOOT)?;
        Ok(seat)
    })?;
    if !seat.has_keyboard() {
        return Ok(());
    }
    lab.step("keys", |_| {
        seat.types("c")?;
        seat.shows("grub>", SOON)?;
        seat.types("echo The_answer=$grub_platform\n")?;
        seat.shows("The_answer=pc", SOON)?;
        seat.types("ls\n")?;
        seat.shows(drive, SOON).map(drop)
    })
}

/// The memory tester finishes at least its first test, and finds nothing.
fn memtest(lab: &mut Lab, iso: &str) -> Result<()> {
    let image = packaged("memtest86+", &format!("usr/lib/memtest86+/{iso}"))?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 32;
    lab.step("one test without errors", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("Memtest86+ v6", BOOT)?;
        let screen = seat.until("a second test", LONG, |screen| {
            // Test 0 is the first.
            ["Test #1", "Test #2", "Test #3"]
                .iter()
                .any(|test| screen.contains(test))
        })?;
        ensure!(
            screen.contains("Errors: 0"),
            "no count of no errors on\n{screen}"
        );
        Ok(())
    })
}

/// The same, told over the serial line.
fn memtest_serial(lab: &mut Lab) -> Result<()> {
    let payload = Payload {
        kernel: packaged("memtest86+", "boot/memtest86+x64.bin")?,
        initrd: None,
        append: "console=ttyS0,115200 nosmp".to_owned(),
    };
    let image = loader::iso_image(&payload, lab.directory())?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 32;
    lab.step("one test without errors", |lab| {
        let mut session = lab.start_pc(&pc)?;
        session.console.expect("Memtest86+", BOOT)?;
        // Before it come the tests of addresses.
        let said = session.console.expect("[Moving inversions", LONG)?;
        ensure!(said.contains("Errors: 0"), "no count of no errors");
        Ok(())
    })
}

fn ipxe(lab: &mut Lab) -> Result<()> {
    let image = packaged("ipxe", "usr/lib/ipxe/ipxe.iso")?;
    lab.step("banner", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("Open Source Network Boot Firmware", BOOT)
            .map(drop)
    })
}

/// The hardware detection tool looks at the tables and the PCI bus, and lists what it found.
fn hdt(lab: &mut Lab) -> Result<()> {
    let stage = cd::stage(lab.directory())?;
    let image = cd::isolinux(lab.directory(), &stage, "default hdt.c32\nprompt 0\n")?;
    lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("Hardware Detection Tool", BOOT)?;
        seat.shows("PCI Devices(", SOON).map(drop)
    })
}

/// The Mach microkernel comes up from GRUB as a multiboot image, finds its disk, and asks for what it should start.
fn gnumach(lab: &mut Lab) -> Result<()> {
    let kernel = packaged("gnumach-image-1.8-486", "boot/gnumach-1.8-486.gz")?;
    let payload = Payload {
        kernel,
        initrd: None,
        append: String::new(),
    };
    let script = "multiboot /boot/kernel\nboot\n";
    let image = loader::grub_iso(&payload, script, lab.directory())?;
    lab.step("banner", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("GNU Mach 1.8", BOOT)?;
        seat.shows("bootstrap", SOON).map(drop)
    })
}

/// Xen comes up from GRUB, with a Linux that it would start: as far as it comes by itself.
fn xen(lab: &mut Lab) -> Result<()> {
    let hypervisor = packaged("xen-hypervisor-4.17-amd64", "boot/xen-4.17-amd64.gz")?;
    let linux = Kernel::behind("linux-image-amd64", Architecture::Amd64)?;
    let payload = Payload {
        kernel: hypervisor,
        initrd: Some(linux.image()),
        append: String::new(),
    };
    let script = "multiboot2 /boot/kernel console=com1 noreboot loglvl=all\n\
                  module2 /boot/initrd console=hvc0\nboot\n";
    let image = loader::grub_iso(&payload, script, lab.directory())?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 512;
    lab.step("its memory and its first domain", |lab| {
        let mut machine = lab.machine();
        machine.memory_mib = 1024;
        let mut session = lab.start_pc_on(&mut machine, &pc)?;
        for line in [
            "(XEN) Xen version 4.17",
            "(XEN) System RAM: 511MB",
            "(XEN) ENABLING IO-APIC IRQs",
            "(XEN) *** Building a PV Dom0 ***",
            "(XEN) Dom0 has maximum 1 VCPUs",
        ] {
            session.console.expect(line, BOOT)?;
        }
        Ok(())
    })
}

/// A game that is its own operating system, from GRUB of the older kind: it draws on the VGA's text memory.
fn invaders(lab: &mut Lab) -> Result<()> {
    let stage = cd::stage(lab.directory())?;
    let game = packaged("grub-invaders", "boot/invaders.exec")?;
    fs::copy(game, stage.join("game"))?;
    let menu = "title Invaders\nkernel /game\n";
    let image = cd::grub_legacy(lab.directory(), &stage, menu)?;
    lab.step("screen", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("GNU GRUB  version 0.97", BOOT)?;
        if seat.has_keyboard() {
            seat.presses("ret")?;
            seat.shows("-*-", SOON)?;
        }
        Ok(())
    })
}

/// Debian's installer for the network: its boot menu, drawn by VESA, and then its first question.
fn installer(lab: &mut Lab, architecture: &str) -> Result<()> {
    let package = format!("debian-installer-12-netboot-{architecture}");
    let tree = package::fetch(&package, Architecture::Amd64)?
        .join("usr/lib/debian-installer/images/12")
        .join(architecture)
        .join("text/debian-installer");
    let config = tree.join(format!("{architecture}/boot-screens/syslinux.cfg"));
    let config =
        fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let stage = cd::stage(lab.directory())?;
    let mut copy = Command::new("cp");
    command::output(copy.arg("-r").arg(tree).arg(stage.join("debian-installer")))?;
    let image = cd::isolinux(lab.directory(), &stage, &config)?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 1024;
    let mut seat = lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("graphics, 640x480", BOOT)?;
        Ok(seat)
    })?;
    lab.step("boot prompt", |_| {
        // A picture does not tell when the menu takes keys.
        seat.until_pressing("esc", "boot:")
    })?;
    lab.step("first question", |_| {
        // Without a driver for the display adapter the question is text.
        seat.types("install vga=normal fb=false nomodeset\n")?;
        seat.shows("Choose the language", LONG).map(drop)
    })
}
