//! Another station on the machine's network: what the test itself sends and receives, frame by frame.
//!
//! It hangs on a hub inside QEMU, beside QEMU's own DHCP server, which reaches nothing outside. Frames come and go as datagrams of a
//! socket in the job's directory.

use anyhow::{Context, Result, bail};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Its addresses; QEMU's DHCP server gives out 10.0.2.15 and up.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x77];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 7);
/// How long an answer is waited for before the question is repeated.
const PATIENCE: Duration = Duration::from_millis(500);

const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV4: u16 = 0x0800;
const PROTOCOL_ICMP: u8 = 1;

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
}

impl Peer {
    /// A station whose sockets are in `directory`.
    pub fn new(directory: &Path) -> Result<Self> {
        let (own, machine) = (directory.join("peer"), directory.join("hub"));
        let socket = UnixDatagram::bind(&own)
            .with_context(|| format!("cannot make the socket {}", own.display()))?;
        Ok(Self {
            socket,
            machine,
            own,
        })
    }

    /// QEMU's arguments for a network with this station, a DHCP server, and a card of this model.
    pub fn arguments(&self, card: &str) -> Vec<String> {
        self.arguments_with(card, "restrict=on")
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
    pub fn flood(&self, mut frames: impl Iterator<Item = Vec<u8>>) -> Result<()> {
        frames.try_for_each(|frame| self.send(&frame))
    }

    /// A ping with a wrong checksum, in the IP header or behind it.
    pub fn damaged_ping(&self, station: [u8; 6], address: Ipv4Addr, at: Damage) -> Vec<u8> {
        let mut echo = vec![8, 0, 0, 0, 0x4d, 0x56, 0, 1, 7, 7, 7, 7];
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

    /// The first frame within a short time that `wanted` makes something of.
    fn receive<T>(&self, mut wanted: impl FnMut(&[u8]) -> Option<T>) -> Result<Option<T>> {
        let end = Instant::now() + PATIENCE;
        let mut frame = [0; 2048];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            if let Ok(length) = self.socket.recv(&mut frame)
                && let Some(found) = wanted(&frame[..length])
            {
                return Ok(Some(found));
            }
        }
    }

    /// Asks until it is answered.
    fn ask<T>(
        &self,
        question: &[u8],
        within: Duration,
        mut answer: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let end = Instant::now() + within;
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
    pub fn ping(&self, address: Ipv4Addr, bytes: usize, within: Duration) -> Result<()> {
        let station = self.resolve(address, within)?;
        let data: Vec<u8> = (0..bytes).map(|index| (index * 7) as u8).collect();
        let mut echo = vec![8, 0, 0, 0, 0x4d, 0x56, 0, 1];
        echo.extend(&data);
        put_checksum(&mut echo, 2);
        let mut request = ethernet(station, TYPE_IPV4);
        request.extend(ipv4(address, PROTOCOL_ICMP, echo.len()));
        request.extend(&echo);
        let answer = self.ask(&request, within, |frame| {
            let header = frame.get(14..34)?;
            let from_it = frame.get(12..14)? == TYPE_IPV4.to_be_bytes()
                && header[9] == PROTOCOL_ICMP
                && header[12..16] == address.octets();
            let is_reply = *frame.get(34)? == 0;
            (from_it && is_reply).then(|| frame.get(42..42 + bytes).map(<[u8]>::to_vec))
        })?;
        match answer {
            Some(Some(came)) if came == data => Ok(()),
            Some(_) => bail!("{address} answers a ping with other data"),
            None => bail!("{address} does not answer pings"),
        }
    }
}

fn ethernet(to: [u8; 6], kind: u16) -> Vec<u8> {
    let mut frame = Vec::from(to);
    frame.extend(MAC);
    frame.extend(kind.to_be_bytes());
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
