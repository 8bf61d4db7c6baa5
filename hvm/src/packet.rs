//! Ethernet frames on their way, in memory that network cards reach.
//!
//! A [`Pool`] owns a fixed number of buffers; a [`Packet`] is one of them with a frame in it, goes from hand to hand by value, and returns
//! to its pool when it is dropped, on whatever CPU. So a frame is copied where it enters or leaves guest memory and nowhere else, and
//! who floods a queue runs out of buffers, not out of memory. Getting and dropping take no lock.
//!
//! Most packets are a frame in one piece. One that was gathered of several frames has more packets behind it, each with the next part of
//! the payload ([`Packet::rest`]): a cable gathers for cards that take long frames, and nobody else sees such. And of a frame on its way to
//! a card that fetches frames from several places, the sender may lend the payload where it lies ([`Packet::lend`]): it has it back
//! when the packet is dropped. Whoever is no such card has to take it in first ([`Packet::take_in`]).

use crate::checksum;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use crossbeam_queue::ArrayQueue;
use guest_mem::Gpa;

/// Room in front of a new frame, for headers that somebody on its way has to add (VLAN tag, virtio-net header).
pub const HEADROOM_BYTES: usize = 64;

/// A frame's bytes in the checksum that the sender left out: ones' complement, over everything from `start` on, stored at `start + offset`
/// (virtio 1.2, 5.1.6.2: VIRTIO_NET_HDR_F_NEEDS_CSUM). The pseudo-header's sum stands there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialChecksum {
    /// Where summing starts, from the frame's first byte.
    pub start: u16,
    /// Where the sum goes, from `start`.
    pub offset: u16,
}

/// What is known of a frame's transport checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// It is in the frame, and nobody has looked.
    #[default]
    Unknown,
    /// It was looked at and is right.
    Valid,
    /// It has still to be computed.
    Partial(PartialChecksum),
}

/// The protocol of a frame that is too long for the wire and is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
}

/// How a long frame is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segmentation {
    /// What it carries.
    pub cut: Cut,
    /// The most payload of one piece.
    pub segment_bytes: u16,
    /// Headers that every piece begins with, from the frame's first byte.
    pub header_bytes: u16,
}

/// What somebody on a frame's way may have to do to it, or need not do any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Its transport checksum.
    pub checksum: Checksum,
    /// How to cut it, if it is longer than the wire takes.
    pub segmentation: Option<Segmentation>,
}

impl Offload {
    /// Nothing is to be done, and the checksum was found right.
    pub const VALID: Self = Self {
        checksum: Checksum::Valid,
        segmentation: None,
    };
}

/// Most parts of one frame that are lent: a segment of 64 KiB in pages, and some that are cut by where their memory ends.
pub const MAX_LENT: usize = 24;

/// A part of a frame where its sender has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lent {
    /// Where in guest memory.
    pub gpa: Gpa,
    /// The same for hardware.
    pub dma: u64,
    /// How much.
    pub bytes: u32,
}

/// Who lends.
pub trait Lender: Sync {
    /// What was lent with this ticket is the lender's own again. On any CPU.
    fn take_back(&self, ticket: u32);
}

/// What was lent of a frame.
struct Loan {
    parts: heapless::Vec<Lent, MAX_LENT>,
    bytes: usize,
    /// The highest address of hardware's in it.
    last: u64,
    lender: Option<(&'static dyn Lender, u32)>,
}

/// One buffer, and what is known of the frame in it. It stays where it is, so that a packet is moved by one register.
struct Buffer {
    bytes: &'static mut [u8],
    /// The address of its first byte for hardware.
    dma: u64,
    start: usize,
    end: usize,
    offload: Offload,
    /// What was gathered behind it. Its memory stays, as the buffer does.
    rest: Vec<Packet>,
    loan: Loan,
    home: &'static Pool,
}

/// Buffers of one size.
pub struct Pool {
    free: ArrayQueue<&'static mut Buffer>,
    buffer_bytes: usize,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { free, buffer_bytes } = self;
        write!(
            f,
            "Pool({} of {} buffers of {buffer_bytes} bytes are free)",
            free.len(),
            free.capacity()
        )
    }
}

impl Pool {
    /// A pool, for ever, of buffers with their addresses for hardware. All have the length of the shortest, more than
    /// [`HEADROOM_BYTES`].
    pub fn leak(buffers: Vec<(&'static mut [u8], u64)>) -> &'static Self {
        let buffer_bytes = buffers
            .iter()
            .map(|(bytes, _)| bytes.len())
            .min()
            .unwrap_or(0);
        let pool: &'static Self = Box::leak(Box::new(Self {
            free: ArrayQueue::new(buffers.len().max(1)),
            buffer_bytes,
        }));
        for (bytes, dma) in buffers {
            if bytes.len() <= HEADROOM_BYTES {
                continue;
            }
            let buffer = Box::leak(Box::new(Buffer {
                bytes,
                dma,
                start: HEADROOM_BYTES,
                end: HEADROOM_BYTES,
                offload: Offload::default(),
                rest: Vec::new(),
                loan: Loan {
                    parts: heapless::Vec::new(),
                    bytes: 0,
                    last: 0,
                    lender: None,
                },
                home: pool,
            }));
            if pool.free.push(buffer).is_err() {
                unreachable!("the queue has room for all");
            }
        }
        pool
    }

    /// A pool in ordinary memory, for tests and for what no hardware reaches.
    pub fn ordinary(count: usize, buffer_bytes: usize) -> &'static Self {
        let buffers = (0..count)
            .map(|_| (&mut *alloc::vec![0; buffer_bytes].leak(), 0))
            .collect();
        Self::leak(buffers)
    }

    /// The longest frame that a new packet takes.
    pub fn frame_bytes(&self) -> usize {
        self.buffer_bytes.saturating_sub(HEADROOM_BYTES)
    }

    /// How many packets there are.
    pub fn count(&self) -> usize {
        self.free.capacity()
    }

    /// How many packets can be had now.
    pub fn available(&self) -> usize {
        self.free.len()
    }

    /// An empty packet, if there is a free buffer. Its bytes are not cleared.
    #[inline]
    pub fn packet(&'static self) -> Option<Packet> {
        let buffer = self.free.pop()?;
        buffer.start = HEADROOM_BYTES;
        buffer.end = HEADROOM_BYTES;
        buffer.offload = Offload::default();
        Some(Packet(Some(buffer)))
    }

    /// A packet with a copy of `frame`, if there is a free buffer that is large enough.
    pub fn copy_of(&'static self, frame: &[u8]) -> Option<Packet> {
        let mut packet = self.packet()?;
        packet.room().get_mut(..frame.len())?.copy_from_slice(frame);
        packet.set_len(frame.len());
        Some(packet)
    }
}

/// A frame, from the destination address to the last byte before the frame check sequence, in a buffer of its own.
pub struct Packet(
    /// There until it is dropped.
    Option<&'static mut Buffer>,
);

impl Packet {
    #[inline]
    fn buffer(&self) -> &Buffer {
        match &self.0 {
            Some(buffer) => buffer,
            None => unreachable!("a packet has its buffer"),
        }
    }

    #[inline]
    fn buffer_mut(&mut self) -> &mut Buffer {
        match &mut self.0 {
            Some(buffer) => buffer,
            None => unreachable!("a packet has its buffer"),
        }
    }

    /// The frame.
    #[inline]
    pub fn frame(&self) -> &[u8] {
        let buffer = self.buffer();
        &buffer.bytes[buffer.start..buffer.end]
    }

    /// The frame, to be changed in place.
    #[inline]
    pub fn frame_mut(&mut self) -> &mut [u8] {
        let buffer = self.buffer_mut();
        &mut buffer.bytes[buffer.start..buffer.end]
    }

    /// A copy in a buffer of the same pool, if one is free and nothing of the frame is lent.
    pub fn duplicate(&self) -> Option<Self> {
        if self.is_lent() {
            return None;
        }
        let mut copy = self.buffer().home.copy_of(self.frame())?;
        copy.set_offload(self.offload());
        Some(copy)
    }

    /// All that the frame may become, from its first byte to the buffer's end: to be filled, and then told by [`Packet::set_len`].
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        let buffer = self.buffer_mut();
        &mut buffer.bytes[buffer.start..]
    }

    /// The frame's length.
    #[inline]
    pub fn len(&self) -> usize {
        let buffer = self.buffer();
        buffer.end - buffer.start
    }

    /// True before anything was put in.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Says how long the frame is; cut to the room.
    #[inline]
    pub fn set_len(&mut self, bytes: usize) {
        let buffer = self.buffer_mut();
        buffer.end = (buffer.start + bytes).min(buffer.bytes.len());
    }

    /// Takes `count` bytes off the front, of those that there are.
    pub fn strip(&mut self, count: usize) {
        let buffer = self.buffer_mut();
        buffer.start = (buffer.start + count).min(buffer.end);
    }

    /// Adds `count` bytes of any value at the front, and gives the whole frame; `None` if there is no room for them.
    pub fn prepend(&mut self, count: usize) -> Option<&mut [u8]> {
        let buffer = self.buffer_mut();
        buffer.start = buffer.start.checked_sub(count)?;
        Some(self.frame_mut())
    }

    /// The address of the frame's first byte for hardware.
    #[inline]
    pub fn dma(&self) -> u64 {
        let buffer = self.buffer();
        buffer.dma + buffer.start as u64
    }

    /// What is to be done to it.
    #[inline]
    pub fn offload(&self) -> Offload {
        self.buffer().offload
    }

    /// Adds a packet behind it, all of which is payload.
    pub fn append(&mut self, packet: Self) {
        self.buffer_mut().rest.push(packet);
    }

    /// The parts of the payload behind those in [`Packet::frame`], in order.
    #[inline]
    pub fn rest(&self) -> &[Self] {
        &self.buffer().rest
    }

    /// The length of the whole, with what hangs behind it and what is lent.
    #[inline]
    pub fn whole_len(&self) -> usize {
        let buffer = self.buffer();
        let behind: usize = buffer.rest.iter().map(Self::len).sum();
        self.len() + behind + buffer.loan.bytes
    }

    /// Adds a part that stays where it is; back if there are too many.
    #[inline]
    pub fn lend(&mut self, part: Lent) -> Result<(), Lent> {
        let loan = &mut self.buffer_mut().loan;
        loan.parts.push(part)?;
        loan.bytes += part.bytes as usize;
        let last = part.dma.saturating_add(u64::from(part.bytes));
        loan.last = loan.last.max(last.saturating_sub(1));
        Ok(())
    }

    /// Says who is to be told when the parts that were lent are needed no more.
    #[inline]
    pub fn set_lender(&mut self, lender: &'static dyn Lender, ticket: u32) {
        self.buffer_mut().loan.lender = Some((lender, ticket));
    }

    /// The highest address that hardware fetches of what is lent.
    pub fn last_lent(&self) -> u64 {
        self.buffer().loan.last
    }

    /// Whether a part of the frame is not in its buffer.
    #[inline]
    pub fn is_lent(&self) -> bool {
        self.buffer().loan.bytes > 0
    }

    /// The frame as hardware fetches it, in pieces of at most `most_bytes`: where and how many. At least one.
    #[inline]
    pub fn pieces(&self, most_bytes: usize) -> Pieces<'_> {
        Pieces {
            part: Some((self.dma(), self.len())),
            lent: self.buffer().loan.parts.iter(),
            most_bytes,
        }
    }

    /// How many pieces there are.
    #[inline]
    pub fn piece_count(&self, most_bytes: usize) -> usize {
        match self.is_lent() {
            true => self.pieces(most_bytes).count(),
            false => self.len().div_ceil(most_bytes).max(1),
        }
    }

    /// The same frame in `whole`, an empty packet, with nothing lent; `read` copies out of guest memory. `None` if there is not enough room, or no such
    /// memory.
    pub fn take_in(
        self,
        mut whole: Self,
        mut read: impl FnMut(Gpa, &mut [u8]) -> bool,
    ) -> Option<Self> {
        let bytes = self.whole_len();
        let (own, mut rest) = whole.room().get_mut(..bytes)?.split_at_mut(self.len());
        own.copy_from_slice(self.frame());
        for part in &self.buffer().loan.parts {
            let (now, later) = rest.split_at_mut(part.bytes as usize);
            if !read(part.gpa, now) {
                return None;
            }
            rest = later;
        }
        whole.set_len(bytes);
        whole.set_offload(self.offload());
        Some(whole)
    }

    /// Says what is to be done to it.
    #[inline]
    pub fn set_offload(&mut self, offload: Offload) {
        self.buffer_mut().offload = offload;
    }

    /// Computes the checksum that the sender left out, if it did. False, and nothing changed, if its place is outside the frame, or a part
    /// of the frame is.
    pub fn finish_checksum(&mut self) -> bool {
        let Checksum::Partial(PartialChecksum { start, offset }) = self.offload().checksum else {
            return true;
        };
        if self.is_lent() {
            return false;
        }
        let start = usize::from(start);
        let frame = self.frame_mut();
        let Some(summed) = frame.get_mut(start..) else {
            return false;
        };
        let total = checksum::of(summed);
        let Some(place) = summed.get_mut(usize::from(offset)..usize::from(offset) + 2) else {
            return false;
        };
        // 0 would mean "no checksum" in UDP, and FFFFh is the same number (RFC 768).
        let total = if total == 0 { 0xffff } else { total };
        place.copy_from_slice(&total.to_be_bytes());
        self.buffer_mut().offload.checksum = Checksum::Valid;
        true
    }
}

/// See [`Packet::pieces`].
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    /// What is left of the part that it is at.
    part: Option<(u64, usize)>,
    lent: core::slice::Iter<'a, Lent>,
    most_bytes: usize,
}

impl Iterator for Pieces<'_> {
    type Item = (u64, usize);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (dma, bytes) = self.part?;
        let now = bytes.min(self.most_bytes);
        self.part = match bytes - now {
            0 => self.lent.next().map(|part| (part.dma, part.bytes as usize)),
            left => Some((dma + now as u64, left)),
        };
        Some((dma, now))
    }
}

impl Drop for Packet {
    #[inline]
    fn drop(&mut self) {
        if let Some(buffer) = self.0.take() {
            // They have none behind them: nobody appends a packet that does.
            buffer.rest.clear();
            let loan = &mut buffer.loan;
            if loan.bytes > 0 {
                loan.parts.clear();
                loan.bytes = 0;
                loan.last = 0;
            }
            if let Some((lender, ticket)) = loan.lender.take() {
                lender.take_back(ticket);
            }
            let home = buffer.home;
            // The queue has room for every buffer of the pool, and this is one.
            let returned = home.free.push(buffer);
            debug_assert!(returned.is_ok());
        }
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({} bytes, {:?})", self.len(), self.offload())
    }
}

#[cfg(test)]
mod tests;
