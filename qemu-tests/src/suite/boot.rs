//! Every way to boot, each to the guest's shell and back to power-off.

use super::session::{Lab, SOON};
use super::{Case, Scope, Tier};
use crate::loader::{Firmware, Loader};
use anyhow::Result;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "boot-direct-bios",
        tier: Tier::Always,
        scope: Scope::Everything,
        body: |lab| boots(lab, DIRECT_BIOS),
    },
    Case {
        name: "boot-direct-uefi",
        tier: Tier::Always,
        scope: Scope::Everything,
        body: |lab| boots(lab, DIRECT_UEFI),
    },
    Case {
        name: "boot-iso-bios",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        body: |lab| boots(lab, ISO_BIOS),
    },
    Case {
        name: "boot-iso-uefi",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        body: |lab| boots(lab, ISO_UEFI),
    },
    Case {
        name: "boot-pxe",
        tier: Tier::Always,
        scope: Scope::Everything,
        body: |lab| boots(lab, Loader::Pxe),
    },
    // A kernel that the firmware starts from a disk gets no command line, so a guest alone cannot be told its console.
    Case {
        name: "boot-efi-file",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
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
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}
