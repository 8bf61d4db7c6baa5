//! Cards of the host's that hang: somebody writes their registers behind the driver's back.

use super::session::{BOOT, Lab, PROMPT, SOON};
use super::uplink::{buffers, ensure_no_leak, with_card};
use super::{Case, Machines, Scope, Tier};
use crate::machine::Desk;
use crate::peer::Peer;
use crate::stub::Stub;
use anyhow::{Result, ensure};
use std::net::Ipv4Addr;

/// A case for a card's model.
macro_rules! card {
    ($name:literal, $card:literal, BAR $bar:literal, $($blow:expr),+) => {
        Case {
            name: concat!("network-hang-", $name),
            tier: Tier::Full,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| hang(lab, $card, $bar, &[$($blow),+])),
        }
    };
}

pub(super) const CASES: &[Case] = &[
    card!("e1000", "e1000", BAR 0, lost_ring(0x3800), OFF_BY_TCTL),
    card!("e1000e", "e1000e", BAR 0, lost_ring(0x3800), OFF_BY_TCTL),
    card!("igb", "igb", BAR 0, lost_ring(0xe000), OFF_BY_TCTL),
    card!("rtl8139", "rtl8139", BAR 1, OFF_BY_COMMAND),
    card!("virtio", "virtio-net-pci", BAR 4, SILENT),
];

/// What is done to a card.
struct Blow {
    /// Of the register in the card's window.
    offset: u64,
    bytes: &'static [u8],
    /// What the log then says of the card.
    found: &'static str,
}

const OFF: &str = "its receiver or transmitter is off, though nobody turned it off";
const SENDS_NOTHING: &str = "it has sent none of ";
/// Where there is no memory: reads as zeroes, and keeps nothing.
const NOWHERE: &[u8] = &[0, 0, 0, 0x30];

/// The transmitter is off (8254x, 13.4.33).
const OFF_BY_TCTL: Blow = Blow {
    offset: 0x400,
    bytes: &[0; 4],
    found: OFF,
};
/// The same for Realtek's: only the receiver is on.
const OFF_BY_COMMAND: Blow = Blow {
    offset: 0x37,
    bytes: &[1 << 3],
    found: OFF,
};
/// The status of a virtio device (virtio 1.2, 4.1.4.3): it is as after a reset.
const SILENT: Blow = Blow {
    offset: 0x14,
    bytes: &[0],
    found: SENDS_NOTHING,
};

/// Transmit descriptors are looked for elsewhere, the register of their address being this one.
const fn lost_ring(offset: u64) -> Blow {
    Blow {
        offset,
        bytes: NOWHERE,
        found: SENDS_NOTHING,
    }
}

/// After each blow, at the window of this BAR, the host does not answer until the card is found to hang and reset.
fn hang(lab: &mut Lab, card: &str, bar: u8, blows: &[Blow]) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let stub = Stub::new(lab.directory());
    let mut machine = lab.machine();
    machine.extra = peer.arguments(card);
    machine.extra.extend(stub.arguments());
    machine.desk = Desk::Attended;
    let mut session = lab.start_bundle(&machine, None)?;
    let line = session.console.line_after("the host's address is ", BOOT)?;
    let address: Ipv4Addr = line.split('/').next().unwrap_or("").trim().parse()?;
    session.console.expect(PROMPT, SOON)?;
    peer.ping(address, 64, SOON)?;
    let window = session.console.desk()?.window_of("card", bar)?;
    let before = buffers(&mut session)?;
    for (count, blow) in (1..).zip(blows) {
        lab.step(&format!("{}…, and is reset", blow.found.trim()), |_| {
            stub.write(window + blow.offset, blow.bytes)?;
            peer.ping(address, 1472, SOON)?;
            let told = session.console.line_after("the card hangs: ", SOON)?;
            ensure!(told.starts_with(blow.found), "the card hangs: {told}");
            // The log goes on meanwhile, with prompts of its own.
            session.console.send("info\r")?;
            session.console.expect(&format!(" {count} resets"), SOON)?;
            ensure_no_leak(before, buffers(&mut session)?)
        })?;
    }
    Ok(())
}
