//! What Linux does with its cards beside plain stations: other addresses, stations behind them, VLANs, drivers that come and go, and a
//! guest that forwards.

use super::linux::AMD64;
use super::network::{CARDS, Card, LEASE, guest_of, interface};
use super::outside::{hash, noise};
use super::session::{BOOT, Lab, Session};
use super::{Case, Tier};
use crate::bundle::Guest;
use crate::debian::Kernel;
use crate::lan::{self, Lan, Weather};
use crate::machine::Machine;
use anyhow::{Result, ensure};
use std::fs;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::in_qemu("network-modes", Tier::Full, |lab| modes(lab, "")),
    // Interrupts by the pin, for virtio as well.
    Case::in_qemu("network-modes-pins", Tier::Full, |lab| {
        modes(lab, "pci=nomsi")
    }),
    Case::in_qemu("network-vlans", Tier::Full, vlans),
    Case::in_qemu("network-forward", Tier::Full, forward),
];

const MIB: usize = 4;
/// For so much data through an emulated router.
const LONG: Duration = Duration::from_secs(120);

/// A guest with these cards and, beside their drivers, these modules.
fn guest(lab: &Lab, cards: &[&Card], modules: &[&str]) -> Result<Guest> {
    let kernel = Kernel::behind(AMD64.metapackage, AMD64.architecture)?;
    let vifs = cards.iter().map(|card| (*card, String::new()));
    guest_of(lab, &kernel, "modes.cpio", modules, vifs)
}

fn modes(lab: &mut Lab, words: &str) -> Result<()> {
    let lan = Lan::start(lab.directory(), Weather::default())?;
    fs::write(lan.file("data"), noise(MIB))?;
    let sent = hash(&lan.file("data"))?;
    let mut machine = lab.machine();
    machine.extra = lan.arguments("e1000");
    let mut guest = guest(lab, &CARDS.each_ref(), &["macvlan"])?;
    guest.cmdline.push_str(&format!(" {words}"));
    let mut session = lab.start(&machine, &guest)?;
    lab.step("shell", |_| {
        session.console.expect("the host's address is ", BOOT)?;
        session.shell()
    })?;
    session.run(LEASE)?;
    for (index, card) in CARDS.iter().enumerate() {
        let driver = card.driver;
        let name = interface(&mut session, card)?;
        let own = format!("02:00:00:00:01:{index:02x}");
        let behind = format!("02:00:00:00:02:{index:02x}");
        lab.step(&format!("{driver}: an address of the driver's"), |_| {
            session.run(&format!("ip link set {name} address {own}"))?;
            lease(&mut session, &name)?;
            lan.lease_of(&own)?;
            fetch(&mut session, &sent)
        })?;
        lab.step(&format!("{driver}: a station behind it"), |_| {
            session.run(&format!(
                "ip addr flush dev {name}; ip link add link {name} name behind type macvlan; \
                 ip link set behind address {behind}"
            ))?;
            lease(&mut session, "behind")?;
            lan.lease_of(&behind)?;
            fetch(&mut session, &sent)?;
            session.run("ip link del behind").map(drop)
        })?;
        lab.step(&format!("{driver}: down and up amid traffic"), |_| {
            lease(&mut session, &name)?;
            let (low, high) = ("usleep 100000", "usleep 300000");
            session.run(&format!(
                "(wget -q -O - http://{}/data | sha256sum >/tmp/sum) & for turn in 1 2 3 4 5; do \
                 {high}; ip link set {name} down; {low}; ip link set {name} up; done",
                lan::ADDRESS
            ))?;
            let said = session.run_within("wait; cut -d' ' -f1 /tmp/sum", LONG)?;
            ensure!(said.ends_with(&sent), "fetched {said:?} of {sent:?}");
            Ok(())
        })?;
        lab.step(&format!("{driver}: loaded anew"), |_| {
            session.run(&format!("rmmod {driver}; insmod /lib/modules/{driver}.ko"))?;
            session.run(&format!(
                "until grep -q {} /sys/class/net/*/address; do usleep 50000; done",
                card.mac
            ))?;
            let name = interface(&mut session, card)?;
            lease(&mut session, &name)?;
            fetch(&mut session, &sent)?;
            session
                .run(&format!(
                    "ip addr flush dev {name}; ip link set {name} down"
                ))
                .map(drop)
        })?;
    }
    Ok(())
}

fn lease(session: &mut Session, name: &str) -> Result<()> {
    session.run(&format!("ip link set {name} up"))?;
    let said = session.run(&format!("udhcpc -i {name} -n -q -t 20 -s /tmp/lease 2>&1"))?;
    ensure!(said.contains("got 10.9.0."), "{said}");
    Ok(())
}

fn fetch(session: &mut Session, sent: &str) -> Result<()> {
    fetch_by(session, "", lan::ADDRESS, sent)
}

/// Fetches what a station serves, `at` some place.
fn fetch_by(session: &mut Session, at: &str, address: &str, sent: &str) -> Result<()> {
    let line = format!(
        "{at} wget -q -O - http://{address}/data | sha256sum >/tmp/sum; cut -d' ' -f1 /tmp/sum"
    );
    let said = session.run_within(&line, LONG)?;
    ensure!(said.ends_with(sent), "fetched {said:?} of {sent:?}");
    Ok(())
}

/// A place apart, with this card, that serves data; returns what runs a command there.
fn station(session: &mut Session, tag: &str, name: &str) -> Result<String> {
    let at = format!("nsenter -t $(cat /tmp/{tag}) -n");
    session.run(&format!(
        "unshare -n sleep 100000 & echo $! >/tmp/{tag}; \
         until [ \"$(readlink /proc/$(cat /tmp/{tag})/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; do usleep 50000; done"
    ))?;
    session.run(&format!(
        "ip link set {name} netns $(cat /tmp/{tag}); {at} ip link set {name} up"
    ))?;
    session.run(&format!("{at} httpd -p 80 -h /tmp"))?;
    Ok(at)
}

/// Data for all stations; returns its hash.
fn data(session: &mut Session) -> Result<String> {
    session.run(&format!(
        "dd if=/dev/urandom of=/tmp/data bs=64k count={} 2>/dev/null",
        MIB * 16
    ))?;
    session.run("sha256sum </tmp/data | cut -d' ' -f1")
}

/// A machine whose card has nobody on its network: without a card of the host's, the guest's are not plugged in.
fn alone(lab: &Lab) -> Machine {
    let mut machine = lab.machine();
    let card = [
        "-netdev",
        "hubport,id=outside,hubid=0",
        "-device",
        "e1000,netdev=outside",
    ];
    machine.extra = card.map(str::to_owned).into();
    machine
}

/// Each two cards reach one another in a VLAN of the driver's, with full frames.
fn vlans(lab: &mut Lab) -> Result<()> {
    let guest = guest(lab, &CARDS.each_ref(), &["8021q"])?;
    let mut session = lab.start(&alone(lab), &guest)?;
    lab.step("shell", |_| session.shell())?;
    let sent = data(&mut session)?;
    let mut places = Vec::new();
    for (index, card) in CARDS.iter().enumerate() {
        let name = interface(&mut session, card)?;
        let at = station(&mut session, &format!("place{index}"), &name)?;
        session.run(&format!(
            "{at} ip link add link {name} name vlan type vlan id 7; {at} ip link set vlan up; \
             {at} ip addr add 10.9.7.{index}/24 dev vlan",
            index = index + 1
        ))?;
        places.push(at);
    }
    for (here, there) in [(0, 1), (0, 2), (1, 2)] {
        let step = format!("between {} and {}", CARDS[here].driver, CARDS[there].driver);
        lab.step(&step, |_| {
            let address = |index: usize| format!("10.9.7.{}", index + 1);
            session.run(&format!(
                "{} ping -c 1 -s 1472 -W 30 {}",
                places[here],
                address(there)
            ))?;
            fetch_by(&mut session, &places[here], &address(there), &sent)?;
            fetch_by(&mut session, &places[there], &address(here), &sent)
        })?;
    }
    Ok(())
}

/// Cards of a guest that forwards between two stations; in one switch, as Linux answers for an address by its own card alone.
const ROUTER: [Card; 5] = [
    card("virtio", "00:16:3e:00:00:21"),
    card("virtio", "00:16:3e:00:00:22"),
    card("virtio", "00:16:3e:00:00:23"),
    card("virtio", "00:16:3e:00:00:24"),
    card("rtl8139", "00:16:3e:00:00:25"),
];

const fn card(model: &'static str, mac: &'static str) -> Card {
    Card {
        model,
        mac,
        driver: "",
    }
}

/// Long frames that came gathered go on through a card that has segments cut by its hardware, and one of which the driver cuts them.
fn forward(lab: &mut Lab) -> Result<()> {
    let guest = guest(lab, &ROUTER.each_ref(), &[])?;
    let mut session = lab.start(&alone(lab), &guest)?;
    lab.step("shell", |_| session.shell())?;
    let sent = data(&mut session)?;
    session.run(
        "echo 1 >/proc/sys/net/ipv4/ip_forward; \
         for file in /proc/sys/net/ipv4/conf/*/arp_ignore; do echo 1 >$file; done; \
         for file in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$file; done",
    )?;
    let mut names = Vec::new();
    for card in &ROUTER {
        names.push(interface(&mut session, card)?);
    }
    let [left, right, near, far, old] = names.as_slice() else {
        unreachable!("a name for each card");
    };
    let mut at = Vec::new();
    for (tag, name, net) in [("left", left, 1), ("right", right, 2)] {
        let place = station(&mut session, tag, name)?;
        session.run(&format!(
            "{place} ip addr add 10.{net}.0.2/24 dev {name}; {place} ip route add default via 10.{net}.0.1"
        ))?;
        at.push(place);
    }
    session.run(&format!(
        "ip addr add 10.1.0.1/24 dev {near}; ip link set {near} up"
    ))?;
    for (step, way) in [("to virtio", far), ("to rtl8139", old)] {
        lab.step(step, |_| {
            session.run(&format!(
                "ip addr add 10.2.0.1/24 dev {way}; ip link set {way} up"
            ))?;
            // Whose address was another card's before.
            session.run(&format!("{} ip neigh flush dev {right}", at[1]))?;
            session.run(&format!("{} ping -c 1 -W 30 10.2.0.2", at[0]))?;
            fetch_by(&mut session, &at[0], "10.2.0.2", &sent)?;
            fetch_by(&mut session, &at[1], "10.1.0.2", &sent)?;
            session
                .run(&format!("ip addr flush dev {way}; ip link set {way} down"))
                .map(drop)
        })?;
    }
    Ok(())
}
