//! Consoles over the network: the guest's serial line and Monovisor's prompt.

use super::session::{BOOT, Lab, PROMPT, SOON};
use super::{Case, Machines, Scope, Tier};
use crate::peer::Peer;
use crate::remote::Network;
use anyhow::{Result, ensure};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "consoles-lines",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: lines,
    },
    Case {
        name: "consoles-closed",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: closed,
    },
    Case {
        name: "consoles-flood",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: flood,
    },
];

const SERIAL: u16 = 4001;
const PROMPT_PORT: u16 = 4000;

/// What a telnet client that has no options answers to proposals.
const REFUSALS: &[u8] = &[
    255, 254, 0, 255, 254, 1, 255, 254, 3, 255, 252, 0, 255, 252, 3,
];

/// The guest's serial line has COM1 and two clients, one of whom does not read; the prompt is behind a password.
fn lines(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[SERIAL, PROMPT_PORT])?;
    let mut machine = lab.machine();
    machine.extra = network.arguments("e1000");
    let mut guest = lab.guest();
    guest.settings.push_str(&format!(
        "serial = 'tcp::{SERIAL},server,nowait'\nprompt = 'telnet::{PROMPT_PORT},server'\npassword = 'geheim'\n"
    ));
    let mut session = lab.start(&machine, &guest)?;
    lab.step("the log tells addresses", |_| {
        session
            .console
            .expect("prompt at 10.0.2.15:4000, telnet", BOOT)?;
        session.shell()
    })?;
    let mut line = network.connect(SERIAL)?;
    let mut idle = network.connect(SERIAL)?;
    lab.step("serial line", |_| {
        for connection in [&mut line, &mut idle] {
            connection.expect("Password: ", SOON)?;
            connection.send(b"geheim\n")?;
            connection.expect("\n", SOON)?;
        }
        line.send(b"echo [$((6 * 7))] | tr '[]' '{}'\n")?;
        line.expect("{42}", SOON)?;
        // The same is on COM1.
        session.console.expect("{42}", SOON).map(drop)
    })?;
    lab.step("one who does not read holds up nobody", |_| {
        session.run("dd if=/dev/zero bs=1k count=40 2>/dev/null | tr '\\0' '.'; echo")?;
        line.expect("rc=0", SOON)?;
        session.run("true").map(drop)
    })?;
    lab.step("prompt", |_| {
        let mut prompt = network.connect(PROMPT_PORT)?;
        prompt.send(REFUSALS)?;
        prompt.expect("Password: ", SOON)?;
        prompt.send(b"geheim\r\0")?;
        prompt.expect(PROMPT, SOON)?;
        prompt.send(b"info\r\n")?;
        let info = prompt.expect(PROMPT, SOON)?;
        ensure!(
            info.contains("serial line at 10.0.2.15:4001, raw"),
            "`info` says {info:?}"
        );
        prompt.send(b"\x04")?;
        prompt.ended(SOON).map(drop)
    })?;
    lab.step("a wrong password", |_| {
        let mut prompt = network.connect(PROMPT_PORT)?;
        for _ in 0..3 {
            prompt.expect("Password: ", SOON)?;
            prompt.send(b"wrong\r\0")?;
        }
        let end = prompt.ended(SOON)?;
        ensure!(end.contains("No."), "it ended with {end:?}");
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Without a password nobody is listened to, and the log says why.
fn closed(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[SERIAL])?;
    let mut machine = lab.machine();
    machine.extra = network.arguments("e1000");
    let mut guest = lab.guest();
    guest
        .settings
        .push_str(&format!("serial = 'tcp::{SERIAL},server'\n"));
    let mut session = lab.start(&machine, &guest)?;
    lab.step("the log says why", |_| {
        session.console.expect("neither `password` nor", BOOT)?;
        session.shell()
    })?;
    lab.step("nobody listens", |_| {
        // QEMU itself takes the connection, and drops it when the machine does not.
        let end = network.connect(SERIAL)?.ended(Duration::from_secs(20))?;
        ensure!(end.is_empty(), "somebody says {end:?}");
        Ok(())
    })
}

/// Thousands of first segments from stations that are not there: who is connected stays so, the guest goes on, and afterwards others connect.
fn flood(lab: &mut Lab) -> Result<()> {
    const SEGMENTS: u16 = 5000;
    let network = Network::new(&[SERIAL])?;
    let peer = Peer::new(lab.directory())?;
    let mut machine = lab.machine();
    machine.extra = peer.arguments_beside("e1000", &network.options());
    let mut guest = lab.guest();
    guest
        .settings
        .push_str(&format!("serial = 'tcp::{SERIAL},server'\ninsecure = 1\n"));
    let mut session = lab.start(&machine, &guest)?;
    lab.step("shell", |_| session.shell())?;
    let host = Ipv4Addr::new(10, 0, 2, 15);
    let mut line = network.connect(SERIAL)?;
    lab.step("serial line", |_| {
        line.send(b"echo [$((6 * 7))] | tr '[]' '{}'\n")?;
        line.expect("{42}", SOON)?;
        session.console.expect("{42}", SOON).map(drop)
    })?;
    lab.step("flood", |_| {
        for _ in 0..4 {
            peer.flood(host, SERIAL, SEGMENTS / 4, SOON)?;
            line.send(b"echo [$((6 * 7))] | tr '[]' '{}'\n")?;
            line.expect("{42}", SOON)?;
            session.console.expect("{42}", SOON)?;
        }
        Ok(())
    })?;
    lab.step("afterwards", |_| {
        let start = Instant::now();
        // What QEMU refuses at once may be taken a moment later.
        loop {
            let mut next = network.connect(SERIAL)?;
            next.send(b"echo [$((6 * 8))] | tr '[]' '{}'\n")?;
            match next.expect("{48}", Duration::from_secs(5)) {
                Ok(_) => break,
                Err(error) if start.elapsed() > SOON => return Err(error),
                Err(_) => {}
            }
        }
        peer.ping(host, 64, SOON)?;
        session.enter_prompt()?;
        let info = session.ask("info")?;
        let line = info.lines().find(|line| line.contains("serial line at"));
        let is_counted = line.is_some_and(|line| !line.contains(", 0 unfinished"));
        ensure!(is_counted, "`info` says {info:?}");
        Ok(())
    })
}
