//! The guest on the wire: leases, and data from and to this computer, through each card that the host can drive.

use super::network::{CARDS, Card, LEASE, guest, interface};
use super::session::{BOOT, Lab, SOON, Session};
use super::uplink::with_card;
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A case for a card's model.
macro_rules! card {
    ($name:literal, $tier:ident, $card:literal, $mib:literal) => {
        Case {
            name: concat!("network-outside-", $name),
            tier: Tier::$tier,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| outside(lab, $card, $mib)),
        }
    };
}

pub(super) const CASES: &[Case] = &[
    card!("e1000", Full, "e1000", 4),
    card!("e1000-82544", Full, "e1000-82544gc", 4),
    card!("e1000-82545", Full, "e1000-82545em", 4),
    card!("e1000e", Full, "e1000e", 4),
    card!("igb", Full, "igb", 4),
    card!("rtl8139", Full, "rtl8139", 4),
    card!("virtio", Full, "virtio-net-pci", 4),
    card!("virtio-modern", Full, "virtio-net-pci,disable-legacy=on", 4),
    card!("virtio-legacy", Full, "virtio-net-pci,disable-modern=on", 4),
    card!("long", Full, "virtio-net-pci", 256),
];

/// The guest's address, beside the one that it is given, and how it reaches this computer.
pub(super) const GUEST: &str = "10.0.2.30";
pub(super) const GATEWAY: &str = "10.0.2.2";
/// How long a connection may say nothing.
pub(super) const SILENCE: Duration = Duration::from_secs(60);
/// Most data in one connection: it lies in the guest's memory.
const ROUND_MIB: usize = 16;

/// With one card of the guest after another: a lease, and `mib` of data fetched from this computer and served to it, while the host answers
/// pings.
fn outside(lab: &mut Lab, model: &str, mib: usize) -> Result<()> {
    let peer = Peer::new(lab.directory())?;
    // Held until QEMU takes it, which may come too late only if somebody takes it within the moment.
    let serving = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let mut machine = lab.machine();
    machine.extra = peer.arguments_with(model, &format!("hostfwd=tcp:127.0.0.1:{own}-{GUEST}:80"));
    let mut session = lab.start(&machine, &guest(lab)?)?;
    lab.step("shell", |_| {
        session.console.expect("the host's address is ", BOOT)?;
        session.shell()
    })?;
    session.run(LEASE)?;
    session.run("httpd -p 80 -h /tmp")?;
    for card in &CARDS {
        let name = interface(&mut session, card)?;
        lab.step(&format!("{}: lease", card.driver), |_| {
            lease(&mut session, &name)
        })?;
        let rounds = mib.div_ceil(ROUND_MIB);
        let directory = lab.directory().to_owned();
        lab.step(
            &format!("{}: {mib} MiB fetched, {mib} MiB served", card.driver),
            |_| {
                while_answering(&peer, || {
                    (0..rounds).try_for_each(|_| {
                        let mib = mib.min(ROUND_MIB);
                        fetch(&mut session, &directory, &serving, mib)?;
                        serve(&mut session, &directory, own, mib)
                    })
                })
            },
        )?;
        put_away(&mut session, &name, card)?;
    }
    Ok(())
}

pub(super) fn lease(session: &mut Session, name: &str) -> Result<()> {
    session.run(&format!("ip link set {name} up"))?;
    let said = session.run(&format!("udhcpc -i {name} -n -q -t 10 -s /tmp/lease 2>&1"))?;
    ensure!(said.contains("got 10.0.2."), "{said}");
    // QEMU's network remembers at which card the address was last, unless it is told.
    session.run(&format!(
        "ip addr add {GUEST}/24 dev {name}; arping -q -U -c 1 -I {name} {GUEST}"
    ))?;
    Ok(())
}

pub(super) fn put_away(session: &mut Session, name: &str, card: &Card) -> Result<()> {
    session
        .run(&format!(
            "ip addr flush dev {name}; ip link set {name} down"
        ))
        .with_context(|| card.model.to_owned())
        .map(drop)
}

/// Does `work` while the host answers pings of the station.
pub(super) fn while_answering(peer: &Peer, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let host = Ipv4Addr::new(10, 0, 2, 15);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let pings = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peer.ping(host, 64, SOON)?;
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let answered = pings.join().unwrap_or_else(|_| bail!("the pings panicked"));
        worked.and(answered)
    })
}

/// The guest fetches data from this computer.
pub(super) fn fetch(
    session: &mut Session,
    directory: &Path,
    serving: &TcpListener,
    mib: usize,
) -> Result<()> {
    let file = directory.join("data");
    fs::write(&file, noise(mib))?;
    let sent = hash(&file)?;
    let port = serving.local_addr()?.port();
    thread::scope(|scope| {
        let server = scope.spawn(|| answer(serving, &file));
        let came = session.run(&format!(
            "wget -q -O - http://{GATEWAY}:{port}/data | sha256sum >/tmp/sum; cut -d' ' -f1 /tmp/sum"
        ))?;
        server
            .join()
            .unwrap_or_else(|_| bail!("the server panicked"))?;
        ensure!(came == sent, "fetched {came:?} of {sent:?}");
        Ok(())
    })
}

/// Answers one request.
fn answer(serving: &TcpListener, file: &Path) -> Result<()> {
    let mut stream = request(serving)?;
    let data = fs::read(file)?;
    write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n",
        data.len()
    )?;
    stream.write_all(&data).context("the guest takes no more")
}

/// A connection of the guest's whose request was read.
pub(super) fn request(serving: &TcpListener) -> Result<TcpStream> {
    serving.set_nonblocking(true)?;
    let end = Instant::now() + SILENCE;
    let mut stream = loop {
        match serving.accept() {
            Ok((stream, _)) => break stream,
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            Err(error) => return Err(error).context("the guest does not connect"),
        }
    };
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream
            .read_exact(&mut byte)
            .context("the guest's request")?;
        request.push(byte[0]);
    }
    Ok(stream)
}

/// This computer fetches data from the guest.
pub(super) fn serve(session: &mut Session, directory: &Path, port: u16, mib: usize) -> Result<()> {
    session.run(&format!(
        "dd if=/dev/urandom of=/tmp/data bs=64k count={} 2>/dev/null",
        mib * 16
    ))?;
    let sent = session.run("sha256sum </tmp/data | cut -d' ' -f1")?;
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.write_all(b"GET /data HTTP/1.0\r\n\r\n")?;
    let mut said = Vec::new();
    stream
        .read_to_end(&mut said)
        .context("the guest sends no more")?;
    let start = said.windows(4).position(|window| window == b"\r\n\r\n");
    let body = &said[start.context("the guest's answer has no header")? + 4..];
    let file = directory.join("data");
    fs::write(&file, body)?;
    let came = hash(&file)?;
    ensure!(
        came == sent,
        "served {came:?} of {sent:?}, {} bytes",
        body.len()
    );
    Ok(())
}

/// Data without a pattern that a mistake could repeat.
pub(super) fn noise(mib: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..mib << 17).flat_map(|_| {
        // xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

pub(super) fn hash(file: &Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(file).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (sum, _) = text.split_once(' ').context("sha256sum says nothing")?;
    Ok(sum.to_owned())
}
