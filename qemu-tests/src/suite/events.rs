//! Events reach the guest where the manuals say: the guest `events` counts NMIs, interrupts, debug exceptions and timer ticks.
//!
//! The emulators' own mistakes are named here; they are the guest's alone, too (`bare@…`).

use super::session::{BOOT, Lab, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::engine::{Emulator, Subject, Virtualization};
use crate::program::{Form, build};
use anyhow::{Result, bail, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "events",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::Any,
        body: events,
    },
    Case {
        name: "events-in-software",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::VmxEpt,
        body: in_software,
    },
];

/// What the guest checks at least; the rest depends on the CPU's features.
const CHECKS: usize = 40;

/// What an emulated CPU gets wrong by itself: check, reason.
fn mistakes(emulator: Emulator) -> &'static [(&'static str, &'static str)] {
    match emulator {
        Emulator::Qemu(_) => &[
            (
                "step-sti",
                "QEMU single-steps over STI with the next instruction",
            ),
            ("icebp", "QEMU does not know INT1"),
            ("watch-step", "QEMU reports old hits of a watchpoint"),
            ("guard", "QEMU has no DR7.GD"),
            (
                "nmi-shadow-kept",
                "QEMU lets NMIs into the shadow of MOV SS",
            ),
        ],
        Emulator::Bochs(_) => &[],
    }
}

/// What Monovisor cannot do on AMD-V without virtual NMIs; see `docs/limits.md`.
const AMD_V: &[(&str, &str)] = &[(
    "nmi-behind-trap",
    "an NMI behind an injected exception enters a moment later",
)];

fn events(lab: &mut Lab) -> Result<()> {
    let limits = match (lab.subject(), lab.virtualization()) {
        (Subject::Monovisor, Virtualization::SvmNpt | Virtualization::SvmShadow) => AMD_V,
        _ => &[],
    };
    run(lab, "", limits)
}

/// Without what the CPU does for NMIs and for the task priority.
fn in_software(lab: &mut Lab) -> Result<()> {
    run(lab, "without = [\"virtual-nmi\", \"tpr-shadow\"]\n", &[])
}

fn run(lab: &mut Lab, settings: &str, limits: &[(&str, &str)]) -> Result<()> {
    let excuses = [mistakes(lab.emulator()), limits].concat();
    lab.step("every event comes once, and in its place", |lab| {
        let mut guest = Guest::new(build("events", Form::Kernel)?);
        guest.settings = settings.to_owned();
        let mut session = lab.start(&lab.machine(), &guest)?;
        let said = session.console.expect("EVENTS done", BOOT)?;
        session.console.ended(SOON)?;
        judge(&said, &excuses)
    })
}

/// Reads what the guest printed.
fn judge(said: &str, excuses: &[(&str, &str)]) -> Result<()> {
    let lines = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("EVENTS ")?.split_once(' '));
    let mut good = 0;
    let mut bad = Vec::new();
    for (check, verdict) in lines {
        let excused = excuses.iter().any(|(name, _)| *name == check);
        match verdict.split(' ').next() {
            Some("ok") => good += 1,
            Some("bad") if excused => good += 1,
            _ => bad.push(format!("{check} {verdict}")),
        }
    }
    if !bad.is_empty() {
        bail!("the guest says: {}", bad.join(", "));
    }
    ensure!(good >= CHECKS, "the guest made {good} checks");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_named_mistakes_are_excused() {
        let many = "EVENTS nmi ok 200\r\n".repeat(CHECKS);
        let bad = many.clone() + "EVENTS guard bad 3 of 50\r\n";
        assert!(judge(&many, &[]).is_ok());
        assert!(judge(&bad, &[("guard", "")]).is_ok());
        let error = judge(&bad, &[("icebp", "")]).unwrap_err().to_string();
        assert!(error.contains("guard bad 3 of 50"), "{error}");
        assert!(judge("EVENTS nmi ok 200\r\n", &[]).is_err());
    }
}
