//! Which memory the guest writes, as Monovisor tells it.

use super::session::{Lab, SOON, SWITCH, Session};
use super::{Case, Machines, Scope, Tier};
use anyhow::{Context, Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "dirty",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: as_the_cpu_can,
    },
    Case {
        name: "dirty-without",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: without,
    },
];

/// What the guest writes on purpose, in MiB.
const WRITTEN_MIB: f64 = 8.0;
/// More than that and all that a guest at its shell writes beside it, and still far from its 256 MiB.
const FAR_TOO_MUCH_MIB: f64 = 64.0;

fn as_the_cpu_can(lab: &mut Lab) -> Result<()> {
    track(lab, "")
}

/// The ways of CPUs that have less.
fn without(lab: &mut Lab) -> Result<()> {
    track(lab, "without = [\"page-modification-log\"]\n")?;
    track(
        lab,
        "without = [\"page-modification-log\", \"nested-dirty-bits\"]\n",
    )
}

fn track(lab: &mut Lab, settings: &str) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.push_str(settings);
    let mut session = lab.start(&lab.machine(), &guest)?;
    session.shell()?;
    let means = start(&mut session)?;
    let step = |what: &str| format!("{means}: {what}");
    // The second time the pages are the same: they are told again only if the CPU notices again.
    for name in ["what is written is told", "written again, told again"] {
        lab.step(&step(name), |_| {
            session.run("dd if=/dev/zero of=/tmp/a bs=1M count=8 conv=notrunc 2>/dev/null")?;
            let told = tell(&mut session)?;
            ensure!(
                (WRITTEN_MIB..FAR_TOO_MUCH_MIB).contains(&told),
                "the guest wrote {WRITTEN_MIB} MiB, and {told} MiB are told"
            );
            Ok(())
        })?;
    }
    lab.step(&step("nothing is told twice"), |_| {
        let told = tell(&mut session)?;
        ensure!(told < WRITTEN_MIB, "{told} MiB are told of an idle guest");
        Ok(())
    })?;
    lab.step(&step("the guest goes on without it"), |_| {
        answer(&mut session, "dirty off", "no longer tracked")?;
        session.run("dd if=/tmp/a of=/tmp/b bs=1M count=1 2>/dev/null")?;
        start(&mut session).map(drop)
    })
}

/// Starts tracking, and returns the means.
fn start(session: &mut Session) -> Result<String> {
    let line = answer(session, "dirty on", "are tracked by ")?;
    let means = line.split(',').next().unwrap_or_default();
    Ok(means.to_owned())
}

/// How many MiB the guest has written.
fn tell(session: &mut Session) -> Result<f64> {
    let line = answer(session, "dirty", "the guest wrote ")?;
    let number = line.split(' ').next().unwrap_or_default();
    number.parse().context(line)
}

/// Says a word at the prompt, and returns what follows `expected` in the line that answers; then the guest's shell is back.
fn answer(session: &mut Session, command: &str, expected: &str) -> Result<String> {
    session.enter_prompt()?;
    session.console.send(&format!("{command}\r"))?;
    let line = session.console.line_after(expected, SOON)?;
    session.console.send(SWITCH)?;
    session.console.send("\n")?;
    session.console.expect("/root # ", SOON)?;
    Ok(line)
}
