//! Guests that boot from their own media, through the BIOS.

use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::loader::{self, Payload};
use crate::machine::Machine;
use crate::pc::{Pc, Place};
use crate::program::{Form, build};
use anyhow::{Context, Result, ensure};
use appliance::{CONFIG_NAME, newc::Writer};
use std::fs;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "bios-cd",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: grub_cd,
    },
    Case {
        name: "bios-bad-media",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: bad_media,
    },
    Case {
        name: "bios-callers",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: callers,
    },
    Case {
        name: "bios-menu",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: menu,
    },
];

const MIB: usize = 1 << 20;
const SECTOR_BYTES: usize = 512;

/// GRUB on a CD loads Debian's kernel through INT 13h, and the kernel finds the tables that the BIOS left.
fn grub_cd(lab: &mut Lab) -> Result<()> {
    let image = loader::iso_image(&lab.guest().payload(), lab.directory())?;
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    let config = "boot = \"d\"\ndisk = [\"file:boot.iso,hdc:cdrom,r\"]\n";
    let mut session = lab.step("shell", |lab| {
        let mut session = start(lab, config, &[("boot.iso", &image)])?;
        let said = session.shell()?;
        for line in ["ACPI: RSDP 0x00000000000F0000", "SMBIOS 3.0.0 present"] {
            ensure!(said.contains(line), "the kernel did not say {line:?}");
        }
        Ok(session)
    })?;
    lab.step("commands", |_| {
        let machine = session.run("uname -m")?;
        ensure!(machine == "x86_64", "uname says {machine:?}");
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// A disk's boot sector that says this on the serial line, by INT 14h, and halts.
pub(super) fn speaking_disk() -> Vec<u8> {
    #[rustfmt::skip]
    const PROGRAM: [u8; 0x15] = [
        0xbe, 0x15, 0x7c,                    // MOV SI, 7C15h
        0xfc,                                // CLD
        0xac,                                // LODSB
        0x84, 0xc0, 0x74, 0x08,              // TEST AL, AL; JZ 7C11h
        0xb4, 0x01, 0x31, 0xd2, 0xcd, 0x14,  // MOV AH, 1; XOR DX, DX; INT 14h
        0xeb, 0xf3,                          // JMP 7C04h
        0xfb, 0xf4, 0xeb, 0xfd,              // STI; HLT; JMP
    ];
    let mut disk = vec![0; MIB];
    disk[..PROGRAM.len()].copy_from_slice(&PROGRAM);
    disk[PROGRAM.len()..][..SPOKEN.len()].copy_from_slice(SPOKEN.as_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    disk
}

pub(super) const SPOKEN: &str = "the next device speaks";

/// A CD with a boot record, whose catalog is said to be at sector `catalog` and is at 19, and whose boot image is at `image`.
fn bootable_cd(catalog: u32, image: u32) -> Vec<u8> {
    const SECTOR: usize = 2048;
    let mut cd = vec![0; MIB];
    cd[17 * SECTOR..][..30].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION");
    cd[17 * SECTOR + 0x47..][..4].copy_from_slice(&catalog.to_le_bytes());
    let entries = &mut cd[19 * SECTOR..];
    entries[0] = 1;
    // What makes the sum of the words zero.
    entries[28..32].copy_from_slice(&[0xaa, 0x55, 0x55, 0xaa]);
    entries[32] = 0x88;
    entries[32 + 6] = 4;
    entries[32 + 8..][..4].copy_from_slice(&image.to_le_bytes());
    cd
}

/// Media that nothing can be started from: the screen and the log name each with its reason, and the next device starts.
fn bad_media(lab: &mut Lab) -> Result<()> {
    let blank = vec![0; MIB];
    let disk = speaking_disk();
    let outside = bootable_cd(0x1_0000, 20);
    let truncated = &bootable_cd(19, 500)[..600 * SECTOR_BYTES + 100];
    let files = [
        ("floppy", &blank[..]),
        ("outside", &outside),
        ("truncated", truncated),
        ("disk", &disk),
    ];
    let bad = [
        (
            "file:floppy,fda,w",
            "diskette",
            "its boot sector ends in 00 00, not 55 aa",
        ),
        (
            "file:outside,hdc:cdrom,r",
            "CD",
            "its boot catalog is at sector 65536, behind its end",
        ),
        (
            "file:truncated,hdc:cdrom,r",
            "CD",
            "its boot image at sector 500 reaches behind its end",
        ),
        (",raw,hdc,ro,cdrom", "CD", "no medium is in the drive"),
    ];
    for (line, device, reason) in bad {
        let config = format!("boot = \"adnc\"\ndisk = [\"{line}\", \"file:disk,hda,w\"]\n");
        lab.step(&format!("{device}: {reason}"), |lab| {
            let mut session = start(lab, &config, &files)?;
            let said = session.console.expect(SPOKEN, SOON)?;
            let complaint = format!("boot from {device}: {reason}");
            for words in [
                &complaint,
                "boot from network: the guest has no network card",
            ] {
                ensure!(said.contains(words), "the log has no {words:?}");
            }
            session.enter_prompt()?;
            let screen = session.screen()?.replace('\n', "");
            let complaint = complaint.replace("boot from", "Boot from");
            ensure!(screen.contains(&complaint), "the screen shows\n{screen}");
            session.prompt_is_alive()
        })?;
    }
    lab.step("nothing to start", |lab| {
        let config = "boot = \"c\"\ndisk = [\"file:floppy,hda,w\"]\n";
        let mut session = start(lab, config, &files)?;
        for complaint in [
            "boot from hard disk: its boot sector ends in 00 00",
            "no boot device could be started",
        ] {
            session.console.expect(complaint, SOON)?;
        }
        session.enter_prompt()?;
        session.screen_shows("No device could be started.", SOON)?;
        session.prompt_is_alive()
    })
}

/// A guest that calls from unreal mode, and from virtual-8086 mode under page tables of its own.
fn callers(lab: &mut Lab) -> Result<()> {
    let payload = Payload {
        kernel: build("callers", Form::Kernel)?,
        initrd: None,
        append: String::new(),
    };
    let cd = loader::grub_iso(&payload, "linux /boot/kernel\nboot\n", lab.directory())?;
    let disk = lab.directory().join("disk");
    let words = (0..u32::try_from(MIB / 4)?).flat_map(u32::to_le_bytes);
    fs::write(&disk, words.collect::<Vec<_>>())?;
    let pc = Pc::with(Place::Cd, cd).and(Place::Disk, disk);
    let mut session = lab.step("unreal mode", |lab| {
        let mut session = lab.start_pc(&pc)?;
        let verdict = session.console.line_after("CALLERS unreal ", BOOT)?;
        ensure!(verdict == "00000000", "check {verdict} failed");
        Ok(session)
    })?;
    lab.step("virtual-8086 mode", |_| {
        let verdict = session.console.line_after("CALLERS vm86 ", SOON)?;
        ensure!(
            verdict == "00000000 faults 00000004",
            "the guest says {verdict:?}"
        );
        Ok(())
    })
}

/// Esc on the serial line opens the boot menu, a digit starts the second disk, and its boot sector speaks by INT 14h and
/// turns the machine off by APM.
fn menu(lab: &mut Lab) -> Result<()> {
    #[rustfmt::skip]
    const PROGRAM: [u8; 0x26] = [
        0xbe, 0x26, 0x7c,                    // MOV SI, 7C26h
        0xfc,                                // CLD
        0xac,                                // LODSB
        0x84, 0xc0, 0x74, 0x08,              // TEST AL, AL; JZ 7C11h
        0xb4, 0x01, 0x31, 0xd2, 0xcd, 0x14,  // MOV AH, 1; XOR DX, DX; INT 14h
        0xeb, 0xf3,                          // JMP 7C04h
        0xb8, 0x01, 0x53, 0x31, 0xdb,        // MOV AX, 5301h; XOR BX, BX
        0xcd, 0x15,                          // INT 15h: connect
        0xb8, 0x07, 0x53, 0xbb, 0x01, 0x00,  // MOV AX, 5307h; MOV BX, 1
        0xb9, 0x03, 0x00, 0xcd, 0x15,        // MOV CX, 3; INT 15h: off
        0xf4, 0xeb, 0xfd,                    // HLT; JMP
    ];
    const TEXT: &[u8] = b"the second disk speaks\0";
    let mut disk = vec![0; MIB];
    disk[..PROGRAM.len()].copy_from_slice(&PROGRAM);
    disk[PROGRAM.len()..][..TEXT.len()].copy_from_slice(TEXT);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let config =
        "boot = \"c\"\nboot_menu_s = 60\ndisk = [\"file:blank,hda,w\", \"file:disk,hdb,w\"]\n";
    let files = [("blank", &vec![0; MIB][..]), ("disk", &disk)];
    let mut session = lab.step("offer", |lab| {
        let mut session = start(lab, config, &files)?;
        session
            .console
            .expect("Press Esc or F12 for the boot menu.", SOON)?;
        Ok(session)
    })?;
    lab.step("menu", |_| {
        session.console.send("\x1b")?;
        session
            .console
            .expect("2  hard disk 2: 1024 KiB", SOON)
            .map(drop)
    })?;
    lab.step("second disk", |_| {
        session.console.send("2")?;
        session
            .console
            .expect("the second disk speaks", SOON)
            .map(drop)
    })?;
    lab.step("power off by APM", |_| {
        session.console.ended(SOON).map(drop)
    })
}

/// Starts Monovisor with a bundle of this configuration and these files.
fn start(lab: &Lab, config: &str, files: &[(&str, &[u8])]) -> Result<Session> {
    start_on(lab, &lab.machine(), config, files)
}

/// The same on any machine.
pub(super) fn start_on(
    lab: &Lab,
    machine: &Machine,
    config: &str,
    files: &[(&str, &[u8])],
) -> Result<Session> {
    start_sized(lab, machine, 192, config, files)
}

/// The same with any amount of memory.
pub(super) fn start_sized(
    lab: &Lab,
    machine: &Machine,
    memory_mib: u32,
    config: &str,
    files: &[(&str, &[u8])],
) -> Result<Session> {
    let mut archive = Writer::new();
    let config = format!("name = \"guest\"\nmemory = {memory_mib}\n{config}");
    let too_long = "too long for cpio";
    archive
        .file(CONFIG_NAME, config.as_bytes())
        .context(too_long)?;
    for (name, content) in files {
        archive.file(name, content).context(too_long)?;
    }
    lab.start_bundle(machine, Some(&archive.finish()))
}
