//! The network: cards that the host drives, its own address, and its answers.

use super::session::{BOOT, Lab, PROMPT, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use anyhow::{Context, Result, ensure};
use std::net::Ipv4Addr;

/// A case for a card's model.
macro_rules! card {
    ($name:literal, $tier:ident, $card:literal) => {
        Case {
            name: concat!("network-host-", $name),
            tier: Tier::$tier,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| host(lab, $card),
        }
    };
}

pub(super) const CASES: &[Case] = &[
    card!("e1000", Always, "e1000"),
    card!("e1000-82544", Full, "e1000-82544gc"),
    card!("e1000-82545", Full, "e1000-82545em"),
    card!("e1000e", Full, "e1000e"),
    card!("rtl8139", Full, "rtl8139"),
    card!("virtio", Full, "virtio-net-pci"),
    card!("virtio-modern", Full, "virtio-net-pci,disable-legacy=on"),
    card!("virtio-legacy", Full, "virtio-net-pci,disable-modern=on"),
];

/// Without a guest: the host asks for an address, and answers.
fn host(lab: &mut Lab, card: &str) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments(card);
    let mut session = lab.start_bundle(&machine, None)?;
    let address = lab.step("the host gets a lease", |_| {
        let line = session.console.line_after("the host's address is ", BOOT)?;
        let (address, _) = line.split_once('/').unwrap_or((&line, ""));
        address
            .trim()
            .parse::<Ipv4Addr>()
            .with_context(|| format!("{line:?} is no address"))
    })?;
    lab.step("it answers pings, short and as long as a frame", |_| {
        peer.ping(address, 8, SOON)?;
        peer.ping(address, 1472, SOON)
    })?;
    lab.step("info shows the network", |_| {
        session.console.expect(PROMPT, SOON)?;
        let info = session.ask("info")?;
        ensure!(
            info.contains(&format!("host at {address}/24")) && info.contains("link up"),
            "`info` says {info:?}"
        );
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.console.send("poweroff\r")?;
        session.console.ended(SOON).map(drop)
    })
}
