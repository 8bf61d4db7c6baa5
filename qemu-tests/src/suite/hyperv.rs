//! Hyper-V's interface: a guest that uses it by itself, and Linux where KVM's is not beside it.

use super::clocks;
use super::session::{BOOT, Lab, SOON};
use super::smp::prove;
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::program::{Form, build};
use anyhow::{Result, ensure};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "hyperv",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: alone,
    },
    Case {
        name: "hyperv-linux",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: linux,
    },
];

/// Checks of the guest `hyperv`.
const CHECKS: usize = 5;
const WARP_LIMIT: Duration = Duration::from_secs(120);

fn alone(lab: &mut Lab) -> Result<()> {
    lab.step("leaves, pages and registers", |lab| {
        let mut guest = Guest::new(build("hyperv", Form::Kernel)?);
        guest.settings = "viridian = 1\n".to_owned();
        let mut session = lab.start(&lab.machine(), &guest)?;
        let said = session.console.expect("HYPERV done", BOOT)?;
        session.console.ended(SOON)?;
        // The hypervisor's own lines may come between.
        let good = said
            .lines()
            .filter(|line| line.starts_with("HYPERV ") && line.trim_end().ends_with(" ok"))
            .count();
        let bad = said.lines().find(|line| line.contains(" bad "));
        ensure!(bad.is_none() && good == CHECKS, "the guest says: {bad:?}");
        Ok(())
    })
}

fn linux(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.cpus = 2;
    let mut guest = clocks::guest(lab)?;
    guest.vcpus = 2;
    guest.settings.push_str("viridian = 1\nkvm = 0\n");
    let mut session = lab.start(&machine, &guest)?;
    session.shell()?;
    lab.step("Linux finds Hyper-V", |_| {
        let said = session.run("dmesg | grep -i hyper-v")?;
        ensure!(
            said.contains("Hypervisor detected: Microsoft Hyper-V"),
            "it says {said:?}"
        );
        Ok(())
    })?;
    let sources = ["hyperv_clocksource_tsc_page", "tsc", "hpet", "acpi_pm"];
    lab.step("its clock agrees with the others", |_| {
        clocks::agree(&mut session, &sources)
    })?;
    lab.step("no warps by it", |_| {
        clocks::select(&mut session, sources[0])?;
        prove(&mut session, "warp", 200_000, WARP_LIMIT)
    })?;
    lab.step("no complaints", |_| clocks::complaints(&mut session))
}
