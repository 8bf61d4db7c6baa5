//! The guest on a network with a real station: leases of a real server, and data both ways, also where frames are lost and late.

use super::network::{CARDS, Card, LEASE, guest_with, interface};
use super::outside::{hash, noise, put_away};
use super::session::{BOOT, Lab, PROMPT, SOON, Session};
use super::uplink::with_card;
use super::{Case, Machines, Scope, Tier};
use crate::engine::Emulator;
use crate::initramfs::BUSYBOX;
use crate::lan::{self, Lan, Weather};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{Read, Write};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// A case for a card of the host's, so many MiB, and a kind of weather.
macro_rules! case {
    ($name:literal, $card:literal, $mib:literal, $weather:expr) => {
        Case {
            name: concat!("network-lan-", $name),
            tier: Tier::Full,
            scope: Scope::Hypervisor,
            machines: Machines::Qemu,
            body: |lab| with_card(lab, $card, |lab| bridged(lab, $card, $mib, $weather)),
        }
    };
}

const FAIR: Weather = Weather {
    lost_per_mille: 0,
    late_per_mille: 0,
};
const FOUL: Weather = Weather {
    lost_per_mille: 10,
    late_per_mille: 10,
};

pub(super) const CASES: &[Case] = &[
    case!("e1000", "e1000", 16, FAIR),
    case!("e1000e", "e1000e", 16, FAIR),
    case!("igb", "igb", 16, FAIR),
    case!("rtl8139", "rtl8139", 16, FAIR),
    case!("virtio", "virtio-net-pci", 16, FAIR),
    case!("foul", "e1000", 4, FOUL),
    case!("foul-igb", "igb", 4, FOUL),
    case!("foul-rtl8139", "rtl8139", 4, FOUL),
    case!("foul-virtio", "virtio-net-pci", 4, FOUL),
    case!("long", "e1000", 256, FAIR),
    Case {
        name: "network-lan-nat",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| behind(lab, 4, FAIR),
    },
    Case {
        name: "network-lan-nat-foul",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| behind(lab, 4, FOUL),
    },
    // Bochs' card on a wire lets in its own frames alone, so the guest is behind the host's address.
    Case {
        name: "network-lan-nat-bochs",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Bochs,
        body: |lab| behind(lab, 1, FAIR),
    },
];

/// Where the prompt is.
const PROMPT_PORT: u16 = 4000;
/// Most data that lies in the guest's memory.
const ROUND_MIB: usize = 16;
/// For a round, where frames are lost, or Bochs has to handle them.
const PATIENCE: Duration = Duration::from_secs(300);

/// Each card has a lease of dnsmasq's, answers, fetches and serves, while the host answers pings and its prompt is talked with.
fn bridged(lab: &mut Lab, model: &str, mib: usize, weather: Weather) -> Result<()> {
    let lan = Lan::start(lab.directory(), weather)?;
    let (mut session, host) = start(lab, &lan, model, |_| String::new())?;
    for card in &CARDS {
        let name = interface(&mut session, card)?;
        let address = lab.step(&format!("{}: lease and pings", card.driver), |_| {
            session.run(&format!("ip link set {name} up"))?;
            session.run(&format!("udhcpc -i {name} -n -q -t 20 -s /tmp/lease 2>&1"))?;
            let address = lan.lease_of(card.mac)?;
            session.run(&format!("ping -c 3 -W 10 {}", lan::ADDRESS))?;
            ping(&lan, &address)?;
            Ok(address)
        })?;
        lab.step(
            &format!("{}: {mib} MiB fetched, {mib} MiB served", card.driver),
            |_| {
                while_busy(&lan, &host, || {
                    exchange(&mut session, &lan, (&address, 80), mib, SOON)
                })
            },
        )?;
        put_away(&mut session, &name, card)?;
    }
    if weather != FAIR {
        lan.ensure_damage()?;
    }
    Ok(())
}

/// The same behind the host's address: the router's lease, names through it, and ports of the host's.
fn behind(lab: &mut Lab, mib: usize, weather: Weather) -> Result<()> {
    let (lan, limit) = match lab.emulator() {
        Emulator::Qemu(_) => (Lan::start(lab.directory(), weather)?, SOON),
        Emulator::Bochs(_) => (Lan::start_for_bochs(lab.directory())?, PATIENCE),
    };
    let (mut session, host) = start(lab, &lan, "e1000", |card| {
        format!("nat,forward=tcp:{}:80", port(card))
    })?;
    for card in &CARDS {
        let name = interface(&mut session, card)?;
        lab.step(&format!("{}: lease, pings and a name", card.driver), |_| {
            session.run(&format!("ip link set {name} up"))?;
            let said = session.run(&format!("udhcpc -i {name} -n -q -t 20 -s /tmp/lease 2>&1"))?;
            ensure!(said.contains("got 10.77.86."), "{said}");
            session.run(&format!(
                "ip route add default via 10.77.86.1; ping -c 3 -W 10 {}",
                lan::ADDRESS
            ))?;
            let said = session.run(&format!("nslookup {} 10.77.86.1 | cat", lan::NAME))?;
            ensure!(said.contains(lan::ADDRESS), "{said}");
            // Nobody listens there: the station's error finds its way to who asked.
            session
                .run(&format!(
                    "nc -w 5 {} 9 </dev/null 2>&1 | grep refused",
                    lan::ADDRESS
                ))
                .map(drop)
        })?;
        lab.step(
            &format!("{}: {mib} MiB fetched, {mib} MiB served", card.driver),
            |_| {
                while_busy(&lan, &host, || {
                    exchange(&mut session, &lan, (&host, port(card)), mib, limit)
                })
            },
        )?;
        put_away(&mut session, &name, card)?;
    }
    if weather != FAIR {
        lan.ensure_damage()?;
    }
    Ok(())
}

/// A port of the host's for each card.
fn port(card: &Card) -> u16 {
    let index = CARDS.iter().position(|it| it.mac == card.mac);
    8080 + index.unwrap_or(0) as u16
}

/// The guest with all cards, and the host's address.
fn start(
    lab: &mut Lab,
    lan: &Lan,
    model: &str,
    words: impl Fn(&Card) -> String,
) -> Result<(Session, String)> {
    let mut machine = lab.machine();
    machine.extra = lan.arguments(model);
    let mut guest = guest_with(lab, words)?;
    guest.settings.push_str(&format!(
        "prompt = 'tcp::{PROMPT_PORT},server'\ninsecure = 1\n"
    ));
    let mut session = lab.start(&machine, &guest)?;
    let host = lab.step("the host's lease, and a shell", |_| {
        let line = session.console.line_after("the host's address is ", BOOT)?;
        session.shell()?;
        let (address, _) = line.split_once('/').context(line.clone())?;
        Ok(address.trim().to_owned())
    })?;
    session.run(LEASE)?;
    session.run("httpd -p 80 -h /tmp")?;
    Ok((session, host))
}

fn ping(lan: &Lan, address: &str) -> Result<()> {
    lan.run(&format!("{BUSYBOX} ping -c 3 -W 10 {address}"))
        .map(drop)
}

/// Does `work` while the host answers pings, and a session at its prompt goes on.
fn while_busy(lan: &Lan, host: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let done = AtomicBool::new(false);
    let panicked = |_| bail!("it panicked");
    thread::scope(|scope| {
        let pings = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                ping(lan, host)?;
                thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        });
        let talk = scope.spawn(|| talk(lan, host, &done));
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let answered = pings
            .join()
            .unwrap_or_else(panicked)
            .context("the host's answers to pings");
        let talked = talk
            .join()
            .unwrap_or_else(panicked)
            .context("a session at the prompt");
        worked.and(answered).and(talked)
    })
}

/// Asks the prompt for `info` until it is `done`.
fn talk(lan: &Lan, host: &str, done: &AtomicBool) -> Result<()> {
    let mut child = lan
        .enter(&format!("exec {BUSYBOX} nc {host} {PROMPT_PORT}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut to, mut from) = (
        child.stdin.take().context("no input")?,
        child.stdout.take().context("no output")?,
    );
    let mut answered = 0;
    let result = loop {
        if answered > 0 && done.load(Ordering::Relaxed) {
            break Ok(());
        }
        if let Err(error) = to.write_all(b"info\r\n").and_then(|()| to.flush()) {
            break Err(error.into());
        }
        let mut said = Vec::new();
        let mut byte = [0];
        // Its own end of the connection ends the reading, too.
        while !said.ends_with(PROMPT.as_bytes())
            || !String::from_utf8_lossy(&said).contains("buffers free")
        {
            if from.read(&mut byte)? == 0 {
                break;
            }
            said.push(byte[0]);
        }
        if !said.ends_with(PROMPT.as_bytes()) {
            break Err(anyhow::anyhow!(
                "it ended with {:?}",
                String::from_utf8_lossy(&said)
            ));
        }
        answered += 1;
        thread::sleep(Duration::from_millis(200));
    };
    child.kill()?;
    child.wait()?;
    result
}

/// The guest fetches data of the station's, and the station the guest's, each round of it within `limit`.
fn exchange(
    session: &mut Session,
    lan: &Lan,
    (guest, port): (&str, u16),
    mib: usize,
    limit: Duration,
) -> Result<()> {
    let file = lan.file("data");
    fs::write(&file, noise(mib.min(ROUND_MIB)))?;
    let sent = hash(&file)?;
    for _ in 0..mib.div_ceil(ROUND_MIB) {
        let said = session.run_within(
            &format!(
                "wget -q -O - http://{}/data | sha256sum >/tmp/sum; cut -d' ' -f1 /tmp/sum",
                lan::ADDRESS
            ),
            PATIENCE,
        )?;
        // What the log says meanwhile may stand before it.
        ensure!(said.ends_with(&sent), "fetched {said:?} of {sent:?}");
        session.run(&format!(
            "dd if=/dev/urandom of=/tmp/data bs=64k count={} 2>/dev/null",
            mib.min(ROUND_MIB) * 16
        ))?;
        let said = session.run("sha256sum </tmp/data | cut -d' ' -f1")?;
        let there = said.lines().last().unwrap_or_default();
        let came = lan.run(&format!(
            "timeout {} {BUSYBOX} wget -q -O - http://{guest}:{port}/data | sha256sum",
            limit.as_secs()
        ))?;
        ensure!(
            !there.is_empty() && came.starts_with(there),
            "served {came:?} of {there:?}"
        );
    }
    Ok(())
}
