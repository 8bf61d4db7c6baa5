//! virtio network cards (virtio 1.2, 5.1), by the modern interface or the legacy one: one queue each way.
//!
//! Checksums and long TCP frames are left to the device, where it offers that, and so is who is let in ([`control`]). Long frames from the
//! device and several pairs of queues are **not** used.

pub mod bits;
pub mod control;
pub mod ring;
#[cfg(test)]
mod tests;
pub mod transport;

use super::watch::Progress;
use super::{
    Admits, Failure, Filter, HEADER_BYTES, LinkNews, MOST_MTU, Nic, Sizes, USUAL_MTU, sound,
};
use crate::window::{Shared, Window};
use bits::control::{RX_ALL_GROUPS, RX_PROMISCUOUS};
use bits::{Features, config, header};
use control::{Control, Refused, State};
use core::fmt;
use hvm::backend::Link;
use hvm::packet::{Checksum, Cut, Offload, Packet, PartialChecksum, Pool};
use hvm::virtio::Status;
use ring::{Direction, Interrupts, MAX_SIZE, Ring};
use transport::{Interface, Transport};

const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// How often, 10 µs apart, the end of a reset is looked for.
const RESET_LOOKS: u32 = 10_000;

/// What that takes.
const RESET_MS: u32 = 100;
/// Headers in front of frames.
const MOST_HEADER_BYTES: usize = header::BYTES;

/// How long frames are, where `mtu` is wanted. The device takes what it is given; what its network takes it tells later.
pub fn sizes(mtu: usize) -> Sizes {
    let frame = |mtu: usize| (mtu + HEADER_BYTES + MOST_HEADER_BYTES).next_multiple_of(64);
    Sizes::new(mtu, MOST_MTU, frame(USUAL_MTU), frame(MOST_MTU))
}

/// A card.
pub struct VirtioNet<T, W> {
    transport: T,
    features: Features,
    address: [u8; 6],
    pool: &'static Pool,
    receiving: Ring<W>,
    sending: Ring<W>,
    /// `None` where the device has none, or does not answer.
    control: Option<Control<W>>,
    filter: Filter,
    header_bytes: usize,
    interrupts: Interrupts,
    link: Link,
    sizes: Sizes,
    /// Why it is of no use, until it is reset.
    stopped: Option<&'static str>,
    /// Counted for [`Progress`].
    sent: u32,
    received: u32,
    faults: u64,
}

impl<T: Transport, W: Window> VirtioNet<T, W> {
    /// Resets the card and starts it. Each of `rings` has [`ring::SHARED_BYTES`], and `commands` [`control::SHARED_BYTES`]; buffers come out
    /// of `pool`. `pause_us` waits for microseconds.
    pub fn start(
        mut transport: T,
        rings: [Shared<W>; 2],
        commands: Shared<W>,
        pool: &'static Pool,
        sizes: Sizes,
        pause_us: &mut dyn FnMut(u32),
    ) -> Result<Self, Failure> {
        reset(&mut transport, pause_us)?;
        let features = settle_features(&mut transport)?;
        let [receiving, sending] = rings;
        let receive_size = queue_size(&mut transport, RECEIVE)?;
        let transmit_size = queue_size(&mut transport, TRANSMIT)?;
        let control = match features.contains(Features::CONTROL_RX) {
            // Two descriptors are a command.
            true => queue_size(&mut transport, control::QUEUE)
                .ok()
                .filter(|size| *size >= 2)
                .map(|size| Control::new(commands, size)),
            false => None,
        };
        let header_bytes = match transport.interface() {
            Interface::Modern => header::BYTES,
            Interface::Legacy => header::LEGACY_BYTES,
        };
        let mut card = Self {
            transport,
            features,
            address: [0; 6],
            pool,
            receiving: Ring::new(receiving, receive_size, Direction::FromDevice),
            sending: Ring::new(sending, transmit_size, Direction::ToDevice),
            control,
            filter: Filter::Everybody,
            header_bytes,
            interrupts: Interrupts::Spared,
            link: Link::Up,
            sizes,
            stopped: None,
            sent: 0,
            received: 0,
            faults: 0,
        };
        card.set_up()?;
        Ok(card)
    }

    /// Gives a device that was reset and agrees to the features its queues.
    fn set_up(&mut self) -> Result<(), Failure> {
        self.read_address()?;
        let places = [
            (RECEIVE, self.receiving.place()),
            (TRANSMIT, self.sending.place()),
        ];
        for (index, place) in places {
            self.transport.start_queue(index, place);
        }
        if let Some(control) = &self.control {
            self.transport.start_queue(control::QUEUE, control.place());
        }
        self.sending.set_interrupts(self.interrupts);
        let ready = self.transport.status() | Status::DRIVER_OK;
        self.transport.set_status(ready);
        self.link = self.read_link();
        self.refill();
        self.narrow();
        Ok(())
    }

    /// Tells the device whom to let in. One that does not do as it is told lets everybody in.
    fn narrow(&mut self) -> Admits {
        let Some(control) = &mut self.control else {
            return Admits::Everybody;
        };
        let transport = &mut self.transport;
        let done = match &self.filter {
            Filter::Only(stations) if stations.len() <= control::MOST_STATIONS => control
                .set_mode(transport, RX_ALL_GROUPS, State::On)
                .and_then(|()| control.set_stations(transport, stations))
                .and_then(|()| control.set_mode(transport, RX_PROMISCUOUS, State::Off))
                .map(|()| Admits::Named),
            _ => control
                .set_mode(transport, RX_PROMISCUOUS, State::On)
                .map(|()| Admits::Everybody),
        };
        match done {
            Ok(admits) => admits,
            Err(Refused::Answered) => {
                // It was promiscuous before it was told otherwise (5.1.6.5.1), or said so to the last order.
                let _ = control.set_mode(transport, RX_PROMISCUOUS, State::On);
                Admits::Everybody
            }
            Err(Refused::Silent) => {
                self.faults += 1;
                self.control = None;
                Admits::Everybody
            }
        }
    }

    fn read_address(&mut self) -> Result<(), Failure> {
        self.address = core::array::from_fn(|index| self.transport.config(config::MAC + index));
        match self.features.contains(Features::MAC) {
            true => sound(self.address).map(drop),
            false => Err(Failure::Address(self.address)),
        }
    }

    fn read_link(&mut self) -> Link {
        let up = !self.features.contains(Features::STATUS)
            || self.transport.config(config::STATUS) & config::LINK_UP != 0;
        if up { Link::Up } else { Link::Down }
    }

    /// Gives the device as many buffers as the queue takes. A header comes in front of each frame.
    fn refill(&mut self) {
        while self.receiving.room() > 0
            && let Some(mut packet) = self.pool.packet()
        {
            if packet.prepend(self.header_bytes).is_none() {
                break;
            }
            let bytes = packet.room().len();
            // There was room.
            if self.receiving.add(packet, bytes).is_err() {
                break;
            }
        }
        if self.receiving.publish() {
            self.transport.notify(RECEIVE);
        }
    }

    /// Takes back what was sent.
    fn reap(&mut self) {
        loop {
            match self.sending.take() {
                Ok(Some(_)) => self.sent = self.sent.wrapping_add(1),
                Ok(None) => return,
                Err(ring::Broken) => return self.give_up(),
            }
        }
    }

    /// A queue makes no sense, and will not until the device is reset.
    fn give_up(&mut self) {
        let why = "it says that it is done with what it was not given";
        self.faults += u64::from(self.stopped.replace(why).is_none());
    }

    /// Takes the header off a frame that came, and notes what it says. `None` if it is nonsense.
    fn unwrap(&self, mut packet: Packet, bytes: usize) -> Option<Packet> {
        packet.set_len(bytes);
        let words = packet.frame().first_chunk::<{ header::LEGACY_BYTES }>()?;
        let [flags, kind, _, _, _, _, s0, s1, o0, o1] = *words;
        packet.strip(self.header_bytes);
        let partial = PartialChecksum {
            start: u16::from_le_bytes([s0, s1]),
            offset: u16::from_le_bytes([o0, o1]),
        };
        let end = usize::from(partial.start) + usize::from(partial.offset) + 2;
        let checksum = match flags {
            flags if flags & header::NEEDS_CHECKSUM != 0 => {
                if end > packet.len() {
                    return None;
                }
                Checksum::Partial(partial)
            }
            flags if flags & header::DATA_VALID != 0 => Checksum::Valid,
            _ => Checksum::Unknown,
        };
        packet.set_offload(Offload {
            checksum,
            segmentation: None,
        });
        (kind == header::PLAIN && !packet.is_empty()).then_some(packet)
    }
}

fn reset(transport: &mut impl Transport, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
    transport.set_status(Status::empty());
    let mut looks = 0;
    while !transport.status().is_empty() {
        looks += 1;
        if looks > RESET_LOOKS {
            let limit_ms = RESET_MS;
            return Err(Failure::Reset { limit_ms });
        }
        pause_us(10);
    }
    transport.set_status(Status::ACKNOWLEDGE);
    transport.set_status(Status::ACKNOWLEDGE | Status::DRIVER);
    Ok(())
}

/// (3.1.1; the legacy interface has no FEATURES_OK.)
fn settle_features(transport: &mut impl Transport) -> Result<Features, Failure> {
    let modern = transport.interface() == Interface::Modern;
    let mut features = transport.offered();
    let wanted = match modern {
        true => Features::VERSION_1,
        false => Features::ANY_LAYOUT,
    };
    if !features.contains(wanted) {
        return Err(if modern {
            Failure::Features
        } else {
            Failure::Layout
        });
    }
    if !features.contains(Features::CHECKSUM) {
        features -= Features::HOST_TSO4 | Features::HOST_TSO6;
    }
    if !features.contains(Features::CONTROL) {
        features -= Features::CONTROL_RX;
    }
    transport.accept(features);
    if modern {
        let settled = Status::ACKNOWLEDGE | Status::DRIVER | Status::FEATURES_OK;
        transport.set_status(settled);
        if !transport.status().contains(Status::FEATURES_OK) {
            transport.set_status(Status::FAILED);
            return Err(Failure::Features);
        }
    }
    Ok(features)
}

fn queue_size(transport: &mut impl Transport, index: u16) -> Result<u16, Failure> {
    let offered = transport.queue_size(index);
    // The legacy interface has no say in the size.
    let size = match transport.interface() {
        Interface::Modern => offered.min(MAX_SIZE),
        Interface::Legacy => offered,
    };
    (size.is_power_of_two() && size <= MAX_SIZE)
        .then_some(size)
        .ok_or(Failure::Queue {
            size: offered,
            most: MAX_SIZE,
        })
}

impl<T: Transport, W: Window> Nic for VirtioNet<T, W> {
    fn name(&self) -> &'static str {
        match self.transport.interface() {
            Interface::Modern => "virtio",
            Interface::Legacy => "virtio (legacy)",
        }
    }

    fn address(&self) -> [u8; 6] {
        self.address
    }

    fn link(&mut self) -> Link {
        self.link
    }

    fn acknowledge(&mut self) -> LinkNews {
        // With messages the status need not say anything of the configuration (4.1.4.5), so that is looked at.
        let _ = self.transport.interrupt();
        let link = self.read_link();
        match core::mem::replace(&mut self.link, link) == link {
            true => LinkNews::Same,
            false => LinkNews::Changed,
        }
    }

    fn receive(&mut self) -> Option<Packet> {
        // As many as the queue has: a device cannot keep us here with nonsense.
        for _ in 0..MAX_SIZE {
            match self.receiving.take() {
                Ok(Some((packet, bytes))) => {
                    self.received = self.received.wrapping_add(1);
                    match self.unwrap(packet, bytes) {
                        None => self.faults += 1,
                        packet => return packet,
                    }
                }
                Ok(None) => return None,
                Err(ring::Broken) => {
                    self.give_up();
                    return None;
                }
            }
        }
        None
    }

    fn send(&mut self, mut packet: Packet) -> Result<(), Packet> {
        let needed = packet.piece_count(usize::MAX);
        if self.sending.room() < needed {
            self.reap();
        }
        if self.sending.room() < needed {
            return Err(packet);
        }
        let Offload {
            checksum,
            segmentation,
        } = packet.offload();
        let (flags, sum) = match checksum {
            Checksum::Partial(sum) => (header::NEEDS_CHECKSUM, sum),
            _ => (
                0,
                PartialChecksum {
                    start: 0,
                    offset: 0,
                },
            ),
        };
        let (kind, header_bytes, segment_bytes) = match segmentation {
            None => (header::PLAIN, 0, 0),
            Some(cut) => {
                let kind = match cut.cut {
                    Cut::Tcp4 => header::TCP4,
                    Cut::Tcp6 => header::TCP6,
                };
                (kind, cut.header_bytes, cut.segment_bytes)
            }
        };
        let Some(frame) = packet.prepend(self.header_bytes) else {
            return Err(packet);
        };
        let Some((place, _)) = frame.split_at_mut_checked(self.header_bytes) else {
            return Err(packet);
        };
        place.fill(0);
        place[..2].copy_from_slice(&[flags, kind]);
        let words = [header_bytes, segment_bytes, sum.start, sum.offset];
        for (place, word) in place[2..].chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        match self.sending.add_whole(packet) {
            Ok(()) => Ok(()),
            Err(mut packet) => {
                packet.strip(self.header_bytes);
                Err(packet)
            }
        }
    }

    fn gathers(&self) -> bool {
        true
    }

    fn reach(&self) -> u64 {
        u64::MAX
    }

    fn lent(&self) -> usize {
        self.sending.lent()
    }

    fn room(&self) -> usize {
        self.sending.room()
    }

    fn can_cut(&self, packet: &Packet) -> bool {
        packet
            .offload()
            .segmentation
            .is_some_and(|segmentation| match segmentation.cut {
                Cut::Tcp4 => self.features.contains(Features::HOST_TSO4),
                Cut::Tcp6 => self.features.contains(Features::HOST_TSO6),
            })
    }

    fn can_sum(&self, packet: &Packet) -> bool {
        match packet.offload().checksum {
            Checksum::Partial(_) => self.features.contains(Features::CHECKSUM),
            _ => true,
        }
    }

    fn start(&mut self) {
        if self.sending.publish() {
            self.transport.notify(TRANSMIT);
        }
    }

    fn has_news(&mut self) -> bool {
        self.receiving.has_used()
    }

    fn settle(&mut self) {
        let waited_for =
            self.sending.outstanding() > self.sending.room() || self.sending.lent() > 0;
        let wanted = match waited_for {
            true => Interrupts::Wanted,
            false => Interrupts::Spared,
        };
        if wanted != self.interrupts {
            self.interrupts = wanted;
            self.sending.set_interrupts(wanted);
        }
        // After interrupts were asked for: what was sent before that has none.
        self.reap();
        self.refill();
    }

    fn faults(&mut self) -> u64 {
        self.faults
    }

    fn sizes(&self) -> Sizes {
        self.sizes
    }

    fn set_filter(&mut self, filter: &Filter) -> Admits {
        self.filter = filter.clone();
        self.narrow()
    }

    fn progress(&mut self) -> Progress {
        let needs_reset = self.transport.status().contains(Status::NEEDS_RESET);
        Progress {
            outstanding: self.sending.outstanding(),
            sent: self.sent,
            buffers: self.receiving.outstanding(),
            received: self.received,
            missed: 0,
            stopped: self
                .stopped
                .or(needs_reset.then_some("it says that it needs a reset")),
        }
    }

    fn restart(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure> {
        reset(&mut self.transport, pause_us)?;
        self.features = settle_features(&mut self.transport)?;
        self.stopped = None;
        self.receiving.clear();
        self.sending.clear();
        if let Some(control) = &mut self.control {
            control.clear();
        }
        self.set_up()
    }
}

impl<T, W> fmt::Debug for VirtioNet<T, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtioNet({:?})", self.features)
    }
}
