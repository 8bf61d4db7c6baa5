//! Every way to boot, each to the guest's shell and back to power-off.

use super::session::{Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::loader::{Firmware, Loader};
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "boot-direct-bios",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: |lab| boots(lab, DIRECT_BIOS),
    },
    Case {
        name: "boot-direct-uefi",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: |lab| boots(lab, DIRECT_UEFI),
    },
    Case {
        name: "boot-iso-bios",
        tier: Tier::EveryEngine,
        scope: Scope::Everything,
        machines: Machines::Any,
        body: |lab| boots(lab, ISO_BIOS),
    },
    Case {
        name: "boot-iso-uefi",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| boots(lab, ISO_UEFI),
    },
    // A guest alone lies on a CD that GRUB starts in any case: `boot-iso-bios`.
    Case {
        name: "boot-stick-bios",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| boots(lab, Loader::Stick(Firmware::Bios)),
    },
    Case {
        name: "boot-stick-uefi",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| boots(lab, Loader::Stick(Firmware::Uefi)),
    },
    Case {
        name: "boot-grub-bios",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| boots(lab, Loader::Grub),
    },
    Case {
        name: "boot-pxe",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: |lab| boots(lab, Loader::Pxe),
    },
    // A kernel that the firmware starts from a disk gets no command line, so a guest alone cannot be told its console.
    Case {
        name: "boot-efi-file",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| boots(lab, Loader::EfiFile),
    },
];

const DIRECT_BIOS: Loader = Loader::Direct(Firmware::Bios);
const DIRECT_UEFI: Loader = Loader::Direct(Firmware::Uefi);
const ISO_BIOS: Loader = Loader::Iso(Firmware::Bios);
const ISO_UEFI: Loader = Loader::Iso(Firmware::Uefi);

fn boots(lab: &mut Lab, loader: Loader) -> Result<()> {
    let mut session = lab.step("shell", |lab| {
        let mut session = lab.start(&lab.machine_with(loader), &lab.guest())?;
        session.shell()?;
        Ok(session)
    })?;
    lab.step("commands", |_| {
        let machine = session.run("uname -m")?;
        ensure!(machine == "x86_64", "uname says {machine:?}");
        // Two processes that take turns.
        let count = session.run("head -c 100000 /dev/urandom | wc -c")?;
        ensure!(count == "100000", "a pipe of 100000 bytes carried {count}");
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}
