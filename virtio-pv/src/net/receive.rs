//! Frames on their way to the driver.

use super::Nic;
use super::bits::{self, Header};
use super::header::describe;
use crate::features::Features;
use crate::queue::{Chain, Head, Queues, RingFault};
use guest_mem::GuestMemory;
use heapless::Vec;
use hvm::packet::Packet;
use zerocopy::IntoBytes;

/// Most frames that one call looks at, wanted or not.
const MAX_FRAMES: usize = 1024;
/// Most buffers that one frame is laid into: the longest fits buffers of one Ethernet frame each.
const MAX_BUFFERS: usize = 64;

/// Where a frame went.
enum Placed {
    /// To the driver, or nowhere: it fits no buffers that this driver lays out.
    Done,
    /// Nowhere yet: there are not enough buffers.
    NoBuffer,
}

impl Nic {
    /// Moves frames to the driver, as far as there are any and it has buffers. Their supply is looked at only when there is a frame, so
    /// a driver that uses event indices is spared kicks. A frame that finds none waits, and those behind it in the cable.
    pub(super) fn receive(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        for _ in 0..MAX_FRAMES {
            let Some(mut packet) = self.waiting.take().or_else(|| self.cable.receive()) else {
                return;
            };
            if !self.filter.admits(packet.frame(), self.mac) {
                continue;
            }
            let Some(header) = describe(&mut packet, self.accepted) else {
                continue;
            };
            let pair = match self.active_pairs {
                1 => 0,
                pairs => Some(u16::from(self.steering.pair(packet.frame())))
                    .filter(|pair| *pair < pairs)
                    .unwrap_or(0),
            };
            match self.place(
                super::receive_queue(pair),
                header,
                &mut packet,
                queues,
                memory,
            ) {
                Ok(Placed::Done) => {}
                Ok(Placed::NoBuffer) => {
                    self.waiting = Some(packet);
                    return;
                }
                Err(fault) => return queues.fail(fault),
            }
        }
    }

    /// Lays a frame, with its header, into one buffer, or else into as many as it takes.
    fn place(
        &mut self,
        queue: usize,
        header: Header,
        packet: &mut Packet,
        queues: &mut Queues,
        memory: &GuestMemory,
    ) -> Result<Placed, RingFault> {
        let header_bytes = self.header_bytes();
        let Some(head) = take(queue, &mut self.chain, queues, memory) else {
            return Ok(Placed::NoBuffer);
        };
        let bytes = packet.len() + header_bytes;
        if self.chain.writable_bytes() < bytes as u64 || !packet.rest().is_empty() {
            return self.spread(queue, head, header, packet, queues, memory);
        }
        // In one piece: there is room for the header before every frame.
        if let Some(whole) = packet.prepend(header_bytes) {
            whole[..header_bytes].copy_from_slice(&header.as_bytes()[..header_bytes]);
            self.chain.write(memory, 0, whole)?;
        } else {
            let header = &header.as_bytes()[..header_bytes];
            self.chain.write(memory, 0, header)?;
            self.chain
                .write(memory, header_bytes as u64, packet.frame())?;
        }
        queues.complete(queue, memory, head, bytes as u32);
        Ok(Placed::Done)
    }

    /// Lays a frame, with its header, into the buffer at `head` and as many more as it takes (5.1.6.4).
    #[cold]
    fn spread(
        &mut self,
        queue: usize,
        head: Head,
        mut header: Header,
        packet: &Packet,
        queues: &mut Queues,
        memory: &GuestMemory,
    ) -> Result<Placed, RingFault> {
        let header_bytes = self.header_bytes();
        let mergeable = self.negotiated.contains(bits::MERGEABLE);
        let mut used: Vec<(Head, u32), MAX_BUFFERS> = Vec::new();
        let behind = packet.rest().iter().map(Packet::frame);
        let mut parts = Parts::new(core::iter::once(packet.frame()).chain(behind));
        let mut next = Some(head);
        while !parts.are_over() || used.is_empty() {
            let first = used.is_empty();
            let chain = if first {
                &mut self.chain
            } else {
                &mut self.more
            };
            if used.is_full() || !(first || mergeable) {
                give_back(queue, used, queues);
                return Ok(Placed::Done);
            }
            let Some(head) = next.take().or_else(|| take(queue, chain, queues, memory)) else {
                give_back(queue, used, queues);
                return Ok(Placed::NoBuffer);
            };
            let ahead = if first { header_bytes } else { 0 };
            let Some(room) = chain.writable_bytes().checked_sub(ahead as u64) else {
                return Err(RingFault::Request(
                    "a receive buffer shorter than its header",
                ));
            };
            let mut filled = 0;
            while filled < room
                && let Some(part) = parts.next((room - filled) as usize)
            {
                chain.write(memory, ahead as u64 + filled, part)?;
                filled += part.len() as u64;
            }
            if used.push((head, ahead as u32 + filled as u32)).is_err() {
                unreachable!("it was not full");
            }
        }
        header.buffers = used.len() as u16;
        if header_bytes == size_of::<Header>() {
            self.chain.set_front(memory, &header)?;
        } else {
            self.chain
                .write(memory, 0, &header.as_bytes()[..header_bytes])?;
        }
        for (head, bytes) in used {
            queues.complete(queue, memory, head, bytes);
        }
        Ok(Placed::Done)
    }

    /// Bytes of the header that this driver expects (5.1.6.1).
    pub(super) fn header_bytes(&self) -> usize {
        if self
            .negotiated
            .intersects(bits::MERGEABLE | Features::VERSION_1)
        {
            bits::HEADER_BYTES
        } else {
            bits::SHORT_HEADER_BYTES
        }
    }
}

/// What is left of the parts of a frame.
struct Parts<'a, I> {
    part: &'a [u8],
    later: I,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Parts<'a, I> {
    fn new(later: I) -> Self {
        let mut parts = Self { part: &[], later };
        parts.skip_empty();
        parts
    }

    /// Whether nothing is left.
    fn are_over(&self) -> bool {
        self.part.is_empty()
    }

    /// The next bytes that lie together, at most so many.
    fn next(&mut self, most_bytes: usize) -> Option<&'a [u8]> {
        let (now, later) = self.part.split_at(self.part.len().min(most_bytes));
        self.part = later;
        self.skip_empty();
        (!now.is_empty()).then_some(now)
    }

    fn skip_empty(&mut self) {
        while self.part.is_empty()
            && let Some(part) = self.later.next()
        {
            self.part = part;
        }
    }
}

/// The next buffer of `queue`, after a look for new ones if there is none.
fn take(
    queue: usize,
    chain: &mut Chain,
    queues: &mut Queues,
    memory: &GuestMemory,
) -> Option<Head> {
    if let Some(head) = queues.take(queue, memory, chain) {
        return Some(head);
    }
    queues.open(queue, memory);
    queues.take(queue, memory, chain)
}

/// Buffers that were taken for a frame that fits no longer.
fn give_back(queue: usize, mut used: Vec<(Head, u32), MAX_BUFFERS>, queues: &mut Queues) {
    while let Some((head, _)) = used.pop() {
        queues.put_back(queue, head);
    }
}
