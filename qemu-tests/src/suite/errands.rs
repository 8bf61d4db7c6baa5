//! What the host does on the network by itself: its name, the time, its log, IPv6.

use super::session::{BOOT, Lab, PROMPT, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[Case {
    name: "network-errands",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::Qemu,
    body: errands,
}];

/// 2030-05-17 12:00:00, as a time server counts.
const TIME_S: u32 = 1_905_249_600_u32.wrapping_add(2_208_988_800);

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
