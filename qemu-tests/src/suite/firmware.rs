//! Guests that boot from their own media, through the BIOS.

use super::session::{Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::loader;
use crate::machine::Machine;
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
];

const MIB: usize = 1 << 20;

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

/// A floppy without boot sector, a CD that is cut off, an empty network: each is named, and the BIOS waits for a key.
fn bad_media(lab: &mut Lab) -> Result<()> {
    let mut cd = vec![0; MIB];
    cd[17 * 2048..][..30].copy_from_slice(b"\0CD001\x01EL TORITO SPECIFICATION");
    cd[17 * 2048 + 0x47..][..4].copy_from_slice(&[0, 0, 1, 0]);
    let config = "boot = \"adcn\"\n\
                  disk = [\"file:floppy,fda,w\", \"file:cd,hdc:cdrom,r\", \"file:disk,hda,w\"]\n";
    let blank = vec![0; MIB];
    let files = [("floppy", &blank[..]), ("cd", &cd), ("disk", &blank)];
    let mut session = lab.step("complaints", |lab| {
        let mut session = start(lab, config, &files)?;
        for complaint in [
            "boot from diskette: its boot sector ends in 00 00",
            "boot from CD: its boot catalog is at sector 65536, behind its end",
            "boot from hard disk: its boot sector ends in 00 00",
            "boot from network: no network card has a boot ROM",
            "no boot device could be started",
        ] {
            session.console.expect(complaint, SOON)?;
        }
        Ok(session)
    })?;
    lab.step("prompt", |_| {
        session.enter_prompt()?;
        session.prompt_is_alive()
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
