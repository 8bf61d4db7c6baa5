//! The network card (virtio 1.2, section 5.1), on any [`Ethernet`] cable.
//!
//! It guarantees to the driver that a frame comes whole or not at all, and in order within a flow; to the cable that it sees frames of
//! sound length, with offloads that lie within them. A frame is copied once, between guest memory and its packet; one that is sent to a card which
//! fetches frames from several places is not, but for its headers. Checksums that a
//! driver leaves out and long segments travel on with the packet. Hash reports, RSS, interrupt moderation and UDP segments are **not** offered.

mod bits;
mod control;
mod filter;
mod header;
mod loans;
mod receive;
mod steering;
mod transmit;

use crate::device::{Device, DeviceType};
use crate::features::Features;
use crate::queue::{Chain, MAX_SIZE, Queues};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use bits::Config;
use filter::{Address, Filter};
use hvm::backend::{Cuts, Ethernet, Link, Wants};
use hvm::device::{Context, RestoreError};
use hvm::packet::Packet;
use loans::Loans;
use serde::{Deserialize, Serialize};
use steering::Steering;
use zerocopy::IntoBytes;

/// Most pairs of queues: a queue each way for every vCPU of a machine that one cable can keep busy.
pub const MAX_PAIRS: u16 = 8;
/// Entries of the control queue.
const CONTROL_ENTRIES: u16 = 64;
/// The IP packet that every Ethernet carries, and the headers around it: addresses and type, and two tags.
const ETHERNET_MTU_BYTES: u16 = 1500;
const FRAMING_BYTES: usize = 14 + 8;
/// The longest frame that is to be cut: an IP packet of 64 KiB and its headers. The cable must take it, or none is offered.
const LONG_FRAME_BYTES: usize = 0x1_0000 + FRAMING_BYTES;
/// What a driver may refuse and accept while it runs.
const GUEST_OFFLOADS: Features = bits::GUEST_CHECKSUM
    .union(bits::GUEST_TSO4)
    .union(bits::GUEST_TSO6);
/// Most frames that are thrown away because they came before the driver.
const MAX_STALE: usize = 1024;
/// Version of [`Saved`].
const VERSION: u16 = 2;

/// What a card is built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its address.
    pub mac: [u8; 6],
    /// Pairs of queues: 1 to [`MAX_PAIRS`], clamped.
    pub pairs: u16,
    /// The largest IP packet, if the driver is to be told.
    pub mtu_bytes: Option<u16>,
    /// The longest frame that the cable has packets for.
    pub longest_bytes: usize,
}

impl Settings {
    /// The longest frame that the wire takes as it is.
    fn longest_plain_bytes(&self) -> usize {
        let packet = usize::from(self.mtu_bytes.unwrap_or(ETHERNET_MTU_BYTES));
        (packet + FRAMING_BYTES).min(self.longest_bytes)
    }
}

/// Whether the driver is to tell the network where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Announcement {
    None,
    Wanted,
}

/// A network card.
pub struct Nic {
    cable: Box<dyn Ethernet>,
    settings: Settings,
    queue_sizes: Vec<u16>,
    /// The address that the driver goes by.
    mac: Address,
    negotiated: Features,
    /// What the driver takes now.
    accepted: Features,
    active_pairs: u16,
    filter: Filter,
    announce: Announcement,
    /// The status that the driver was last told of.
    told: u16,
    /// The state came from elsewhere, and the network has to learn where the driver is now.
    moved: bool,
    steering: Steering,
    /// A frame of the driver's that the cable had no room for.
    held: Option<Packet>,
    /// There may be frames in transmit queues that were not taken when it was kicked.
    leaves_frames: bool,
    /// Transmit queues, a bit each, of which the last batch had long frames: a kick is asked for every second entry.
    streams: u64,
    /// A frame that the driver had no buffers for.
    waiting: Option<Packet>,
    /// Entries of frames that lie in the driver's memory until they are sent.
    loans: Loans,
    chain: Chain,
    /// The second and later buffers of a frame.
    more: Chain,
}

/// The queue of frames to the driver.
fn receive_queue(pair: u16) -> usize {
    usize::from(pair) * 2
}

/// The queue of frames from it.
fn transmit_queue(pair: u16) -> usize {
    usize::from(pair) * 2 + 1
}

impl Nic {
    /// A card on `cable`.
    pub fn new(cable: Box<dyn Ethernet>, settings: Settings) -> Self {
        let settings = Settings {
            pairs: settings.pairs.clamp(1, MAX_PAIRS),
            ..settings
        };
        let mut queue_sizes = vec![MAX_SIZE; usize::from(settings.pairs) * 2];
        queue_sizes.push(CONTROL_ENTRIES);
        let mut nic = Self {
            cable,
            settings,
            queue_sizes,
            mac: settings.mac,
            negotiated: Features::empty(),
            accepted: Features::empty(),
            active_pairs: 1,
            filter: Filter::new(),
            announce: Announcement::None,
            told: 0,
            moved: false,
            steering: Steering::new(),
            held: None,
            leaves_frames: false,
            streams: 0,
            waiting: None,
            loans: Loans::new(settings.pairs),
            chain: Chain::new(),
            more: Chain::new(),
        };
        nic.told = nic.status_word();
        nic
    }

    /// The status field of the configuration space.
    fn status_word(&self) -> u16 {
        let link = match self.cable.link() {
            Link::Up => bits::LINK_UP,
            Link::Down => 0,
        };
        match self.announce {
            Announcement::Wanted => link | bits::ANNOUNCE_WANTED,
            Announcement::None => link,
        }
    }

    /// What the driver takes from now on; the cable is told of long frames.
    fn accept(&mut self, offloads: Features) {
        self.accepted = offloads;
        let mut cuts = Cuts::empty();
        if offloads.contains(bits::GUEST_CHECKSUM) {
            cuts.set(Cuts::TCP4, offloads.contains(bits::GUEST_TSO4));
            cuts.set(Cuts::TCP6, offloads.contains(bits::GUEST_TSO6));
        }
        self.cable.accept_long(cuts);
    }

    /// The control queue follows the pairs that the driver knows of (5.1.2).
    fn control_queue(&self) -> usize {
        if self.negotiated.contains(bits::MULTIQUEUE) {
            usize::from(self.settings.pairs) * 2
        } else {
            2
        }
    }

    fn config(&self) -> Config {
        Config {
            mac: self.mac,
            status: self.status_word(),
            pairs: self.settings.pairs,
            mtu_bytes: self.settings.mtu_bytes.unwrap_or(0),
        }
    }
}

impl Device for Nic {
    fn device_type(&self) -> DeviceType {
        DeviceType::Network
    }

    fn kind(&self) -> &'static str {
        "virtio-net"
    }

    fn features(&self) -> Features {
        let mut all = bits::CHECKSUM
            | bits::GUEST_CHECKSUM
            | bits::CONTROL_GUEST_OFFLOADS
            | bits::MAC
            | bits::GUEST_TSO4
            | bits::GUEST_TSO6
            | bits::MERGEABLE
            | bits::STATUS
            | bits::CONTROL
            | bits::CONTROL_RX
            | bits::CONTROL_VLAN
            | bits::CONTROL_RX_EXTRA
            | bits::ANNOUNCE
            | bits::CONTROL_MAC;
        if self.settings.longest_bytes >= LONG_FRAME_BYTES {
            all |= bits::HOST_TSO4 | bits::HOST_TSO6;
        }
        if self.settings.mtu_bytes.is_some() {
            all |= bits::MTU;
        }
        if self.settings.pairs > 1 {
            all |= bits::MULTIQUEUE;
        }
        all
    }

    fn queue_sizes(&self) -> &[u16] {
        &self.queue_sizes
    }

    /// Sent frames: drivers look for them when they send more, and when frames come.
    fn may_hold(&self, index: usize) -> bool {
        !index.is_multiple_of(2)
    }

    fn holds(&self) -> bool {
        true
    }

    fn lingering(&self) -> u64 {
        self.streams
    }

    fn negotiated(&mut self, features: Features) {
        self.negotiated = features;
        self.accept(features & GUEST_OFFLOADS);
        self.filter = Filter::new();
        // What came while there was no driver is stale. As many as a cable holds, at most.
        for _ in 0..MAX_STALE {
            if self.cable.receive().is_none() {
                break;
            }
        }
        if features.contains(bits::CONTROL_VLAN) {
            self.filter.filter_vlans();
        }
    }

    fn config_read(&self, offset: u64, into: &mut [u8]) {
        let config = self.config();
        let from = config.as_bytes().iter().skip(offset as usize);
        for (into, &from) in into.iter_mut().zip(from) {
            *into = from;
        }
    }

    /// Drivers without the command for it set the address here (5.1.4.1).
    fn config_write(&mut self, offset: u64, from: &[u8]) {
        if self.negotiated.contains(bits::CONTROL_MAC) {
            return;
        }
        let into = self.mac.iter_mut().skip(offset as usize);
        for (into, &from) in into.zip(from) {
            *into = from;
        }
    }

    fn queue_notify(&mut self, index: usize, queues: &mut Queues, context: &mut Context<'_>) {
        let memory = context.memory;
        if index == self.control_queue() {
            self.serve_control(index, queues, memory);
        } else if index.is_multiple_of(2) {
            self.receive(queues, memory);
        } else {
            self.serve_transmit((index / 2) as u16, queues, memory);
        }
    }

    fn quiescent(&mut self) -> bool {
        self.loans.are_back(&mut *self.cable)
    }

    fn poll(&mut self, queues: &mut Queues, context: &mut Context<'_>) {
        self.carry_on(queues, context.memory);
        self.receive(queues, context.memory);
        if core::mem::take(&mut self.moved) && self.negotiated.contains(bits::ANNOUNCE) {
            self.announce = Announcement::Wanted;
        }
        let status = self.status_word();
        if status != self.told {
            self.told = status;
            if self.negotiated.contains(bits::STATUS) {
                queues.configuration_changed();
            }
        }
    }

    fn reset(&mut self) {
        self.mac = self.settings.mac;
        self.negotiated = Features::empty();
        self.accept(Features::empty());
        self.active_pairs = 1;
        self.filter = Filter::new();
        self.cable.listen(Wants::Own);
        self.announce = Announcement::None;
        self.told = self.status_word();
        self.moved = false;
        self.steering = Steering::new();
        self.held = None;
        self.streams = 0;
        self.waiting = None;
        self.loans.forget();
    }

    /// Frames between guest memory and the cable are lost, as on any wire.
    fn save(&self) -> Vec<u8> {
        let saved = Saved {
            version: VERSION,
            pairs: self.settings.pairs,
            mac: self.mac,
            negotiated: self.negotiated.bits(),
            accepted: self.accepted.bits(),
            active_pairs: self.active_pairs,
            filter: self.filter.clone(),
            announce: self.announce,
            told: self.told,
            lent: self.loans.save(),
        };
        postcard::to_allocvec(&saved).expect("writing to memory does not fail")
    }

    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError> {
        let saved: Saved = postcard::from_bytes(saved)
            .map_err(|error| RestoreError(format!("virtio-net: unreadable state: {error}")))?;
        if saved.version != VERSION {
            return Err(RestoreError(format!(
                "virtio-net: found state version {}, want {VERSION}",
                saved.version
            )));
        }
        let pairs = self.settings.pairs;
        if saved.pairs != pairs
            || !(1..=pairs).contains(&saved.active_pairs)
            || !saved.filter.is_sound()
        {
            return Err(RestoreError(format!(
                "virtio-net: the state is of a card with {} pairs of queues, {} in use; this one has {pairs}",
                saved.pairs, saved.active_pairs
            )));
        }
        self.mac = saved.mac;
        self.negotiated = Features::from_bits_retain(saved.negotiated);
        self.accept(Features::from_bits_retain(saved.accepted) & GUEST_OFFLOADS);
        self.active_pairs = saved.active_pairs;
        self.filter = saved.filter;
        self.cable
            .listen(match self.negotiated.contains(bits::CONTROL_RX) {
                true => self.filter.wants(),
                false => Wants::Own,
            });
        self.announce = saved.announce;
        self.told = saved.told;
        self.moved = true;
        self.held = None;
        self.streams = 0;
        self.waiting = None;
        self.loans.restore(saved.lent);
        Ok(())
    }
}

/// The device's state.
#[derive(Serialize, Deserialize)]
struct Saved {
    version: u16,
    pairs: u16,
    mac: Address,
    negotiated: u64,
    accepted: u64,
    active_pairs: u16,
    filter: Filter,
    announce: Announcement,
    told: u16,
    /// Entries of frames that were lent: pair, first descriptor.
    lent: Vec<(u16, u16)>,
}
