//! Monovisor's own prompt, on the same line as the guest's console.

use super::session::{Lab, PROMPT, SOON, SWITCH};
use super::{Case, Machines, Scope, Tier};
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[Case {
    name: "prompt",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::Any,
    body: prompt,
}];

fn prompt(lab: &mut Lab) -> Result<()> {
    let mut session = lab.start(&lab.machine(), &lab.guest())?;
    lab.step("capability report comes first", |lab| {
        let said = session.shell()?;
        let report = said.split("Linux version").next().unwrap_or_default();
        for word in lab.virtualization().words().into_iter().chain(["MiB"]) {
            ensure!(
                report.contains(word),
                "the report before the guest's start says nothing of {word}"
            );
        }
        Ok(())
    })?;
    lab.step("defmt frames on COM2", |lab| {
        let frames = std::fs::metadata(lab.directory().join("defmt.bin"))?.len();
        ensure!(frames > 0, "nothing came");
        Ok(())
    })?;
    lab.step("help", |_| {
        session.enter_prompt()?;
        session.prompt_is_alive()
    })?;
    lab.step("info", |_| {
        let info = session.ask("info")?;
        ensure!(
            info.contains("guest") && info.contains("256"),
            "`info` says {info:?}"
        );
        Ok(())
    })?;
    lab.step("unknown command", |_| {
        let answer = session.ask("florizel")?;
        ensure!(
            answer.contains("florizel") && answer.contains("help"),
            "the answer is {answer:?}"
        );
        Ok(())
    })?;
    lab.step("back to the guest", |_| {
        session.console.send(SWITCH)?;
        session.console.send("\n")?;
        session.console.expect("/root # ", SOON)?;
        session.run("true").map(drop)
    })?;
    lab.step("Ctrl-C reaches the guest", |_| {
        // It speaks when it is in the foreground; before that the shell would eat the key.
        session
            .console
            .send("sh -c 'echo in\"\"front; exec sleep 1000'\n")?;
        session.console.expect("infront", SOON)?;
        session.console.send("\x03")?;
        session.console.expect("/root # ", SOON)?;
        session.run("true").map(drop)
    })?;
    lab.step("reset", |_| {
        session.enter_prompt()?;
        session.console.send("reset\r")?;
        session.console.send(SWITCH)?;
        session.shell().map(drop)
    })?;
    lab.step("poweroff", |_| {
        session.console.send(SWITCH)?;
        session.console.expect(PROMPT, SOON)?;
        session.console.send("poweroff\r")?;
        session.console.ended(SOON).map(drop)
    })
}
