//! Back ends: what stands behind a device on the host's side.

use crate::packet::{Cut, Packet};
use alloc::boxed::Box;
use core::convert::Infallible;
use guest_mem::{Gpa, GuestMemory};
use serde::{Deserialize, Serialize};

/// A byte stream in both directions that never blocks: `embedded-io` with its readiness traits. A reader asks
/// `read_ready` first, a writer `write_ready`.
pub trait Bytes:
    embedded_io::Read<Error = Infallible>
    + embedded_io::Write<Error = Infallible>
    + embedded_io::ReadReady
    + embedded_io::WriteReady
    + Send
{
}

impl<T> Bytes for T where
    T: embedded_io::Read<Error = Infallible>
        + embedded_io::Write<Error = Infallible>
        + embedded_io::ReadReady
        + embedded_io::WriteReady
        + Send
{
}

/// A byte stream of any make.
pub type BoxedBytes = Box<dyn Bytes>;

/// Random numbers from the host.
pub trait Entropy: Send {
    /// Fills `into` with unpredictable bytes; returns how many (may be 0 for now, never more than asked).
    fn fill(&mut self, into: &mut [u8]) -> usize;
}

/// Which way a disk transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transfer {
    /// Medium to guest memory.
    Read,
    /// Guest memory to medium.
    Write,
}

/// Why a disk request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockError {
    /// Past the end of the medium.
    OutOfRange,
    /// A write to a read-only medium.
    ReadOnly,
    /// The guest named memory that is not RAM.
    BadMemory,
    /// The medium failed.
    Medium,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// Finished within the call.
    Done(Result<(), BlockError>),
    /// Will come out of [`Block::completed`] with the caller's token.
    Pending,
}

/// A piece of guest memory in a scatter/gather list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub gpa: Gpa,
    /// Length in bytes.
    pub bytes: u32,
}

/// Bytes in a sector, everywhere.
pub const SECTOR_BYTES: u64 = 512;

/// A disk.
pub trait Block: Send {
    /// Capacity in sectors of 512 bytes.
    fn sectors(&self) -> u64;
    /// True if writes are refused.
    fn read_only(&self) -> bool;
    /// Moves whole sectors from `sector` on between the medium and `segments` (their sum is a multiple of 512).
    /// `token` comes back in [`Block::completed`] when the answer is [`Submitted::Pending`].
    fn transfer(
        &mut self,
        direction: Transfer,
        sector: u64,
        segments: &[Segment],
        memory: &GuestMemory,
        token: u64,
    ) -> Submitted;
    /// Copies whole sectors from `sector` on into a buffer of the hypervisor's own (its length is a multiple of 512).
    /// After [`Submitted::Pending`] nothing has been copied yet: once `token` has come out of [`Block::completed`]
    /// without error, the same call again is answered within the call.
    fn read(&mut self, sector: u64, into: &mut [u8], token: u64) -> Submitted;
    /// Copies whole sectors out of such a buffer. After [`Submitted::Pending`] the bytes have been taken over, and the
    /// result comes out of [`Block::completed`].
    fn write(&mut self, sector: u64, from: &[u8], token: u64) -> Submitted;
    /// Makes all finished writes durable.
    fn flush(&mut self, token: u64) -> Submitted;
    /// The next finished request, if any.
    fn completed(&mut self) -> Option<(u64, Result<(), BlockError>)>;
}

/// Whether frames can get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Link {
    /// They can.
    Up,
    /// They are lost.
    Down,
}

/// What a network card of the guest is plugged into. Calls come from a vCPU and never wait; whoever is behind it has the board polled when
/// there is something to receive, or room again after a refusal.
pub trait Ethernet: Send {
    /// An empty packet for a frame of up to `bytes`; `None` while there is no buffer.
    fn packet(&mut self, bytes: usize) -> Option<Packet>;
    /// Sends a frame of the guest, or gives it back where there is no room for it now.
    fn send(&mut self, packet: Packet) -> Result<(), Packet>;
    /// The next frame for the guest.
    fn receive(&mut self) -> Option<Packet>;
    /// The cable.
    fn link(&self) -> Link;
    /// Says which frames that are too long for the wire may come uncut from now on; none, before. For a moment some may still come that were
    /// accepted before.
    fn accept_long(&mut self, _cuts: Cuts) {}
    /// Says whose frames the guest wants; at first its own.
    fn listen(&mut self, _wants: Wants) {}
    /// Whether parts of frames may be lent now, because those who get them fetch them where they lie.
    fn borrows(&self) -> bool {
        false
    }
    /// Notes who has lent parts of a frame: the caller, who gets `ticket` from [`Ethernet::returned`] when the frame is done with.
    fn set_ticket(&self, _packet: &mut Packet, _ticket: u32) {}
    /// The ticket of a frame that is done with. The board is polled when there is one.
    fn returned(&mut self) -> Option<u32> {
        None
    }
}

/// Whose frames a card of the guest wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// Those for addresses that it sends from, and for groups.
    Own,
    /// Everybody's: it is promiscuous.
    Everybody,
}

bitflags::bitflags! {
    /// Kinds of frames that are to be cut.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Cuts: u8 {
        /// TCP over IPv4.
        const TCP4 = 1 << 0;
        /// TCP over IPv6.
        const TCP6 = 1 << 1;
    }
}

impl From<Cut> for Cuts {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Tcp4 => Self::TCP4,
            Cut::Tcp6 => Self::TCP6,
        }
    }
}
