//! Network cards.
//!
//! A driver takes a card in any state, resets it, and runs one ring each way. The rings are in memory that the kernel gives, the frames
//! in [`Packet`]s. It takes every frame that comes along, whoever it is for: behind it is a switch. All calls come from one task, and
//! none waits, but a reset.

pub mod e1000;
pub mod rtl8139;
pub mod virtio;

use hvm::backend::Link;
use hvm::packet::Packet;

/// Whether the cable was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkNews {
    /// Not that the card knows.
    Same,
    /// It may be another.
    Changed,
}

/// A network card that runs.
pub trait Nic: Send {
    /// What it is.
    fn name(&self) -> &'static str;
    /// The address that its maker gave it.
    fn address(&self) -> [u8; 6];
    /// The cable.
    fn link(&mut self) -> Link;
    /// Takes note of what it interrupted for. Before frames are fetched, so that one that comes later interrupts again.
    fn acknowledge(&mut self) -> LinkNews;
    /// The next frame from the wire.
    fn receive(&mut self) -> Option<Packet>;
    /// Queues a frame, or gives it back where there is no room. What is to be done to it must be what [`Nic::can_sum`] and
    /// [`Nic::can_cut`] take.
    fn send(&mut self, packet: Packet) -> Result<(), Packet>;
    /// How many plain frames could be queued now.
    fn room(&self) -> usize;
    /// Whether it cuts a packet that is longer than the wire takes.
    fn can_cut(&self, packet: &Packet) -> bool;
    /// Whether it completes the checksum of a packet.
    fn can_sum(&self, packet: &Packet) -> bool;
    /// Starts what was queued, takes back what was sent, and gives the card fresh buffers: at the end of each turn.
    fn settle(&mut self);
    /// Frames that the card itself has lost or found damaged.
    fn faults(&mut self) -> u64;
}
