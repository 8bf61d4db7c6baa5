//! Guests behind the host's address.

use super::network::{CARDS, Card, guest_with, interface};
use super::outside::{fetch, put_away, serve, while_answering};
use super::session::{BOOT, Lab, Session};
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use anyhow::{Result, bail, ensure};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

pub(super) const CASES: &[Case] = &[Case {
    name: "network-nat",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::Qemu,
    body: static_host,
}];

/// The guest's router.
const ROUTER: &str = "10.77.86.1";
/// What udhcpc calls: takes the address and the way out, and says what it was told.
const LEASE: &str = r#"printf '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip addr add $ip/$mask dev $interface\nip route add default via $router\nifconfig $interface mtu $mtu\necho got $ip by $router, names by $dns, mtu $mtu, $hostname\n' >/tmp/lease; chmod 755 /tmp/lease"#;

/// A port of the host's for each card.
fn port(card: &Card) -> u16 {
    let index = CARDS.iter().position(|it| it.mac == card.mac);
    8080 + index.unwrap_or(0) as u16
}

/// The host has a static address; a station answers for names, and QEMU's own network leads to this computer and back.
fn static_host(lab: &mut Lab) -> Result<()> {
    const MIB: usize = 2;
    let peer = Peer::new(lab.directory())?;
    let serving = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let own: Vec<u16> = {
        let listeners = CARDS
            .each_ref()
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let ports = listeners
            .into_iter()
            .map(|listener| Ok(listener?.local_addr()?.port()));
        ports.collect::<Result<_>>()?
    };
    let doors = CARDS.iter().zip(&own);
    let doors =
        doors.map(|(card, own)| format!(",hostfwd=tcp:127.0.0.1:{own}-10.0.2.15:{}", port(card)));
    let mut machine = lab.machine();
    machine.extra = peer.arguments_with("e1000", &doors.collect::<String>()[1..]);
    let guest = guest_with(lab, |card| format!("nat,forward=tcp:{}:80", port(card)))?;
    let words = format!(
        "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:{}",
        Peer::ADDRESS
    );
    let mut session = lab.start_with(&machine, &guest, &words)?;
    // A station that answers for names, from the first question on.
    lab.step("shell", |_| {
        while_naming_or_not(&peer, || {
            session
                .console
                .expect("guests behind the host's address have 10.77.86.1", BOOT)?;
            session.shell().map(drop)
        })
    })?;
    session.run(LEASE)?;
    session.run("httpd -p 80 -h /tmp")?;
    let directory = lab.directory().to_owned();
    for (index, (card, own)) in CARDS.iter().zip(own).enumerate() {
        let name = interface(&mut session, card)?;
        lab.step(&format!("{}: lease", card.driver), |_| {
            session.run(&format!("ip link set {name} up"))?;
            let said = session.run(&format!("udhcpc -i {name} -n -q -t 10 -s /tmp/lease 2>&1"))?;
            let expected = format!(
                "got 10.77.86.{} by {ROUTER}, names by {ROUTER}, mtu 1500, guest",
                2 + index
            );
            ensure!(said.contains(&expected), "{said}");
            session.run(&format!(
                "ping -c 1 -W 30 {ROUTER}; ping -c 1 -W 30 10.0.2.2"
            ))
        })?;
        lab.step(&format!("{}: a name", card.driver), |_| {
            while_naming(&peer, || names(&mut session))
        })?;
        lab.step(
            &format!("{}: {MIB} MiB fetched and served", card.driver),
            |_| {
                while_answering(&peer, || {
                    fetch(&mut session, &directory, &serving, MIB)?;
                    serve(&mut session, &directory, own, MIB)
                })
            },
        )?;
        put_away(&mut session, &name, card)?;
    }
    lab.step("nothing of the guest's own is seen outside", |_| {
        ensure!(
            peer.resolve(
                Ipv4Addr::new(10, 77, 86, 2),
                std::time::Duration::from_secs(2)
            )
            .is_err()
        );
        session.enter_prompt()?;
        let info = session.ask("info")?;
        ensure!(info.contains("nat:    10.77.86.1/24"), "{info}");
        ensure!(info.contains("forward tcp:8081:80 to 10.77.86.3"), "{info}");
        Ok(())
    })
}

fn names(session: &mut Session) -> Result<()> {
    // QEMU's own network hears the question too, and takes it to a name server of this computer's, if there is one, which knows no such
    // name: its answer may be the first.
    let said = session.run(&format!(
        "for try in 1 2 3 4 5; do nslookup -type=a station.example {ROUTER} | grep 192.0.2 && break; done"
    ))?;
    ensure!(said.contains("192.0.2.77"), "{said}");
    Ok(())
}

/// Does `work` while the station answers for names, and somebody asks for one.
fn while_naming(peer: &Peer, work: impl FnOnce() -> Result<()>) -> Result<()> {
    ensure!(naming(peer, work)? > 0, "nobody asked for a name");
    Ok(())
}

/// The same if nobody asks.
fn while_naming_or_not(peer: &Peer, work: impl FnOnce() -> Result<()>) -> Result<()> {
    naming(peer, work).map(drop)
}

fn naming(peer: &Peer, work: impl FnOnce() -> Result<()>) -> Result<usize> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let names = scope.spawn(|| {
            peer.answer_names(Ipv4Addr::new(192, 0, 2, 77), || {
                done.load(Ordering::Relaxed)
            })
        });
        let worked = work();
        done.store(true, Ordering::Relaxed);
        let count = names
            .join()
            .unwrap_or_else(|_| bail!("the name server panicked"))?;
        worked.map(|()| count)
    })
}
