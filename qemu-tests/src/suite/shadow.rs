//! Shadow paging: asked for, and under load.

use super::session::{Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use anyhow::{Context, Result, bail, ensure};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "shadow-forced",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::SvmNptQemu,
        body: forced,
    },
    Case {
        name: "shadow-churn-2",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| churn(lab, 2),
    },
    Case {
        name: "shadow-churn-4",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| churn(lab, 4),
    },
    Case {
        name: "shadow-least",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: least,
    },
];

const SHADOW: &str = "paging = \"shadow\"\n";
/// What the default guest, with one vCPU, must have.
const LEAST_MIB: u32 = 5;
/// For what a loaded guest does.
const LOAD: Duration = Duration::from_secs(240);

/// On a CPU that could do without, because the owner says so; and not with less memory than it takes.
fn forced(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.push_str(SHADOW);
    guest.settings.push_str("shadow_memory = 1\n");
    lab.step("too little memory for tables", |lab| {
        let bundle = lab.bundle(&guest)?;
        let mut session = lab.start_bundle(&lab.machine(), Some(&bundle))?;
        let said = session.offered_prompt()?;
        let complete = |line: &str| line.contains("shadow_memory") && line.contains("at least 5");
        ensure!(
            said.lines().any(complete),
            "no line names the least: {said}"
        );
        session.prompt_is_alive()
    })?;
    let mut guest = lab.guest();
    guest.settings.push_str(SHADOW);
    lab.step("a shell, and why so", |lab| {
        let mut session = lab.start(&lab.machine(), &guest)?;
        let said = session.shell()?;
        ensure!(
            said.contains("shadow paging, because `paging"),
            "nothing says why there is shadow paging"
        );
        turns(&mut session, 3, 2, SOON)?;
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Processes come, go and check what they were given, so many at a time.
fn turns(session: &mut Session, rounds: u32, workers: u32, limit: Duration) -> Result<()> {
    let work = format!(
        "work() {{ for i in $(seq {rounds}); do [ \"$(head -c 30000 /etc/data | md5sum)\" = \"$sum\" ] || echo BAD; done; }}"
    );
    session.run("head -c 60000 /dev/urandom > /etc/data")?;
    session.run("sum=\"$(head -c 30000 /etc/data | md5sum)\"")?;
    session.run(&work)?;
    let said = session.run_within(
        &format!("(for w in $(seq {workers}); do work & done; wait; echo all done)"),
        limit,
    )?;
    ensure!(
        said.contains("all done") && !said.contains("BAD"),
        "the load said {said:?}"
    );
    Ok(())
}

fn churn(lab: &mut Lab, vcpus: u32) -> Result<()> {
    let mut guest = lab.guest();
    guest.vcpus = vcpus;
    guest.settings.push_str(SHADOW);
    lab.step("processes come and go on all vCPUs", |lab| {
        let mut machine = lab.machine();
        machine.cpus = 2;
        let mut session = lab.start(&machine, &guest)?;
        session.shell()?;
        turns(&mut session, 40, 2 * vcpus, LOAD)?;
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// The tables never took more memory than there is for them, and the load made them take nearly all of it.
fn within_budget(info: &str) -> Result<()> {
    const TABLE_KIB: u32 = 4;
    let line = info.lines().find(|line| line.contains("tables in use"));
    let words = line.context("nothing about tables")?.split_whitespace();
    let counts: Vec<u32> = words
        .filter_map(|word| word.trim_matches(',').parse().ok())
        .collect();
    let [used, peak, room] = counts[..] else {
        bail!("not three counts: {counts:?}");
    };
    ensure!(used <= peak && peak <= room && peak > room / 2);
    ensure!(peak * TABLE_KIB <= LEAST_MIB * 1024);
    Ok(())
}

/// Many processes at a time, with the least memory for their tables.
fn least(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.push_str(SHADOW);
    guest
        .settings
        .push_str(&format!("shadow_memory = {LEAST_MIB}\n"));
    lab.step("200 processes, and others that come and go", |lab| {
        let mut session = lab.start(&lab.machine(), &guest)?;
        session.shell()?;
        session.run_within(
            "for i in $(seq 200); do sleep 1000 & done 2>/dev/null",
            LOAD,
        )?;
        turns(&mut session, 10, 8, LOAD)?;
        let left = session.run("ps | grep -c '[s]leep 1000'")?;
        ensure!(left == "200", "{left} of 200 processes are left");
        session.enter_prompt()?;
        let said = session.ask("info")?;
        within_budget(&said).with_context(|| format!("`info` says {said:?}"))?;
        session.leave_prompt()?;
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}
