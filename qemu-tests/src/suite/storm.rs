//! The guest on a network that misbehaves: floods of wrong frames and a cable that is pulled, in the middle of a transfer.

use super::network::{CARDS, Card, LEASE, guest_with, interface};
use super::outside::{GATEWAY, GUEST, SILENCE, hash, lease, noise, put_away, request};
use super::session::{BOOT, Lab, SOON, Session};
use super::uplink::{buffers, ensure_no_leak, with_card, wrong};
use super::{Case, Tier};
use crate::desk::Link;
use crate::machine::Desk;
use crate::peer::Peer;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::in_qemu("network-storm-e1000", Tier::Full, |lab| {
        storm(lab, "e1000", Place::Bridged)
    }),
    Case::in_qemu("network-storm-e1000e", Tier::Full, |lab| {
        storm(lab, "e1000e", Place::Bridged)
    }),
    Case::in_qemu("network-storm-igb", Tier::Full, |lab| {
        with_card(lab, "igb", |lab| storm(lab, "igb", Place::Bridged))
    }),
    Case::in_qemu("network-storm-rtl8139", Tier::Full, |lab| {
        storm(lab, "rtl8139", Place::Bridged)
    }),
    Case::in_qemu("network-storm-virtio", Tier::Full, |lab| {
        storm(lab, "virtio-net-pci", Place::Bridged)
    }),
    Case::in_qemu("network-storm-nat", Tier::Full, |lab| {
        storm(lab, "e1000", Place::Behind)
    }),
];

/// Where the guest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// On the switch.
    Bridged,
    /// Behind the host's address, at [`INSIDE`] and up.
    Behind,
}

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Addresses behind the host's, of the first card and up.
const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 86, 2);
/// A station that is not there.
const STRANGER: ([u8; 6], Ipv4Addr) = ([2, 0, 0, 0, 0, 0x99], Ipv4Addr::new(10, 0, 2, 99));
/// Rounds of wrong frames, of a dozen each, for the host and for the guest.
const ROUNDS: usize = 300;
/// Frames for others.
const STRANGE_FRAMES: usize = 1000;
/// Most frames that a quiet network brings meanwhile.
const QUIET_FRAMES: u64 = 50;
/// A connection that lost its cable asks again after some time.
const PATIENCE: Duration = Duration::from_secs(180);

/// Each of the guest's cards fetches data all the while, and what comes is what was sent; no buffer is lost, and nothing comes in that is not
/// for it.
fn storm(lab: &mut Lab, model: &str, place: Place) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    let serving = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut machine = lab.machine();
    machine.desk = Desk::Attended;
    machine.extra = peer.arguments_with(model, "ipv6=off");
    let guest = guest_with(lab, |_| match place {
        Place::Bridged => String::new(),
        Place::Behind => "nat".to_owned(),
    })?;
    let mut session = lab.start(&machine, &guest)?;
    lab.step("shell", |_| {
        session.console.expect("the host's address is ", BOOT)?;
        session.shell()
    })?;
    session.run(LEASE)?;
    for card in &CARDS {
        let name = interface(&mut session, card)?;
        match place {
            Place::Bridged => lease(&mut session, &name)?,
            Place::Behind => session
                .run(&format!(
                    "ip link set {name} up; udhcpc -i {name} -n -q -t 10 -s /tmp/lease; ip route add default via 10.77.86.1"
                ))
                .map(drop)?,
        }
        session.run(&format!("ping -c 1 -W 30 {GATEWAY}"))?;
        fill_idle_cables(&peer)?;
        let before = free(&mut session)?;
        let directory = lab.directory().to_owned();
        let step = format!("{}: a flood and a pulled cable in a transfer", card.driver);
        lab.step(&step, |_| {
            while_fetching(&mut session, &directory, &serving, |session| {
                flood(&peer, card, place)?;
                pull(session, &name)?;
                flood(&peer, card, place)
            })
        })?;
        lab.step(
            &format!("{}: nothing of others' comes in", card.driver),
            |_| {
                let seen = received(&mut session, &name)?;
                let (station, address) = match place {
                    Place::Bridged => STRANGER,
                    Place::Behind => (peer.resolve(HOST, SOON)?, INSIDE),
                };
                let frame = peer.datagram(station, address);
                peer.send_all(std::iter::repeat_n(frame, STRANGE_FRAMES))?;
                // Answered behind all of them.
                peer.ping(HOST, 64, SOON)?;
                let came = received(&mut session, &name)? - seen;
                ensure!(came < QUIET_FRAMES, "{came} frames came in");
                Ok(())
            },
        )?;
        lab.step(&format!("{}: no buffer is lost", card.driver), |_| {
            ensure_no_leak(before, free(&mut session)?)
        })?;
        put_away(&mut session, &name, card)?;
    }
    Ok(())
}

/// Cards that the guest has not turned on hold what comes to everybody, up to a bound that is reached here.
fn fill_idle_cables(peer: &Peer) -> Result<()> {
    peer.send_all(std::iter::repeat_n(
        peer.datagram([0xff; 6], Ipv4Addr::BROADCAST),
        STRANGE_FRAMES,
    ))?;
    peer.ping(HOST, 64, SOON)
}

/// Free buffers, asked for in the middle of the guest's session.
fn free(session: &mut Session) -> Result<usize> {
    session.enter_prompt()?;
    let free = buffers(session)?;
    session.leave_prompt()?;
    Ok(free)
}

/// Frames that the guest's card has brought.
fn received(session: &mut Session, name: &str) -> Result<u64> {
    let said = session.run(&format!("cat /sys/class/net/{name}/statistics/rx_packets"))?;
    said.parse().context(said)
}

/// Wrong frames for the host, and for the guest where it can be reached; the host answers behind them.
fn flood(peer: &Peer, card: &Card, place: Place) -> Result<()> {
    let mut stations = vec![(peer.resolve(HOST, SOON)?, HOST)];
    if place == Place::Bridged {
        let address: Ipv4Addr = GUEST.parse()?;
        let station = peer.resolve(address, SOON)?;
        ensure!(
            crate::suite::network::mac(station) == card.mac,
            "{address} is at {station:02x?}"
        );
        stations.push((station, address));
    }
    for round in 0..ROUNDS {
        for &(station, address) in &stations {
            peer.send_all(wrong(peer, station, address, round).into_iter())?;
        }
    }
    for (_, address) in stations {
        peer.ping(address, 1472, SOON)?;
        peer.ping_damaged(address, SOON)?;
    }
    Ok(())
}

/// Pulls the host's cable: the guest sees that, and gets nothing out; and plugs it in again.
fn pull(session: &mut Session, name: &str) -> Result<()> {
    let until = |carrier: u8| {
        format!("until [ $(cat /sys/class/net/{name}/carrier) = {carrier} ]; do usleep 50000; done")
    };
    session.console.desk()?.set_link("card", Link::Down)?;
    session.console.expect("the link is down", SOON)?;
    session.run(&until(0))?;
    session.run(&format!("! ping -c 2 -W 1 {GATEWAY}"))?;
    session.console.desk()?.set_link("card", Link::Up)?;
    session.console.expect("the link is up", SOON)?;
    session.run(&until(1)).map(drop)
}

/// Does `work` while the guest fetches data that has no end before the work has; then all of it has to have come.
fn while_fetching(
    session: &mut Session,
    directory: &Path,
    serving: &TcpListener,
    work: impl FnOnce(&mut Session) -> Result<()>,
) -> Result<()> {
    let file = directory.join("data");
    let port = serving.local_addr()?.port();
    let done = AtomicBool::new(false);
    let (asked, is_asked) = mpsc::channel();
    thread::scope(|scope| {
        let server = scope.spawn(|| stream(serving, &file, asked, &done));
        let worked = session
            .run(&format!(
                "(wget -q -O - http://{GATEWAY}:{port}/data | sha256sum >/tmp/sum) & true"
            ))
            // Under way before it is disturbed: a connection that was not made is given up at once where there is no network.
            .and_then(|_| {
                is_asked
                    .recv_timeout(SOON)
                    .context("the guest does not ask")
            })
            .and_then(|()| work(session));
        done.store(true, Ordering::Relaxed);
        let served = server
            .join()
            .unwrap_or_else(|_| bail!("the server panicked"));
        worked?;
        served?;
        let sent = hash(&file)?;
        let said = session.run_within("wait; cut -d' ' -f1 /tmp/sum", PATIENCE)?;
        ensure!(said.contains(&sent), "fetched {said:?} of {sent:?}");
        Ok(())
    })
}

/// Answers one request with data until it is `done`, and keeps what it sent in `file`.
fn stream(
    serving: &TcpListener,
    file: &Path,
    asked: mpsc::Sender<()>,
    done: &AtomicBool,
) -> Result<()> {
    let mut stream = request(serving)?;
    // Nobody listens any more only where the work is over.
    let _ = asked.send(());
    stream.set_write_timeout(Some(SILENCE.max(PATIENCE)))?;
    stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n")?;
    let block = noise(1);
    let mut file = File::create(file)?;
    while !done.load(Ordering::Relaxed) {
        file.write_all(&block)?;
        stream
            .write_all(&block)
            .context("the guest takes no more")?;
    }
    Ok(())
}
