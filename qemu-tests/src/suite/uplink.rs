//! The network: cards that the host drives, its own address, and its answers.

use super::beside::beside;
use super::session::{BOOT, Lab, PROMPT, SOON, Session};
use super::{Case, Machines, Scope, Tier, network};
use crate::bundle::Guest;
use crate::debian::Kernel;
use crate::desk::Link;
use crate::machine::Desk;
use crate::peer::{Damage, Peer};
use crate::{bochs, initramfs, qemu, tree};
use anyhow::{Context, Result, bail, ensure};
use std::net::Ipv4Addr;
use std::time::Instant;

/// A case for a card's model.
macro_rules! card {
    ($name:literal, $tier:ident, $card:literal) => {
        Case {
            name: concat!("network-host-", $name),
            tier: Tier::$tier,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| host(lab, $card)),
        }
    };
}

/// A case of what may go wrong, for a card's model.
macro_rules! faults {
    ($name:literal, $card:literal) => {
        Case {
            name: concat!("network-faults-", $name),
            tier: Tier::Full,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| faults(lab, $card)),
        }
    };
}

/// A case of long frames, for a card's model.
macro_rules! jumbo {
    ($name:literal, $card:literal) => {
        Case {
            name: $name,
            tier: Tier::Full,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| jumbo(lab, $card)),
        }
    };
}

pub(super) const CASES: &[Case] = &[
    card!("e1000", Always, "e1000"),
    card!("e1000-82544", Full, "e1000-82544gc"),
    card!("e1000-82545", Full, "e1000-82545em"),
    card!("e1000e", Full, "e1000e"),
    card!("igb", Full, "igb"),
    card!("rtl8139", Full, "rtl8139"),
    faults!("e1000", "e1000"),
    faults!("e1000e", "e1000e"),
    faults!("igb", "igb"),
    faults!("rtl8139", "rtl8139"),
    faults!("virtio", "virtio-net-pci"),
    card!("virtio", Full, "virtio-net-pci"),
    card!("virtio-modern", Full, "virtio-net-pci,disable-legacy=on"),
    card!("virtio-legacy", Full, "virtio-net-pci,disable-modern=on"),
    Case {
        name: "network-host-bochs",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Bochs,
        body: in_bochs,
    },
    Case {
        name: "network-conflict",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: conflict,
    },
    Case {
        name: "network-conflict-v6",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: conflict_v6,
    },
    jumbo!("network-jumbo", "e1000"),
    jumbo!("network-jumbo-e1000e", "e1000e"),
    jumbo!("network-jumbo-igb", "igb"),
    jumbo!("network-jumbo-virtio", "virtio-net-pci"),
];

/// The guest's card behind the host's.
const VIF: network::Card = network::Card {
    model: "virtio",
    mac: "00:16:3e:00:00:13",
    driver: "virtio_net",
};

/// The default guest with a network card.
fn networked(lab: &Lab, settings: &str) -> Result<Guest> {
    let ramdisk = tree::guests().join("uplink.cpio");
    let archive = initramfs::build_with(&Kernel::fetch()?, &[VIF.driver])?;
    tree::replace(&ramdisk, &archive)?;
    let mut guest = Guest {
        ramdisk: Some(ramdisk),
        ..lab.guest()
    };
    guest.settings.push_str(&format!(
        "vif = ['model={},mac={}{settings}']\n",
        VIF.model, VIF.mac
    ));
    Ok(guest)
}

/// Host and guest get leases by Bochs' 82540EM on Bochs' own network, which has a DHCP server and answers for 10.0.2.2, and the guest has
/// answers.
fn in_bochs(lab: &mut Lab) -> Result<()> {
    let mut machine = lab.machine();
    machine.extra = bochs::card("ethmod=slirp");
    let mut session = lab.start(&machine, &networked(lab, "")?)?;
    lab.step("the host gets a lease", |_| {
        session
            .console
            .expect("the host's address is 10.0.2.", BOOT)
    })?;
    lab.step("shell", |_| session.shell())?;
    session.run(network::LEASE)?;
    let name = network::interface(&mut session, &VIF)?;
    lab.step("the guest gets a lease, and answers", |_| {
        session.run(&format!("ip link set {name} up"))?;
        session.run(&format!("udhcpc -i {name} -n -q -t 10 -s /tmp/lease"))?;
        session.run("ping -c 2 -W 30 10.0.2.2")?;
        session.run("ping -c 2 -W 30 -s 1400 10.0.2.2")
    })?;
    Ok(())
}

/// With `mtu=9000` frames of that length reach the host and the guest.
fn jumbo(lab: &mut Lab, card: &str) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments(card);
    let guest = networked(lab, ",mtu=9000")?;
    let mut session = lab.start_with(&machine, &guest, "mtu=9000")?;
    session
        .console
        .expect("frames carry up to 9000 bytes", BOOT)?;
    lab.step("shell", |_| session.shell())?;
    let name = network::interface(&mut session, &VIF)?;
    lab.step("pings as long as a long frame reach the guest", |_| {
        session.run(&format!(
            "ip addr add 10.0.2.20/24 dev {name}; ip link set {name} up mtu 9000"
        ))?;
        let address = Ipv4Addr::new(10, 0, 2, 20);
        peer.resolve(address, SOON)?;
        peer.ping(address, 8, SOON)?;
        peer.ping(address, 8972, SOON)
    })
}

/// A station has the host's address, static or leased: the host does without until it is free, and keeps what it then has.
fn conflict(lab: &mut Lab) -> Result<()> {
    let address = Ipv4Addr::new(10, 0, 2, 15);
    for (kind, words) in [
        ("static", "ip=10.0.2.15::10.0.2.2:255.255.255.0"),
        ("leased", "ip=dhcp"),
    ] {
        let peer = Peer::new(lab.directory())?;
        let mut machine = lab.machine();
        machine.extra = peer.arguments("e1000");
        let mut session = lab.start_alone(&machine, words)?;
        lab.step(&format!("a {kind} address of somebody else's"), |_| {
            let (_, told) = beside(
                |done| peer.be_found_at(address, None, None, done),
                || {
                    let start = "10.0.2.15 is the address of ";
                    session.console.line_after(start, BOOT)
                },
            )?;
            let told = told?;
            ensure!(told.starts_with("02:00:00:00:00:77;"), "{told}");
            let line = session.console.line_after("the host's address is ", SOON)?;
            let (own, _) = line.split_once('/').context(line.clone())?;
            peer.ping(own.trim().parse()?, 64, SOON)
        })?;
    }
    Ok(())
}

/// A station has the host's address of IPv6: the host takes another until it is on another cable, and has it to itself there.
fn conflict_v6(lab: &mut Lab) -> Result<()> {
    const ADDRESS: &str = "fe80::5054:ff:fe12:3456";
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments_with("e1000", "restrict=on,ipv6=off");
    machine.desk = Desk::Attended;
    let mut session = lab.start_alone(&machine, "ip=dhcp")?;
    lab.step("an address of IPv6 of somebody else's", |_| {
        let (count, told) = beside(
            |done| peer.be_neighbour_at(ADDRESS.parse()?, done),
            || {
                let start = format!("{ADDRESS} is the address of ");
                session.console.line_after(&start, BOOT)
            },
        )?;
        let told = told?;
        ensure!(told.starts_with("02:00:00:00:00:77;"), "{told}");
        ensure!(count > 0, "nobody asked");
        session.console.expect("the host's address is ", BOOT)?;
        let end = Instant::now() + SOON;
        let other = loop {
            let info = session.ask("info")?;
            ensure!(!info.contains(ADDRESS), "`info` says {info:?}");
            let mut words = info.split([' ', ',', '\n', '\r']);
            if let Some(word) = words.find(|word| word.starts_with("fe80::")) {
                break word.parse()?;
            }
            ensure!(Instant::now() < end, "`info` says {info:?}");
        };
        let station = peer.find_neighbour(other, SOON)?;
        ensure!(
            network::mac(station) == "52:54:00:12:34:56",
            "{other} is at {station:02x?}"
        );
        Ok(())
    })?;
    lab.step("nobody else's on another cable", |_| {
        session.console.desk()?.set_link("card", Link::Down)?;
        session.console.expect("the link is down", SOON)?;
        session.console.desk()?.set_link("card", Link::Up)?;
        session.console.expect("the link is up", SOON)?;
        // A question before it is the host's own would be another's claim to it.
        session.console.expect("the host's address is ", SOON)?;
        let end = Instant::now() + SOON;
        loop {
            let info = session.ask("info")?;
            if info.contains(ADDRESS) {
                break;
            }
            ensure!(Instant::now() < end, "`info` says {info:?}");
        }
        let station = peer.find_neighbour(ADDRESS.parse()?, SOON)?;
        ensure!(
            network::mac(station) == "52:54:00:12:34:56",
            "it is at {station:02x?}"
        );
        Ok(())
    })
}

/// Runs `body` where QEMU has this card.
pub(super) fn with_card(
    lab: &mut Lab,
    card: &str,
    body: impl FnOnce(&mut Lab) -> Result<()>,
) -> Result<()> {
    let device = card.split(',').next().unwrap_or(card);
    if qemu::has_device(device) {
        return body(lab);
    }
    lab.skip(&format!(
        "this QEMU has no {device}; 8.1 and later have igb"
    ));
    Ok(())
}

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
        ensure!(
            !info.contains("\n         0 interrupts"),
            "the card's interrupts do not come: {info:?}"
        );
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.console.send("poweroff\r")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Rounds of wrong frames, of a dozen each.
const FLOOD_ROUNDS: usize = 1000;

/// Frames that are too short, too long, malformed or damaged, and a cable that is pulled: the host goes on, and no buffer is lost.
fn faults(lab: &mut Lab, card: &str) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments(card);
    machine.desk = Desk::Attended;
    let mut session = lab.start_bundle(&machine, None)?;
    let line = session.console.line_after("the host's address is ", BOOT)?;
    let address: Ipv4Addr = line.split('/').next().unwrap_or("").trim().parse()?;
    session.console.expect(PROMPT, SOON)?;
    peer.ping(address, 64, SOON)?;
    let station = peer.resolve(address, SOON)?;
    let before = buffers(&mut session)?;
    lab.step("a flood of wrong frames", |_| {
        peer.send_all((0..FLOOD_ROUNDS).flat_map(|round| wrong(&peer, station, address, round)))?;
        peer.ping(address, 1472, SOON)?;
        peer.ping_damaged(address, SOON)?;
        ensure_no_leak(before, buffers(&mut session)?)
    })?;
    lab.step("the cable is pulled, and plugged in again", |_| {
        session.console.desk()?.set_link("card", Link::Down)?;
        session.console.expect("the link is down", SOON)?;
        session.console.desk()?.set_link("card", Link::Up)?;
        session.console.expect("the link is up", SOON)?;
        peer.ping(address, 64, SOON)?;
        ensure_no_leak(before, buffers(&mut session)?)
    })
}

/// A card keeps the last frames that it sent until it sends more; what is lost of one kind of frame would be a thousand.
pub(super) fn ensure_no_leak(before: usize, after: usize) -> Result<()> {
    const KEPT: usize = 8;
    ensure!(
        after + KEPT >= before,
        "{before} buffers were free, now {after} are"
    );
    Ok(())
}

/// A dozen frames of every kind of wrong.
pub(super) fn wrong(
    peer: &Peer,
    station: [u8; 6],
    address: Ipv4Addr,
    round: usize,
) -> Vec<Vec<u8>> {
    let mut frame = Vec::from(station);
    frame.extend([2, 0, 0, 0, 0, 0x78, 0x08, 0x00, 0x45]);
    frame.resize(64, round as u8);
    let cut = |bytes: usize| {
        let mut frame = frame.clone();
        frame.resize(bytes, round as u8);
        frame
    };
    let group_source = {
        let mut frame = frame.clone();
        frame[6] |= 1;
        frame
    };
    vec![
        cut(1),
        cut(13),
        cut(14),
        cut(20),
        cut(59),
        cut(1519),
        cut(2000),
        cut(4000),
        cut(9000),
        group_source,
        peer.damaged_ping(station, address, Damage::Network),
        peer.damaged_ping(station, address, Damage::Message),
    ]
}

/// How many buffers are free, once all is quiet.
pub(super) fn buffers(session: &mut Session) -> Result<usize> {
    let count = |session: &mut Session| -> Result<usize> {
        session.console.send("info\r")?;
        // What the log says meanwhile brings prompts of its own, so it is not the prompt that ends the answer.
        let said = session.console.expect(" buffers free", SOON)?;
        let line = said.trim_end_matches(" buffers free");
        let (line, _) = line.rsplit_once(" of ").context(said.clone())?;
        let (_, count) = line.rsplit_once(' ').context(said.clone())?;
        Ok(count.parse()?)
    };
    let end = Instant::now() + SOON;
    let mut last = count(session)?;
    while Instant::now() < end {
        let now = count(session)?;
        if now == last {
            return Ok(now);
        }
        last = now;
    }
    bail!("the count of free buffers does not stand still")
}
