//! The guest's network cards, with Linux' own drivers.

use super::linux::AMD64;
use super::session::{Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::debian::Kernel;
use crate::peer::Peer;
use crate::{initramfs, tree};
use anyhow::{Context, Result, ensure};
use std::net::Ipv4Addr;
use std::path::Path;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "network-cards",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::WithVirtio,
        body: cards,
    },
    Case {
        name: "network-traffic",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| traffic(lab, 4),
    },
    Case {
        name: "network-traffic-long",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| traffic(lab, 256),
    },
];

/// What the guest loads beside the usual; the kernel for clouds has no Realtek cards.
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "8139cp",
    "8139too",
    "virtio_net",
];

/// A card: its name in `vif`, and what is to be seen of it in the guest.
pub(super) struct Card {
    pub(super) model: &'static str,
    pub(super) mac: &'static str,
    pub(super) driver: &'static str,
}

pub(super) const CARDS: [Card; 3] = [
    Card {
        model: "rtl8139",
        mac: "00:16:3e:00:00:11",
        driver: "8139cp",
    },
    Card {
        model: "rtl8139-c",
        mac: "00:16:3e:00:00:12",
        driver: "8139too",
    },
    Card {
        model: "virtio",
        mac: "00:16:3e:00:00:13",
        driver: "virtio_net",
    },
];

/// The default guest on a kernel with drivers for all cards, with all of them.
pub(super) fn guest(lab: &Lab) -> Result<Guest> {
    guest_with(lab, |_| String::new())
}

/// The same with further words for each card's `vif`.
pub(super) fn guest_with(lab: &Lab, words: impl Fn(&Card) -> String) -> Result<Guest> {
    let kernel = Kernel::behind(AMD64.metapackage, AMD64.architecture)?;
    let vifs = CARDS.iter().map(|card| (card, words(card)));
    guest_of(lab, &kernel, "network.cpio", &[], vifs)
}

/// A guest on this kernel with these cards and further modules, whose small system is kept under `file`.
pub(super) fn guest_of<'a>(
    lab: &Lab,
    kernel: &Kernel,
    file: &str,
    further: &[&str],
    vifs: impl Iterator<Item = (&'a Card, String)>,
) -> Result<Guest> {
    let ramdisk = tree::guests().join(file);
    let modules: Vec<_> = MODULES.iter().chain(further).copied().collect();
    let archive = initramfs::build_for(kernel, Path::new(initramfs::BUSYBOX), &modules)?;
    tree::replace(&ramdisk, &archive)?;
    let vifs: Vec<_> = vifs
        .map(|(card, words)| format!("'model={},mac={},{words}'", card.model, card.mac))
        .collect();
    let mut guest = Guest {
        kernel: kernel.image(),
        ramdisk: Some(ramdisk),
        ..lab.guest()
    };
    guest
        .settings
        .push_str(&format!("vif = [{}]\n", vifs.join(", ")));
    Ok(guest)
}

fn cards(lab: &mut Lab) -> Result<()> {
    let guest = guest(lab)?;
    let mut session = lab.start(&lab.machine(), &guest)?;
    lab.step("shell", |_| session.shell())?;
    for card in CARDS {
        lab.step(card.driver, |_| found(&mut session, &card))?;
    }
    Ok(())
}

/// The interface with a card's address.
pub(super) fn interface(session: &mut Session, card: &Card) -> Result<String> {
    let found = session.run(&format!("grep -l {} /sys/class/net/*/address", card.mac))?;
    let name = found.split('/').nth(4).context(found.clone())?;
    Ok(name.to_owned())
}

/// The card has its driver and its address, and its driver can turn it on.
fn found(session: &mut Session, card: &Card) -> Result<()> {
    let name = interface(session, card)?;
    let driver = session.run(&format!(
        "basename $(readlink /sys/class/net/{name}/device/driver)"
    ))?;
    ensure!(
        driver == card.driver,
        "the {} card has the driver {driver:?}",
        card.model
    );
    session.run(&format!("ip link set {name} up"))?;
    let state = session.run(&format!("cat /sys/class/net/{name}/carrier"))?;
    ensure!(state == "0", "{name}: carrier {state:?}");
    Ok(())
}

/// What udhcpc calls: takes the address, and says so.
pub(super) const LEASE: &str = r#"printf '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr add $ip/$mask dev $interface\necho got $ip\n' >/tmp/lease; chmod 755 /tmp/lease"#;

/// On a network with a DHCP server and a station: each card gets an address and answers, and every two cards reach one another through the
/// switch, `mib` of data each way.
fn traffic(lab: &mut Lab, mib: u32) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments("e1000");
    let mut session = lab.start(&machine, &guest(lab)?)?;
    lab.step("shell", |_| session.shell())?;
    session.run(LEASE)?;
    for card in &CARDS {
        let name = interface(&mut session, card)?;
        lab.step(&format!("{}: lease and pings", card.driver), |_| {
            session.run(&format!("ip link set {name} up"))?;
            let said = session.run(&format!("udhcpc -i {name} -n -q -t 10 -s /tmp/lease 2>&1"))?;
            let (_, address) = said.rsplit_once("got ").context(said.clone())?;
            let address: Ipv4Addr = address.lines().next().unwrap_or("").trim().parse()?;
            let found = peer.resolve(address, SOON)?;
            ensure!(mac(found) == card.mac, "{address} is at {}", mac(found));
            peer.ping(address, 8, SOON)?;
            peer.ping(address, 1472, SOON)?;
            session.run(&format!(
                "ip addr flush dev {name}; ip link set {name} down"
            ))
        })?;
    }
    for (here, there) in [(0, 2), (1, 2), (0, 1)] {
        let (here, there) = (&CARDS[here], &CARDS[there]);
        let step = format!("{mib} MiB between {} and {}", here.driver, there.driver);
        lab.step(&step, |_| transfer(&mut session, here, there, mib))?;
    }
    Ok(())
}

/// Most data that goes over one connection, out of a file in the guest's memory.
const ROUND_MIB: u32 = 4;

/// Fetches data by HTTP both ways between two cards, one of them in a name space of its own.
fn transfer(session: &mut Session, here: &Card, there: &Card, mib: u32) -> Result<()> {
    let (here, there) = (interface(session, here)?, interface(session, there)?);
    session.run(
        "unshare -n sleep 100000 & echo $! >/tmp/apart; \
         until [ \"$(readlink /proc/$(cat /tmp/apart)/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do usleep 50000; done",
    )?;
    let apart = "nsenter -t $(cat /tmp/apart) -n";
    session.run(&format!("ip link set {there} netns $(cat /tmp/apart)"))?;
    session.run(&format!(
        "ip addr add 10.9.0.1/24 dev {here}; ip link set {here} up"
    ))?;
    session.run(&format!(
        "{apart} ip addr add 10.9.0.2/24 dev {there}; {apart} ip link set {there} up"
    ))?;
    session.run("ping -c 1 -W 30 10.9.0.2")?;
    for near in ["", apart] {
        session.run(&format!(
            "{near} httpd -p 80 -h /tmp; until {near} netstat -ltn | grep -q :80; do usleep 50000; done"
        ))?;
    }
    let mut left_mib = mib;
    while left_mib > 0 {
        let round_mib = left_mib.min(ROUND_MIB);
        left_mib -= round_mib;
        session.run(&format!(
            "dd if=/dev/urandom of=/tmp/data bs=64k count={} 2>/dev/null",
            round_mib * 16
        ))?;
        let sent = session.run("sha256sum </tmp/data")?;
        for (at, address) in [(apart, "10.9.0.1"), ("", "10.9.0.2")] {
            session.run(&format!(
                "{at} wget -q -O - http://{address}/data | sha256sum >/tmp/sum"
            ))?;
            let came = session.run("cat /tmp/sum")?;
            ensure!(came == sent, "from {address}: {came:?} came of {sent:?}");
        }
    }
    // The interface comes back with the end of its name space, which has the server in it.
    session.run(&format!(
        "killall httpd; kill $(cat /tmp/apart); ip addr flush dev {here}; ip link set {here} down; \
         until [ -e /sys/class/net/{there} ]; do usleep 50000; done"
    ))?;
    Ok(())
}

/// An address as Linux writes it.
pub(super) fn mac(bytes: [u8; 6]) -> String {
    bytes.map(|byte| format!("{byte:02x}")).join(":")
}
