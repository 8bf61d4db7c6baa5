//! What the host does on the network by itself: its name, the time, its log, IPv6.

use super::beside::beside;
use super::session::{BOOT, Lab, PROMPT, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use anyhow::{Context, Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "network-errands",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: errands,
    },
    Case {
        name: "network-late-clock",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: late_clock,
    },
];

/// 2030-05-17 12:00:00, as a time server counts.
const TIME_S: u32 = 1_905_249_600_u32.wrapping_add(2_208_988_800);

/// The time is told when the guest has long been running: its clock chip follows, and after a reset its clock.
fn late_clock(lab: &mut Lab) -> Result<()> {
    const UNIX_S: u64 = 1_905_249_600;
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments("e1000");
    let mut guest = lab.guest();
    guest
        .settings
        .push_str(&format!("ntp = '{}'\n", Peer::ADDRESS));
    let mut session = lab.start(&machine, &guest)?;
    let seconds = |session: &mut Session, command: &str| -> Result<u64> {
        let said = session.run(command)?;
        said.parse().context(said)
    };
    const CHIP: &str = "cat /sys/class/rtc/rtc0/since_epoch";
    lab.step("a guest with the clock of the host's chip", |_| {
        session.shell()?;
        let before = seconds(&mut session, CHIP)?;
        ensure!(before < UNIX_S, "it is {before} already");
        Ok(())
    })?;
    lab.step("the guest's clock chip follows", |_| {
        let told = "a server told the time: 2030-05-17T12:00:0";
        let ((), heard) = beside(
            |done| peer.tell_time_until(TIME_S, done),
            || session.console.expect(told, BOOT),
        )?;
        heard?;
        session.run(&format!(
            "until [ $({CHIP}) -ge {UNIX_S} ]; do usleep 50000; done"
        ))?;
        let after = seconds(&mut session, CHIP)?;
        ensure!(after < UNIX_S + 60, "it is {after}");
        Ok(())
    })?;
    lab.step("and its clock after a reset", |_| {
        session.enter_prompt()?;
        session.console.send("reset\r")?;
        session.leave_prompt()?;
        session.shell()?;
        let now = seconds(&mut session, "date +%s")?;
        ensure!((UNIX_S..UNIX_S + 600).contains(&now), "it is {now}");
        Ok(())
    })
}

/// A station answers for the time, takes the log and asks for the name. QEMU's own network has a DHCP server and a router of IPv6.
fn errands(lab: &mut Lab) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments("e1000");
    let mut guest = lab.guest();
    let address = Peer::ADDRESS;
    guest
        .settings
        .push_str(&format!("ntp = '{address}'\nsyslog = '{address}'\n"));
    let mut session = lab.start(&machine, &guest)?;
    lab.step("the time is asked for and told", |_| {
        peer.tell_time(TIME_S, BOOT)?;
        let told = session
            .console
            .line_after("a server told the time: ", SOON)?;
        ensure!(told.starts_with("2030-05-17T12:00:0"), "{told}");
        Ok(())
    })?;
    lab.step("the log arrives, from the first line on", |_| {
        let mut lines = Vec::new();
        // Lines have no time before the host has; the one that says so has it.
        peer.take_log(SOON, |line| {
            lines.push(line.to_owned());
            line.starts_with("<30>1 2030-05-17T") && line.contains(" guest monovisor - - - ")
        })?;
        ensure!(
            lines.iter().any(|line| line.contains(" Monovisor ")),
            "{lines:?}"
        );
        Ok(())
    })?;
    lab.step("the name is known on the link", |_| {
        let found = peer.find_name("guest", SOON)?;
        ensure!(found.octets() == [10, 0, 2, 15], "guest.local is {found}");
        Ok(())
    })?;
    lab.step("info shows name and addresses", |_| {
        session.shell()?;
        session.enter_prompt()?;
        let info = session.ask("info")?;
        // QEMU's router advertises fec0::/64.
        ensure!(
            info.contains("guest.local, fe80::5054:ff:fe12:3456, fec0::5054:ff:fe12:3456"),
            "`info` says {info:?}"
        );
        ensure!(info.contains(PROMPT), "{info:?}");
        Ok(())
    })
}
