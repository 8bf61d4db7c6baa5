//! The options of the host's CPU: what they do where they are there, and that a guest runs without every one of them.

use super::session::{Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use anyhow::{Context, Result, bail, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "options-left-out",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: |lab| left_out(lab, OPTIONS),
    },
    // What is left then is the TPR shadow alone.
    Case {
        name: "options-no-apicv",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: |lab| left_out(lab, "apicv, posted-interrupts"),
    },
    Case {
        name: "options-tsc-rate",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: tsc_rate,
    },
    Case {
        name: "options-apicv",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: apicv,
    },
    Case {
        name: "options-unknown",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: unknown,
    },
];

/// All that can be left out and that a guest with paging can do without.
const OPTIONS: &str = "tags, huge-pages, apicv, next-rip, decode-assists, clean-bits, flush-by-tag, unrestricted-guest, \
                       virtual-nmi, tsc-scaling, preemption-timer, pause-filter, posted-interrupts, nested-dirty-bits, \
                       tpr-shadow, apic-access-page, x2apic-virtualization, msr-controls";

fn left_out(lab: &mut Lab, options: &str) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings = format!("without = \"{options}\"\n");
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step("shell", |_| {
        let said = session.shell()?;
        for option in options.split(", ") {
            let line = format!("the CPU's {option} is not used");
            ensure!(said.contains(&line), "no line says that {line}");
        }
        Ok(())
    })?;
    lab.step("power-off", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// A CPU that scales its TSC shows the guest another rate; others say that they cannot.
fn tsc_rate(lab: &mut Lab) -> Result<()> {
    const MHZ: u32 = 20;
    let mut guest = lab.guest();
    guest.settings = format!("tsc_mhz = {MHZ}\n");
    let mut session = lab.start(&lab.machine(), &guest)?;
    let report = session
        .console
        .expect("guest mode:", super::session::BOOT)?;
    if !report.contains("TSC scaling") {
        return lab.step("refused where the CPU cannot", |_| {
            let said = session.offered_prompt()?;
            let complete = |line: &str| line.contains("tsc_mhz = 20") && line.contains("MHz");
            ensure!(said.lines().any(complete), "no line says why");
            session.prompt_is_alive()
        });
    }
    lab.step("the guest finds the rate that was asked for", |_| {
        session.shell()?;
        let line = session.run("grep -m1 MHz /proc/cpuinfo")?;
        let shown = line.rsplit(':').next().unwrap_or_default().trim();
        let mhz: f64 = shown
            .parse()
            .with_context(|| format!("`{line}` names no rate"))?;
        if (mhz - f64::from(MHZ)).abs() > 1.0 {
            bail!("the guest found {mhz} MHz");
        }
        Ok(())
    })
}

/// The CPU serves the local APIC where it can, which the default guest of some engines goes without.
fn apicv(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.clear();
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step("boots with all of the CPU's options", |_| {
        session.shell().map(drop)
    })?;
    lab.step("power-off", |_| {
        session.leave("poweroff -f")?;
        session.console.ended(SOON).map(drop)
    })
}

fn unknown(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings = "without = \"florizel\"\n".to_owned();
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step(
        "an unknown option is refused, and the known ones are listed",
        |_| {
            let said = session.offered_prompt()?;
            let complete = |line: &str| {
                ["monovisor.toml", "florizel", "preemption timer"]
                    .iter()
                    .all(|word| line.contains(word))
            };
            ensure!(said.lines().any(complete), "no line says all of it");
            session.prompt_is_alive()
        },
    )
}
