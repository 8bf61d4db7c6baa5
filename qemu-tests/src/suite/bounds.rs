//! What keeps guests in bounds: the VLAN that the switch puts them in, whose address they may have, how fast they may send, and what
//! malformed rings come to.

use super::beside::beside;
use super::network::{CARDS, Card, guest_with, interface};
use super::outside::serve;
use super::session::{BOOT, Lab, SOON, Session};
use super::uplink::{buffers, ensure_no_leak};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::peer::Peer;
use crate::program::{Form, build};
use anyhow::{Result, ensure};
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "network-bounds",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: bounds,
    },
    Case {
        name: "network-rings",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: rings,
    },
];

/// The guest's VLAN.
const VLAN: u16 = 7;
/// Whom it looks for.
const WANTED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 9);
/// How fast one may send.
const RATE_BYTES_PER_S: usize = 250_000;

/// One card may have its own address only, one is in a VLAN, one may send 250 KB a second.
fn bounds(lab: &mut Lab) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let mut machine = lab.machine();
    machine.extra = peer.arguments_with(
        "e1000",
        &format!("hostfwd=tcp:127.0.0.1:{own}-10.0.2.30:80"),
    );
    let [spoofer, tagged, slow] = &CARDS;
    let guest = guest_with(lab, |card| {
        let words = match card.driver {
            driver if driver == spoofer.driver => "antispoof",
            driver if driver == tagged.driver => "bridge=ovsbr0.7",
            _ => "rate=250KB/s",
        };
        words.to_owned()
    })?;
    let mut session = lab.start(&machine, &guest)?;
    lab.step("shell", |_| {
        session.console.expect("the host's address is ", BOOT)?;
        session.shell()
    })?;
    lab.step("another address than its own does not get out", |_| {
        antispoof(&mut session, &peer, spoofer)
    })?;
    lab.step(
        "frames have the VLAN's tag outside, and none inside",
        |_| vlan(&mut session, &peer, tagged),
    )?;
    let directory = lab.directory().to_owned();
    lab.step("data comes as slowly as it may", |_| {
        const MIB: usize = 1;
        let name = up(&mut session, slow, "10.0.2.30/24")?;
        session.run("httpd -p 80 -h /tmp")?;
        session.run(&format!("arping -q -U -c 1 -I {name} 10.0.2.30"))?;
        let start = Instant::now();
        serve(&mut session, &directory, own, MIB)?;
        let took = start.elapsed();
        let least = Duration::from_secs_f64((MIB << 20) as f64 / RATE_BYTES_PER_S as f64 * 0.9);
        ensure!(
            took > least,
            "{MIB} MiB came within {took:?}, not {least:?}"
        );
        Ok(())
    })
}

/// Turns a card on with an address.
fn up(session: &mut Session, card: &Card, address: &str) -> Result<String> {
    let name = interface(session, card)?;
    session.run(&format!(
        "ip addr add {address} dev {name}; ip link set {name} up"
    ))?;
    Ok(name)
}

fn antispoof(session: &mut Session, peer: &Peer, card: &Card) -> Result<()> {
    let name = up(session, card, "10.9.0.2/24")?;
    let ask = format!("arping -c 3 -w 10 -I {name} {WANTED}");
    // The station answers whoever asks, so an answer means that the question got out.
    let (answered, frames) = while_answering(peer, None, || session.run(&ask))?;
    answered?;
    ensure!(frames > 0, "nothing was asked");
    session.run(&format!("ip link set {name} down; ip link set dev {name} address 00:16:3e:66:66:66; ip link set {name} up"))?;
    let (answered, frames) = while_answering(peer, None, || session.run(&ask))?;
    ensure!(
        answered.is_err() && frames == 0,
        "{frames} questions got out: {answered:?}"
    );
    session.run(&format!("ip link set {name} down")).map(drop)
}

fn vlan(session: &mut Session, peer: &Peer, card: &Card) -> Result<()> {
    let name = up(session, card, "10.9.0.3/24")?;
    let ask = format!("arping -c 3 -w 10 -I {name} {WANTED}");
    let (answered, frames) = while_answering(peer, Some(VLAN), || session.run(&ask))?;
    answered?;
    ensure!(frames > 0, "nothing was asked");
    // The answer of somebody in no VLAN, or in another one, does not come in.
    for answer in [None, Some(VLAN + 1)] {
        let (answered, _) = while_answering_as(peer, Some(VLAN), answer, || session.run(&ask))?;
        ensure!(answered.is_err(), "an answer in {answer:?} came in");
    }
    session.run(&format!("ip link set {name} down")).map(drop)
}

fn while_answering<T>(
    peer: &Peer,
    vlan: Option<u16>,
    work: impl FnOnce() -> T,
) -> Result<(T, usize)> {
    while_answering_as(peer, vlan, vlan, work)
}

/// Does `work` while the station answers questions for [`WANTED`] that come in a VLAN, in another one; how many questions came.
fn while_answering_as<T>(
    peer: &Peer,
    asked: Option<u16>,
    answer: Option<u16>,
    work: impl FnOnce() -> T,
) -> Result<(T, usize)> {
    let (count, worked) = beside(|done| peer.be_found_at(WANTED, asked, answer, done), work)?;
    Ok((worked, count))
}

/// Drivers without sense, twice: the host answers all the while, and no buffer is lost.
fn rings(lab: &mut Lab) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(240);
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments("e1000");
    let mut guest = Guest::new(build("rings", Form::Kernel)?);
    guest.memory_mib = 64;
    guest
        .settings
        .push_str("vif = ['model=virtio', 'model=rtl8139']\n");
    let mut session = lab.start(&machine, &guest)?;
    lab.step("both cards are found", |_| {
        session
            .console
            .expect("RINGS virtio true rtl8139 true", BOOT)
            .map(drop)
    })?;
    let host = Ipv4Addr::new(10, 0, 2, 15);
    let mut life = |lab: &mut Lab, name: &str| {
        lab.step(name, |_| {
            for step in 1..=20 {
                session
                    .console
                    .expect(&format!("RINGS step {step}\n"), PATIENCE)?;
                peer.ping(host, 64, SOON)?;
            }
            session.console.expect("RINGS done", SOON)?;
            session.enter_prompt()?;
            let free = buffers(&mut session)?;
            session.console.send("reset\r")?;
            session.leave_prompt()?;
            Ok(free)
        })
    };
    let first = life(lab, "a first life")?;
    let second = life(lab, "a second life")?;
    ensure_no_leak(first, second)
}
