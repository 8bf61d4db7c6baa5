//! The switch's port of the host, as smoltcp sees it.

use super::mld;
use alloc::collections::VecDeque;
use hvm::packet::{Packet, Pool};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

/// Frames that may wait in either direction.
const QUEUE_FRAMES: usize = 64;
/// Ethernet's header and its longest payload.
pub const FRAME_BYTES: usize = 14 + 1500;

/// Two bounded queues.
pub struct Device {
    pool: &'static Pool,
    incoming: VecDeque<Packet>,
    outgoing: VecDeque<Packet>,
}

impl Device {
    /// Frames that the stack sends come out of `pool`.
    pub fn new(pool: &'static Pool) -> Self {
        Self {
            pool,
            incoming: VecDeque::with_capacity(QUEUE_FRAMES),
            outgoing: VecDeque::with_capacity(QUEUE_FRAMES),
        }
    }

    /// A frame for the stack, or back if too many wait.
    pub fn put(&mut self, packet: Packet) -> Result<(), Packet> {
        if self.incoming.len() == QUEUE_FRAMES {
            return Err(packet);
        }
        self.incoming.push_back(packet);
        Ok(())
    }

    /// A frame that did not come from the stack, if there is room.
    pub fn post(&mut self, write: impl FnOnce(&mut Packet)) {
        if self.outgoing.len() < QUEUE_FRAMES
            && let Some(mut packet) = self.pool.packet()
        {
            write(&mut packet);
            self.outgoing.push_back(packet);
        }
    }

    /// The next frame from the stack.
    pub fn take(&mut self) -> Option<Packet> {
        self.outgoing.pop_front()
    }
}

/// A frame that came.
pub struct Received(Packet);

/// A buffer for a frame to go.
pub struct Sent<'a> {
    packet: Packet,
    queue: &'a mut VecDeque<Packet>,
}

impl phy::Device for Device {
    type RxToken<'a> = Received;
    type TxToken<'a> = Sent<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Sent<'_>)> {
        if self.outgoing.len() == QUEUE_FRAMES || self.incoming.is_empty() {
            return None;
        }
        let reply = self.pool.packet()?;
        let packet = self.incoming.pop_front()?;
        let sent = Sent {
            packet: reply,
            queue: &mut self.outgoing,
        };
        Some((Received(packet), sent))
    }

    fn transmit(&mut self, _: Instant) -> Option<Sent<'_>> {
        if self.outgoing.len() == QUEUE_FRAMES {
            return None;
        }
        Some(Sent {
            packet: self.pool.packet()?,
            queue: &mut self.outgoing,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = FRAME_BYTES.min(self.pool.frame_bytes());
        capabilities.checksum = ChecksumCapabilities::default();
        capabilities
    }
}

impl phy::RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, work: F) -> R {
        work(self.0.frame())
    }
}

impl phy::TxToken for Sent<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, length: usize, work: F) -> R {
        self.packet.set_len(length);
        let result = work(self.packet.frame_mut());
        mld::mend(self.packet.frame_mut());
        self.queue.push_back(self.packet);
        result
    }
}
