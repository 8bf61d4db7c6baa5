//! Hosts: without the CPU feature, with two CPUs, with another chipset, CPU model or size.

use super::session::{BOOT, Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::loader::{Firmware, Loader};
use crate::machine::Machine;
use anyhow::{Result, bail, ensure};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "host-without-svm",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: without_svm,
    },
    Case {
        name: "host-two-cpus",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: two_cpus,
    },
    Case {
        name: "host-q35",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: q35,
    },
    Case {
        name: "host-uefi-two-cpus",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: uefi_two_cpus,
    },
    Case {
        name: "host-4-gib",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: four_gib,
    },
    Case {
        name: "host-opteron",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: opteron,
    },
    Case {
        name: "host-max",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: max,
    },
];

fn without_svm(lab: &mut Lab) -> Result<()> {
    lab.step(
        "a clear message, then a halt that is no reset loop",
        |lab| {
            let mut machine = lab.machine();
            machine.extra = ["-cpu", "EPYC,-svm"].map(str::to_owned).into();
            let mut session = lab.start(&machine, &lab.guest())?;
            let said = session.console.line_after("AMD-V", BOOT)?;
            // `-no-reboot` turns a reset into an end.
            match session.console.ended(Duration::from_secs(5)) {
                Ok(_) => bail!("the machine went off or was reset after it said {said:?}"),
                Err(_) => Ok(()),
            }
        },
    )
}

/// Boots to the shell, checks, and powers off.
fn works(lab: &mut Lab, machine: Machine) -> Result<String> {
    let mut session = lab.start(&machine, &lab.guest())?;
    let said = lab.step("shell", |_| session.shell())?;
    lab.step("disk", |_| {
        let said = session.run("disk-check")?;
        ensure!(said.contains("read it back"), "{said}");
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })?;
    Ok(said)
}

fn two_cpus(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.cpus = 2;
    works(lab, machine).map(drop)
}

fn q35(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.chipset = "q35";
    works(lab, machine).map(drop)
}

fn uefi_two_cpus(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine_with(Loader::Iso(Firmware::Uefi));
    machine.cpus = 2;
    works(lab, machine).map(drop)
}

/// Part of the memory lies above 4 GiB.
fn four_gib(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.memory_mib = 4096;
    works(lab, machine).map(drop)
}

fn opteron(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.extra = ["-cpu", "Opteron_G3,+svm,+npt,-monitor"]
        .map(str::to_owned)
        .into();
    works(lab, machine).map(drop)
}

fn max(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.extra = ["-cpu", "max,-monitor"].map(str::to_owned).into();
    works(lab, machine).map(drop)
}
