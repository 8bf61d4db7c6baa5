//! The CPU's options, left out by name: what has a software path must work by it, on CPUs that have the option, too.

use super::session::{Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "options-none",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: |lab| boots_without(lab, &ALL),
    },
    Case {
        name: "options-no-apic",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: |lab| boots_without(lab, &["apicv", "posted-interrupts"]),
    },
];

/// Every option that the configuration's `without` knows.
const ALL: [&str; 16] = [
    "tags",
    "huge-pages",
    "apicv",
    "next-rip",
    "decode-assists",
    "clean-bits",
    "flush-by-tag",
    "unrestricted-guest",
    "virtual-nmi",
    "tsc-scaling",
    "preemption-timer",
    "pause-filter",
    "posted-interrupts",
    "nested-dirty-bits",
    "tpr-shadow",
    "msr-controls",
];

fn boots_without(lab: &mut Lab, names: &[&str]) -> Result<()> {
    let mut guest = lab.guest();
    let list = names.join(", ");
    guest.settings.push_str(&format!("without = \"{list}\"\n"));
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step("shell", |_| {
        let said = session.shell()?;
        for name in names {
            let line = format!("the CPU's {name} is not used");
            ensure!(said.contains(&line), "no line says that {line}");
        }
        Ok(())
    })?;
    lab.step("disk and clock", |_| {
        session.run("disk-check")?;
        session.run("sleep 1").map(drop)
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}
