//! Another station on the machine's network: what the test itself sends and receives, frame by frame.
//!
//! It hangs on a hub inside QEMU, beside QEMU's own DHCP server, which reaches nothing outside. Frames come and go as datagrams of a
//! socket in the job's directory. What comes is read all the time, also while nobody asks: a full socket keeps QEMU busy (docs/engines.md).

use anyhow::{Context, Result, bail};
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Its addresses; QEMU's DHCP server gives out 10.0.2.15 and up.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 7);
/// How long an answer is waited for before the question is repeated.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often its ear looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);
/// Frames that are kept until somebody looks; more are lost.
const KEPT_FRAMES: usize = 1024;

const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV4: u16 = 0x0800;
const TYPE_IPV6: u16 = 0x86dd;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PORT_DISCARD: u16 = 9;
const PORT_DNS: u16 = 53;
const PORT_NTP: u16 = 123;
const PORT_SYSLOG: u16 = 514;
const PORT_MDNS: u16 = 5353;
/// Who asks, in pings that are sound, and in damaged ones.
const SOUND: [u8; 2] = [0x4d, 0x56];
const DAMAGED: [u8; 2] = [0x4d, 0x57];
/// Where multicast DNS is spoken (RFC 6762, 3).
const MDNS: ([u8; 6], Ipv4Addr) = ([0x01, 0, 0x5e, 0, 0, 0xfb], Ipv4Addr::new(224, 0, 0, 251));

/// Which checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// That of the IP header.
    Network,
    /// That of the message in it.
    Message,
}

/// The station.
pub struct Peer {
    socket: UnixDatagram,
    machine: PathBuf,
    own: PathBuf,
    heard: Mutex<Receiver<Vec<u8>>>,
    over: Arc<AtomicBool>,
    ear: Option<JoinHandle<()>>,
}

impl Peer {
    /// Its address.
    pub const ADDRESS: Ipv4Addr = ADDRESS;

    /// A station whose sockets are in `directory`.
    pub fn new(directory: &Path) -> Result<Self> {
        let (own, machine) = (directory.join("peer"), directory.join("hub"));
        let socket = UnixDatagram::bind(&own)
            .with_context(|| format!("cannot make the socket {}", own.display()))?;
        socket.set_read_timeout(Some(TICK))?;
        let (tell, heard) = sync_channel(KEPT_FRAMES);
        let over = Arc::new(AtomicBool::new(false));
        let (by, to, until) = (socket.try_clone()?, machine.clone(), over.clone());
        let ear = thread::spawn(move || hear(&by, &to, &tell, &until));
        Ok(Self {
            socket,
            machine,
            own,
            heard: Mutex::new(heard),
            over,
            ear: Some(ear),
        })
    }

    /// QEMU's arguments for a network with this station, a DHCP server, and a card of this model.
    pub fn arguments(&self, card: &str) -> Vec<String> {
        self.arguments_with(card, "restrict=on")
    }

    /// The same, with options of QEMU's own network, each behind a comma.
    pub fn arguments_beside(&self, card: &str, options: &str) -> Vec<String> {
        self.arguments_with(card, &format!("restrict=on{options}"))
    }

    /// The same with these options for QEMU's own network, which has the DHCP server.
    pub fn arguments_with(&self, card: &str, options: &str) -> Vec<String> {
        let station = format!(
            "dgram,id=station,local.type=unix,local.path={},remote.type=unix,remote.path={}",
            self.machine.display(),
            self.own.display()
        );
        [
            "-netdev",
            &format!("user,id=dhcp,{options}"),
            "-netdev",
            &station,
            "-netdev",
            "hubport,id=port0,hubid=0",
            "-netdev",
            "hubport,id=port1,hubid=0,netdev=dhcp",
            "-netdev",
            "hubport,id=port2,hubid=0,netdev=station",
            "-device",
            &format!("{card},id=card,netdev=port0"),
        ]
        .map(str::to_owned)
        .into()
    }

    fn send(&self, frame: &[u8]) -> Result<()> {
        self.socket
            .send_to(frame, &self.machine)
            .map(drop)
            .context("the machine takes no frames")
    }

    /// Sends frames as they are, however wrong.
    pub fn send_all(&self, mut frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        frames.try_for_each(|frame| self.send(&frame))
    }

    /// A ping with a wrong checksum, in the IP header or behind it.
    pub fn damaged_ping(&self, station: [u8; 6], address: Ipv4Addr, at: Damage) -> Vec<u8> {
        let mut echo = vec![8, 0, 0, 0, DAMAGED[0], DAMAGED[1], 0, 1, 7, 7, 7, 7];
        put_checksum(&mut echo, 2);
        let mut header = ipv4(address, PROTOCOL_ICMP, echo.len());
        match at {
            Damage::Network => header[10] ^= 0x55,
            Damage::Message => echo[2] ^= 0x55,
        }
        let mut frame = ethernet(station, TYPE_IPV4);
        frame.extend(header);
        frame.extend(echo);
        frame.resize(60, 0);
        frame
    }

    /// A datagram that asks for nothing.
    pub fn datagram(&self, station: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
        udp(station, address, PORT_DISCARD, PORT_DISCARD, &[7; 64])
    }

    /// The first frame within a short time that `wanted` makes something of.
    fn receive<T>(&self, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> Result<Option<T>> {
        let end = Instant::now() + PATIENCE;
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(frame) = heard.recv_timeout(left) else {
                return Ok(None);
            };
            if let Some(found) = wanted(&frame) {
                return Ok(Some(found));
            }
        }
    }

    /// Forgets what came before now: it answers nothing that is asked from now on.
    fn forget(&self) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.try_iter().for_each(drop);
    }

    /// Asks until it is answered.
    fn ask<T>(
        &self,
        question: &[u8],
        within: Duration,
        mut answer: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let end = Instant::now() + within;
        self.forget();
        while Instant::now() < end {
            self.send(question)?;
            if let Some(found) = self.receive(&mut answer)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Finds the station with this address (RFC 826).
    pub fn resolve(&self, address: Ipv4Addr, within: Duration) -> Result<[u8; 6]> {
        let mut request = ethernet([0xff; 6], TYPE_ARP);
        request.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        request.extend(MAC);
        request.extend(ADDRESS.octets());
        request.extend([0; 6]);
        request.extend(address.octets());
        request.resize(60, 0);
        let found = self.ask(&request, within, |frame| {
            let answers = frame.get(12..14)? == TYPE_ARP.to_be_bytes()
                && frame.get(20..22)? == [0, 2]
                && frame.get(28..32)? == address.octets();
            let sender = *frame.get(22..28)?.first_chunk()?;
            answers.then_some(sender)
        })?;
        found.with_context(|| format!("nobody says that they have {address}"))
    }

    /// Pings it with so many bytes, and checks what comes back (RFC 792).
    ///
    /// Only the station itself is heard: QEMU's own network takes whatever passes on the hub for its own, and brings answers of this
    /// computer's surroundings under the same address.
    pub fn ping(&self, address: Ipv4Addr, bytes: usize, within: Duration) -> Result<()> {
        let station = self.resolve(address, within)?;
        let data: Vec<u8> = (0..bytes).map(|index| (index * 7) as u8).collect();
        let mut echo = vec![8, 0, 0, 0, SOUND[0], SOUND[1], 0, 1];
        echo.extend(&data);
        put_checksum(&mut echo, 2);
        let mut request = ethernet(station, TYPE_IPV4);
        request.extend(ipv4(address, PROTOCOL_ICMP, echo.len()));
        request.extend(&echo);
        let answer = self.ask(&request, within, |frame| {
            (answered(frame, station, address)? == SOUND)
                .then(|| frame.get(42..42 + bytes).map(<[u8]>::to_vec))
        })?;
        match answer {
            Some(Some(came)) if came == data => Ok(()),
            Some(other) => bail!("{address} answers a ping with other data: {other:02x?}"),
            None => bail!("{address} does not answer pings"),
        }
    }

    /// Pings it with wrong checksums, which nobody may answer, and with a right one, which ends the waiting.
    pub fn ping_damaged(&self, address: Ipv4Addr, within: Duration) -> Result<()> {
        let station = self.resolve(address, within)?;
        let damaged = [Damage::Network, Damage::Message];
        self.send_all(
            damaged
                .map(|at| self.damaged_ping(station, address, at))
                .into_iter(),
        )?;
        // Answers come in order.
        let mut echo = vec![8, 0, 0, 0, SOUND[0], SOUND[1], 0, 1];
        put_checksum(&mut echo, 2);
        let mut sound = ethernet(station, TYPE_IPV4);
        sound.extend(ipv4(address, PROTOCOL_ICMP, echo.len()));
        sound.extend(&echo);
        let end = Instant::now() + within;
        while Instant::now() < end {
            self.send(&sound)?;
            match self.receive(|frame| answered(frame, station, address))? {
                Some(SOUND) => return Ok(()),
                Some(DAMAGED) => bail!("{address} answers a ping whose checksum is wrong"),
                _ => {}
            }
        }
        bail!("{address} does not answer pings")
    }

    /// The first frame that `wanted` makes something of.
    fn attend<T>(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let end = Instant::now() + within;
        while Instant::now() < end {
            if let Some(found) = self.receive(&mut wanted)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Answers a question for the time (RFC 4330) with these seconds since 1900.
    pub fn tell_time(&self, seconds: u32, within: Duration) -> Result<()> {
        let question = self.attend(within, |frame| {
            udp_payload(frame, PORT_NTP).map(|_| frame.to_vec())
        })?;
        let question = question.context("nobody asks for the time")?;
        self.answer_time(&question, seconds)
    }

    /// Answers all such questions until it is `done`.
    pub fn tell_time_until(&self, seconds: u32, done: impl Fn() -> bool) -> Result<()> {
        self.forget();
        while !done() {
            let question = self.attend(PATIENCE, |frame| {
                udp_payload(frame, PORT_NTP).map(|_| frame.to_vec())
            })?;
            if let Some(question) = question {
                self.answer_time(&question, seconds)?;
            }
        }
        Ok(())
    }

    fn answer_time(&self, question: &[u8], seconds: u32) -> Result<()> {
        let payload = udp_payload(question, PORT_NTP).context("no question")?;
        let mut answer = vec![0; 48];
        answer[..2].copy_from_slice(&[4 << 3 | 4, 1]);
        answer[24..32].copy_from_slice(payload.get(40..48).context("it is too short")?);
        answer[40..44].copy_from_slice(&seconds.to_be_bytes());
        let to = *question[6..].first_chunk().context("no sender")?;
        let address = Ipv4Addr::from(*question[26..].first_chunk().context("no sender")?);
        let port = u16::from_be_bytes([question[34], question[35]]);
        self.send(&udp(to, address, PORT_NTP, port, &answer))
    }

    /// Sends first segments of connections (RFC 9293, 3.4) to a port, each from another port of stations that are not there.
    pub fn flood(&self, address: Ipv4Addr, port: u16, count: u16, within: Duration) -> Result<()> {
        let station = self.resolve(address, within)?;
        for number in 0..count {
            let from = Ipv4Addr::new(10, 0, 2, 100 + (number % 100) as u8);
            let mut segment = Vec::new();
            segment.extend((1024 + number).to_be_bytes());
            segment.extend(port.to_be_bytes());
            segment.extend([1, 2, 3, 4, 0, 0, 0, 0, 5 << 4, 2, 4, 0, 0, 0, 0, 0]);
            let mut summed = Vec::from(from.octets());
            summed.extend(address.octets());
            summed.extend([0, PROTOCOL_TCP, 0, segment.len() as u8]);
            let place = summed.len() + 16;
            summed.extend(&segment);
            put_checksum(&mut summed, place);
            let mut header = ipv4(address, PROTOCOL_TCP, segment.len());
            header[12..16].copy_from_slice(&from.octets());
            header[10..12].fill(0);
            put_checksum(&mut header, 10);
            let mut frame = ethernet(station, TYPE_IPV4);
            frame.extend(header);
            frame.extend(&summed[summed.len() - segment.len()..]);
            self.send(&frame)?;
        }
        Ok(())
    }

    /// Takes messages for a syslog server until `is_last` says so.
    pub fn take_log(&self, within: Duration, mut is_last: impl FnMut(&str) -> bool) -> Result<()> {
        let last = self.attend(within, |frame| {
            let line = String::from_utf8_lossy(udp_payload(frame, PORT_SYSLOG)?).into_owned();
            is_last(&line).then_some(())
        })?;
        last.context("the log does not say it")
    }

    /// Answers who asks for `address` in a VLAN, or in none, by frames in another, until it is `done`; returns how often.
    pub fn be_found_at(
        &self,
        address: Ipv4Addr,
        asked: Option<u16>,
        answer: Option<u16>,
        done: impl Fn() -> bool,
    ) -> Result<usize> {
        let mut count = 0;
        self.forget();
        while !done() {
            let question = self.receive(|frame| {
                let frame = match asked {
                    Some(vlan) => untagged(frame, vlan)?,
                    None => frame.to_vec(),
                };
                asks_for(&frame, address).then_some(frame)
            })?;
            let Some(question) = question else { continue };
            let mut reply = arp_reply(&question);
            reply[28..32].copy_from_slice(&address.octets());
            if let Some(vlan) = answer {
                let [high, low] = vlan.to_be_bytes();
                reply.splice(12..12, [0x81, 0, high, low]);
            }
            self.send(&reply)?;
            count += 1;
        }
        Ok(count)
    }

    /// Says that `address` is its own to whoever asks whether it is somebody's (RFC 4862, 5.4.3), until it is `done`; returns how often.
    pub fn be_neighbour_at(&self, address: Ipv6Addr, done: impl Fn() -> bool) -> Result<usize> {
        let mut count = 0;
        self.forget();
        while !done() {
            let asked = self.receive(|frame| {
                let [from, _, target] = neighbours(frame, 135)?;
                (from.is_unspecified() && target == address).then_some(())
            })?;
            if asked.is_some() {
                let everybody = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
                let flags_override = 0x20;
                self.send(&neighbour(
                    136,
                    flags_override,
                    [address, everybody],
                    address,
                ))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Asks whether `address` is somebody's, as who wants it does, until somebody says that it is theirs.
    pub fn find_neighbour(&self, address: Ipv6Addr, within: Duration) -> Result<[u8; 6]> {
        let [.., a, b, c] = address.octets();
        let mut group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 0).octets();
        group[13..].copy_from_slice(&[a, b, c]);
        let question = neighbour(135, 0, [Ipv6Addr::UNSPECIFIED, group.into()], address);
        let found = self.ask(&question, within, |frame| {
            let [.., target] = neighbours(frame, 136)?;
            let sender = *frame.get(6..12)?.first_chunk()?;
            (target == address).then_some(sender)
        })?;
        found.with_context(|| format!("nobody says that they have {address}"))
    }

    /// Answers questions for names (RFC 1035) with an address until it is `done`; returns how many there were.
    pub fn answer_names(&self, address: Ipv4Addr, done: impl Fn() -> bool) -> Result<usize> {
        let mut count = 0;
        while !done() {
            let question = self.attend(PATIENCE, |frame| {
                udp_payload(frame, PORT_DNS).map(|_| frame.to_vec())
            })?;
            let Some(question) = question else { continue };
            let payload = udp_payload(&question, PORT_DNS).context("no question")?;
            let name = payload.get(12..).context("it is too short")?;
            let end = name
                .iter()
                .position(|byte| *byte == 0)
                .context("the name has no end")?;
            let asked = name.get(..end + 5).context("there is no type")?;
            let is_a = asked[end + 1..] == [0, 1, 0, 1];
            let mut answer = Vec::from(&payload[..2]);
            answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
            answer.extend(asked);
            if is_a {
                answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                answer.extend(address.octets());
            }
            let to = *question[6..].first_chunk().context("no sender")?;
            let asker = Ipv4Addr::from(*question[26..].first_chunk().context("no sender")?);
            let port = u16::from_be_bytes([question[34], question[35]]);
            self.send(&udp(to, asker, PORT_DNS, port, &answer))?;
            count += 1;
        }
        Ok(count)
    }

    /// Asks the link for `name.local` (RFC 6762).
    pub fn find_name(&self, name: &str, within: Duration) -> Result<Ipv4Addr> {
        let mut label = vec![name.len() as u8];
        label.extend(name.as_bytes());
        label.extend(b"\x05local\0");
        let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(&label);
        query.extend([0, 1, 0, 1]);
        let (station, group) = MDNS;
        let question = udp(station, group, PORT_MDNS, PORT_MDNS, &query);
        let found = self.ask(&question, within, |frame| {
            let answer = udp_payload(frame, PORT_MDNS)?;
            let is_answer = answer.get(2)? & 0x80 != 0 && answer.get(12..)?.starts_with(&label);
            // Type, class, time to live and length; a host that announces itself tells its other addresses as well.
            let record = answer.get(12 + label.len()..)?;
            let is_address = record.starts_with(&[0, 1]);
            let address = record.get(10..)?.first_chunk::<4>()?;
            (is_answer && is_address).then(|| Ipv4Addr::from(*address))
        })?;
        found.with_context(|| format!("nobody is {name}.local"))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(ear) = self.ear.take() {
            // One that panicked has been heard of.
            let _ = ear.join();
        }
        // The next one has the same; a socket that is gone already is none the less.
        let _ = fs::remove_file(&self.own);
    }
}

/// Takes what comes until it is over, and answers who asks for the station's address, as stations do at any time.
fn hear(by: &UnixDatagram, machine: &Path, tell: &SyncSender<Vec<u8>>, over: &AtomicBool) {
    let mut frame = [0; 0x1_0000];
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = by.recv(&mut frame) else {
            continue;
        };
        if asks_for(&frame[..length], ADDRESS) {
            // Who gets no answer asks again.
            let _ = by.send_to(&arp_reply(&frame[..length]), machine);
        }
        if let Err(TrySendError::Disconnected(_)) = tell.try_send(frame[..length].to_vec()) {
            return;
        }
    }
}

/// A frame of this VLAN without its tag (IEEE 802.1Q, 9.5).
fn untagged(frame: &[u8], vlan: u16) -> Option<Vec<u8>> {
    let [high, low] = vlan.to_be_bytes();
    let is_its =
        frame.get(12..14)? == [0x81, 0] && frame[14] & 0xf == high && *frame.get(15)? == low;
    is_its.then(|| [&frame[..12], &frame[16..]].concat())
}

/// Whether a frame asks who has `address` (RFC 826).
fn asks_for(frame: &[u8], address: Ipv4Addr) -> bool {
    frame.get(12..14) == Some(&TYPE_ARP.to_be_bytes())
        && frame.get(20..22) == Some(&[0, 1])
        && frame.get(38..42) == Some(&address.octets())
}

fn arp_reply(question: &[u8]) -> Vec<u8> {
    let asker: [u8; 6] = question[6..12].try_into().unwrap_or([0xff; 6]);
    let mut reply = ethernet(asker, TYPE_ARP);
    reply.extend([0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(MAC);
    reply.extend(ADDRESS.octets());
    reply.extend(&question[22..32]);
    reply.resize(60, 0);
    reply
}

/// Whose ping a frame of the station's answers: the identifier (RFC 792).
fn answered(frame: &[u8], station: [u8; 6], address: Ipv4Addr) -> Option<[u8; 2]> {
    let header = frame.get(14..34)?;
    let from_it = frame[6..12] == station
        && frame[12..14] == TYPE_IPV4.to_be_bytes()
        && header[9] == PROTOCOL_ICMP
        && header[12..16] == address.octets();
    let is_reply = *frame.get(34)? == 0;
    let identifier = *frame.get(38..)?.first_chunk()?;
    (from_it && is_reply).then_some(identifier)
}

/// What a frame carries by UDP to a port.
fn udp_payload(frame: &[u8], port: u16) -> Option<&[u8]> {
    let is_udp = frame.get(12..14)? == TYPE_IPV4.to_be_bytes() && *frame.get(23)? == PROTOCOL_UDP;
    let end = 34 + usize::from(u16::from_be_bytes([*frame.get(38)?, *frame.get(39)?]));
    let is_for_it = frame.get(36..38)? == port.to_be_bytes();
    (is_udp && is_for_it).then(|| frame.get(42..end)).flatten()
}

/// A datagram (RFC 768) without a checksum.
fn udp(station: [u8; 6], to: Ipv4Addr, from_port: u16, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(station, TYPE_IPV4);
    let length = 8 + payload.len();
    frame.extend(ipv4(to, PROTOCOL_UDP, length));
    for word in [from_port, port, length as u16, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

fn ethernet(to: [u8; 6], kind: u16) -> Vec<u8> {
    let mut frame = Vec::from(to);
    frame.extend(MAC);
    frame.extend(kind.to_be_bytes());
    frame
}

/// Who says something to whom of which address, in a message about neighbours of this kind (RFC 4861, 4.3 and 4.4).
fn neighbours(frame: &[u8], kind: u8) -> Option<[Ipv6Addr; 3]> {
    let is_it = frame.get(12..14)? == TYPE_IPV6.to_be_bytes()
        && frame.get(20..22)? == [58, 255]
        && *frame.get(54)? == kind;
    let address = |at: usize| frame.get(at..)?.first_chunk().copied().map(Ipv6Addr::from);
    let addresses = [address(22)?, address(38)?, address(62)?];
    is_it.then_some(addresses)
}

/// Such a message; one that says who has an address has the station's own.
fn neighbour(kind: u8, flags: u8, ends: [Ipv6Addr; 2], address: Ipv6Addr) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    if kind == 136 {
        message.extend([2, 1]);
        message.extend(MAC);
    }
    let ends = ends.map(|end| end.octets()).concat();
    // RFC 8200, 8.1.
    let mut pseudo = ends.clone();
    pseudo.extend([0, 0, 0, message.len() as u8, 0, 0, 0, 58]);
    pseudo.extend(&message);
    put_checksum(&mut pseudo, 32 + 8 + 2);
    message[2..4].copy_from_slice(&pseudo[42..44]);
    let mut group = [0x33, 0x33, 0, 0, 0, 0];
    group[2..].copy_from_slice(&ends[28..]);
    let mut frame = ethernet(group, TYPE_IPV6);
    frame.extend([0x60, 0, 0, 0, 0, message.len() as u8, 58, 255]);
    frame.extend(ends);
    frame.extend(message);
    frame
}

/// A header (RFC 791, 3.1) for so many bytes.
fn ipv4(to: Ipv4Addr, protocol: u8, bytes: usize) -> Vec<u8> {
    let [high, low] = (20 + bytes as u16).to_be_bytes();
    let mut header = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0];
    header.extend(ADDRESS.octets());
    header.extend(to.octets());
    put_checksum(&mut header, 10);
    header
}

/// Puts the checksum over `bytes` (RFC 1071), whose place is zero, at `place`.
fn put_checksum(bytes: &mut [u8], place: usize) {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    bytes[place..place + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_sums_to_all_ones() {
        let mut header = ipv4(Ipv4Addr::new(10, 0, 2, 15), PROTOCOL_ICMP, 64);
        let sum = [header[10], header[11]];
        header[10..12].fill(0);
        put_checksum(&mut header, 10);
        assert_eq!(header[10..12], sum);
        assert_ne!(sum, [0, 0]);
    }
}
