//! Guests that bring themselves down: the report names the registers, the bytes and the reason, and `on_crash` is obeyed.

use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::program::{Form, build};
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "crash-triple-fault",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: triple_fault,
    },
    Case {
        name: "crash-unemulated",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: unemulated,
    },
    Case {
        name: "crash-destroy",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: destroy,
    },
    Case {
        name: "crash-restart",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: restart,
    },
];

/// The address of the instruction that fails in both guests is in the first page of their image.
const RIP: &str = "1002";

fn start(lab: &Lab, program: &str, on_crash: &str) -> Result<Session> {
    let mut guest = Guest::new(build(program, Form::Kernel)?);
    guest.settings = format!("on_crash = \"{on_crash}\"\n");
    lab.start(&lab.machine(), &guest)
}

/// The machine's report up to the prompt, which answers.
fn report(session: &mut Session, words: &[&str]) -> Result<()> {
    let said = session.offered_prompt()?.to_lowercase();
    for word in words {
        ensure!(
            said.contains(&word.to_lowercase()),
            "the report says nothing of {word:?}"
        );
    }
    session.prompt_is_alive()
}

fn triple_fault(lab: &mut Lab) -> Result<()> {
    lab.step("report and prompt", |lab| {
        let mut session = start(lab, "triple_fault", "preserve")?;
        report(
            &mut session,
            &["triple fault", "rip", RIP, "rax", "7219feed", "cr0", "cc"],
        )
    })
}

fn unemulated(lab: &mut Lab) -> Result<()> {
    lab.step("report and prompt", |lab| {
        let mut session = start(lab, "unemulated", "preserve")?;
        report(&mut session, &["emulat", "rip", RIP, "db 2d 00 00 00 d0"])
    })
}

fn destroy(lab: &mut Lab) -> Result<()> {
    lab.step("host powers off", |lab| {
        let mut session = start(lab, "triple_fault", "destroy")?;
        let said = session.console.ended(BOOT)?.to_lowercase();
        ensure!(said.contains("triple fault"), "no report before the end");
        Ok(())
    })
}

fn restart(lab: &mut Lab) -> Result<()> {
    lab.step("guest starts again", |lab| {
        let mut session = start(lab, "triple_fault", "restart")?;
        session.console.expect("riple fault", BOOT)?;
        session.console.expect("riple fault", SOON)?;
        session.enter_prompt()
    })
}
