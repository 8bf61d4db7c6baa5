//! Network cards.
//!
//! A driver takes a card in any state, resets it, and runs one ring each way. The rings are in memory that the kernel gives, the frames
//! in [`Packet`]s. At first it takes every frame that comes along, whoever it is for: behind it is a switch, which narrows that down once
//! it knows who is there ([`Nic::set_filter`]). All calls come from one task, and none waits, but a reset.

pub mod e1000;
mod failure;
pub mod igb;
mod incoming;
pub mod intel;
mod offload;
mod outgoing;
pub mod rtl8139;
pub mod rtl8168;
mod span;
#[cfg(test)]
mod testing;
pub mod virtio;
pub mod watch;

pub use failure::Failure;

use alloc::vec::Vec;
use hvm::backend::Link;
use hvm::packet::{HEADROOM_BYTES, Packet};
use watch::Progress;

/// What every network takes: the payload of a frame.
pub const USUAL_MTU: usize = 1500;
/// The most that is asked of any card.
pub const MOST_MTU: usize = 9000;
/// What comes to a payload: two addresses and a type, and two tags.
pub const HEADER_BYTES: usize = 14 + 8;
/// Bytes of a frame's check sequence.
pub const CRC_BYTES: usize = 4;

/// How long frames may be, and so buffers must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The payload of the longest frame.
    pub mtu: usize,
    /// What a buffer has room for behind its headroom: at least such a frame, and what the card may write beyond.
    pub buffer_bytes: usize,
}

impl Sizes {
    /// For a card that takes `most_mtu`, where `wanted_mtu` is wanted. Its buffers have to hold `usual_bytes` for frames as everybody has
    /// them, and `jumbo_bytes` for longer ones.
    const fn new(
        wanted_mtu: usize,
        most_mtu: usize,
        usual_bytes: usize,
        jumbo_bytes: usize,
    ) -> Self {
        let mtu = if wanted_mtu < most_mtu {
            wanted_mtu
        } else {
            most_mtu
        };
        if mtu > USUAL_MTU {
            return Self {
                mtu,
                buffer_bytes: jumbo_bytes,
            };
        }
        Self {
            mtu: USUAL_MTU,
            buffer_bytes: usual_bytes,
        }
    }

    /// The longest frame, without its check sequence.
    pub const fn frame_bytes(self) -> usize {
        self.mtu + HEADER_BYTES
    }

    /// Bytes of a whole buffer, in cache lines.
    pub const fn with_headroom(self) -> usize {
        (HEADROOM_BYTES + self.buffer_bytes).next_multiple_of(64)
    }

    /// Whether frames are longer than everybody's.
    const fn are_jumbo(self) -> bool {
        self.mtu > USUAL_MTU
    }
}

/// Which stations' frames a card lets in; those for groups it lets in all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Every station's.
    Everybody,
    /// Its own, and these.
    Only(Vec<[u8; 6]>),
}

/// An address, if it is a station's.
fn sound(address: [u8; 6]) -> Result<[u8; 6], Failure> {
    match address == [0; 6] || address == [0xff; 6] || address[0] & 1 != 0 {
        true => Err(Failure::Address(address)),
        false => Ok(address),
    }
}

/// Whether the cable was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// Not that the card knows.
    Same,
    /// It may be another.
    Changed,
}

/// Whom a card really lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Everybody: it has no filter, or too small a one.
    Everybody,
    /// Those that it was told of.
    Named,
}

/// A network card that runs.
pub trait Nic: Send {
    /// What it is.
    fn name(&self) -> &'static str;
    /// The address that its maker gave it.
    fn address(&self) -> [u8; 6];
    /// The cable.
    fn link(&mut self) -> Link;
    /// Takes note of what it interrupted for. Before frames are fetched, so that one that comes later interrupts again: at the latest
    /// behind [`Nic::settle`], until which the card may be silent.
    fn acknowledge(&mut self) -> LinkNews;
    /// The caller will look for frames by itself, so no interrupt is needed for them until [`Nic::settle`]. Where that cannot be said
    /// quickly, one may come all the same.
    fn silence(&mut self) {}
    /// The next frame from the wire.
    fn receive(&mut self) -> Option<Packet>;
    /// Queues a frame, or gives it back where there is no room. What is to be done to it must be what the card [`Nic::does`], and one that is
    /// not to be cut is no longer than [`Sizes::frame_bytes`].
    fn send(&mut self, packet: Packet) -> Result<(), Packet>;
    /// Whether it fetches a frame from several places: parts may be lent ([`Packet::lend`]).
    fn gathers(&self) -> bool {
        false
    }
    /// The highest address that it fetches from. Packets are below 4 GiB, what is lent need not be.
    fn reach(&self) -> u64 {
        u32::MAX.into()
    }
    /// How many frames it has of which parts are lent.
    fn lent(&self) -> usize {
        0
    }
    /// How many plain frames could be queued now.
    fn room(&self) -> usize;
    /// Whether it cuts a packet that is longer than the wire takes.
    fn can_cut(&self, packet: &Packet) -> bool;
    /// Whether it completes the checksum of a packet.
    fn can_sum(&self, packet: &Packet) -> bool;
    /// Whether it does all that is to be done to a packet.
    fn does(&self, packet: &Packet) -> bool {
        self.can_sum(packet) && (packet.offload().segmentation.is_none() || self.can_cut(packet))
    }
    /// Starts what was queued.
    fn start(&mut self);
    /// Whether a frame has come that [`Nic::receive`] would look at. Looks at memory, where the card has its ring there.
    fn has_news(&mut self) -> bool;
    /// Takes back what was sent, gives the card fresh buffers, and has it interrupt again: at the end of each turn.
    fn settle(&mut self);
    /// Frames that the card itself has lost or found damaged.
    fn faults(&mut self) -> u64;
    /// How long frames may be.
    fn sizes(&self) -> Sizes;
    /// Says whose frames to let in.
    fn set_filter(&mut self, filter: &Filter) -> Admits;
    /// How it is getting on.
    fn progress(&mut self) -> Progress;
    /// Resets it and starts it anew, with the filter that it had. What was on its way is lost. After a failure it is as before, so that
    /// its buffers stay where it may still reach them. `pause_us` waits for microseconds.
    fn restart(&mut self, pause_us: &mut dyn FnMut(u32)) -> Result<(), Failure>;
}
