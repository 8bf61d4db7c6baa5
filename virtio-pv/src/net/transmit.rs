//! Frames on their way from the driver.

use super::Nic;
use super::bits::{self, Header};
use super::header::offload;
use super::loans::Loans;
use crate::features::Features;
use crate::queue::{Kick, Queues, RingFault};
use guest_mem::GuestMemory;
use hvm::backend::Link;
use hvm::packet::{Lent, Packet};

/// Bytes of a frame that are copied in any case: all headers that anybody on its way looks at.
const COPIED_BYTES: usize = 128;
/// Frames up to here are copied whole: that is cheaper than to keep books of them.
const SHORT_BYTES: usize = 512;
/// Bytes of an Ethernet header: what is shorter is no frame.
const ETHERNET_BYTES: usize = 14;

/// A frame that keeps a wire of a gigabit busy for longer than the next may wait to be looked for; its header counts as well.
const LONG_BYTES: u64 = 16 << 10;

/// What became of a request.
enum Loaded {
    /// A frame, copied.
    Frame(Packet),
    /// A frame of which the headers are copied, and the rest stays where it is.
    Lent(Packet),
    /// Nothing that could be sent.
    Lost,
    /// Nothing yet: there is no packet for it.
    Later,
}

impl Nic {
    /// Goes on with what earlier calls have left.
    #[inline]
    pub(super) fn carry_on(&mut self, queues: &mut Queues, memory: &GuestMemory) {
        if !core::mem::take(&mut self.leaves_frames) && self.loans.are_settled() {
            return;
        }
        for pair in 0..self.settings.pairs {
            if super::transmit_queue(pair) != self.control_queue() {
                self.transmit(pair, queues, memory);
            }
        }
    }

    /// The transmit queue of `pair` may have something. While long frames come, one after the other, the driver is asked to kick for every
    /// second: a kick is an exit, and a frame that waits for the next, or for [`Device::lingering`]'s look, waits behind one on the wire.
    ///
    /// [`Device::lingering`]: crate::device::Device::lingering
    pub(super) fn serve_transmit(&mut self, pair: u16, queues: &mut Queues, memory: &GuestMemory) {
        let queue = super::transmit_queue(pair);
        let streamed = self.streams >> queue & 1 != 0;
        let kick = match streamed {
            true => Kick::Second,
            false => Kick::First,
        };
        queues.open_for(queue, memory, kick);
        let longest_bytes = self.transmit(pair, queues, memory);
        let streams = longest_bytes > LONG_BYTES && self.negotiated.contains(Features::EVENT_INDEX);
        if streamed == streams {
            return;
        }
        self.streams ^= 1 << queue;
        if streamed {
            queues.open(queue, memory);
            self.transmit(pair, queues, memory);
        }
    }

    /// Sends what waits in transmit queue of `pair`, as far as the cable takes it; returns how long the longest frame is that was found, with its
    /// header.
    pub(super) fn transmit(&mut self, pair: u16, queues: &mut Queues, memory: &GuestMemory) -> u64 {
        let queue = super::transmit_queue(pair);
        let mut longest_bytes = 0;
        self.loans.settle(&mut *self.cable, queues, memory);
        while self.send_held()
            && let Some(head) = queues.take(queue, memory, &mut self.chain)
        {
            let bytes = self.chain.readable_bytes();
            longest_bytes = longest_bytes.max(bytes);
            match self.load(bytes, memory) {
                Ok(Loaded::Frame(packet)) => {
                    if self.active_pairs > 1 {
                        self.steering.learn(packet.frame(), pair as u8);
                    }
                    self.held = Some(packet);
                    queues.complete(queue, memory, head, 0);
                }
                Ok(Loaded::Lent(mut packet)) => {
                    if self.active_pairs > 1 {
                        self.steering.learn(packet.frame(), pair as u8);
                    }
                    let ticket = Loans::ticket(pair, &head);
                    self.cable.set_ticket(&mut packet, ticket);
                    self.loans.keep(ticket, head);
                    self.held = Some(packet);
                }
                Ok(Loaded::Lost) => queues.complete(queue, memory, head, 0),
                Ok(Loaded::Later) => {
                    self.leaves_frames = true;
                    queues.put_back(queue, head);
                    break;
                }
                Err(fault) => {
                    queues.fail(fault);
                    break;
                }
            }
        }
        longest_bytes
    }

    /// Hands the frame that was loaded last to the cable; false if it has no room for it now. A cable that is cut takes everything.
    pub(super) fn send_held(&mut self) -> bool {
        let Some(packet) = self.held.take() else {
            return true;
        };
        self.held = match self.cable.link() {
            Link::Up => self.cable.send(packet).err(),
            Link::Down => None,
        };
        self.leaves_frames |= self.held.is_some();
        self.held.is_none()
    }

    /// Copies the frame in `self.chain`, `bytes` with its header, or its headers.
    fn load(&mut self, bytes: u64, memory: &GuestMemory) -> Result<Loaded, RingFault> {
        let header_bytes = self.header_bytes();
        let Some(frame_bytes) = bytes.checked_sub(header_bytes as u64) else {
            return Err(RingFault::Request("a frame without its header"));
        };
        // The short header lacks the last field, which says nothing here; the first bytes of the frame stand there then.
        let Some(header) = self.chain.front::<Header>(memory)? else {
            return Ok(Loaded::Lost);
        };
        let longest = if header.gso == bits::gso::NONE {
            self.settings.longest_plain_bytes()
        } else {
            self.settings.longest_bytes
        };
        if !(ETHERNET_BYTES as u64..=longest as u64).contains(&frame_bytes) {
            return Ok(Loaded::Lost);
        }
        let frame_bytes = frame_bytes as usize;
        if frame_bytes > SHORT_BYTES && self.cable.borrows() {
            let Some(packet) = self.cable.packet(COPIED_BYTES) else {
                return Ok(Loaded::Later);
            };
            // What is asked of it may be behind what was copied.
            if let Some(mut packet) = self.lend(packet, header_bytes, memory)?
                && let Some(offload) = offload(&header, self.negotiated, packet.frame())
            {
                packet.set_offload(offload);
                return Ok(Loaded::Lent(packet));
            }
        }
        let Some(mut packet) = self.cable.packet(frame_bytes) else {
            return Ok(Loaded::Later);
        };
        let Some(room) = packet.room().get_mut(..frame_bytes) else {
            return Ok(Loaded::Lost);
        };
        self.chain.read(memory, header_bytes as u64, room)?;
        packet.set_len(frame_bytes);
        Ok(match offload(&header, self.negotiated, packet.frame()) {
            Some(offload) => {
                packet.set_offload(offload);
                Loaded::Frame(packet)
            }
            None => Loaded::Lost,
        })
    }

    /// Copies the front of a frame into `packet`, and lends the rest. `None` where that is in too many places, or not in RAM.
    fn lend(
        &self,
        mut packet: Packet,
        header_bytes: usize,
        memory: &GuestMemory,
    ) -> Result<Option<Packet>, RingFault> {
        let Some(front) = packet.room().get_mut(..COPIED_BYTES) else {
            return Ok(None);
        };
        self.chain.read(memory, header_bytes as u64, front)?;
        packet.set_len(COPIED_BYTES);
        for part in self
            .chain
            .readable_from((header_bytes + COPIED_BYTES) as u64)
        {
            let (mut gpa, mut left) = (part.gpa, u64::from(part.bytes));
            while left > 0 {
                let Some((hpa, contiguous)) = memory.translate(gpa) else {
                    return Ok(None);
                };
                let bytes = left.min(contiguous);
                let lent = Lent {
                    gpa,
                    dma: hpa.0,
                    bytes: bytes as u32,
                };
                if packet.lend(lent).is_err() {
                    return Ok(None);
                }
                (gpa, left) = (gpa.wrapping_add(bytes), left - bytes);
            }
        }
        Ok(Some(packet))
    }
}
