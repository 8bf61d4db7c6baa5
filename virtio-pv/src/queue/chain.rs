//! One request: the buffers of a descriptor chain, checked.

use super::RingFault;
use super::layout::{DESCRIPTOR_BYTES, Descriptor, DescriptorFlags};
use crate::features::Features;
use guest_mem::{Gpa, GuestMemory, Unmapped};
use heapless::Vec;
use hvm::backend::Segment;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Most buffers in a chain: as many as the largest queue has descriptors (2.7.5.3.1 forbids longer ones).
pub const MAX_SEGMENTS: usize = super::MAX_SIZE as usize;

/// The right and the duty to give a chain back: the index of its first descriptor.
#[derive(Debug, PartialEq, Eq)]
pub struct Head(pub(super) u16);

impl Head {
    /// The index, below the queue's size.
    #[inline]
    pub fn index(&self) -> u16 {
        self.0
    }
}

/// A table of descriptors.
#[derive(Clone, Copy)]
pub(super) struct Table {
    base: Gpa,
    entries: u32,
    kind: TableKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TableKind {
    Ring,
    Indirect,
}

impl Table {
    /// The table of a ring.
    #[inline]
    pub(super) fn ring(base: Gpa, entries: u16) -> Self {
        Self {
            base,
            entries: u32::from(entries),
            kind: TableKind::Ring,
        }
    }

    #[inline]
    fn descriptor(&self, memory: &GuestMemory, index: u16) -> Result<Descriptor, RingFault> {
        if u32::from(index) >= self.entries {
            return Err(RingFault::DescriptorIndex {
                found: index,
                entries: self.entries,
            });
        }
        Ok(memory.load(self.base.wrapping_add(DESCRIPTOR_BYTES * u64::from(index)))?)
    }

    /// The table that `descriptor` refers to (2.7.5.3). Its WRITE flag is ignored, as 2.7.5.3.2 demands.
    fn indirect(
        &self,
        descriptor: Descriptor,
        flags: DescriptorFlags,
        features: Features,
    ) -> Result<Self, RingFault> {
        let whole = u64::from(descriptor.bytes) % DESCRIPTOR_BYTES == 0 && descriptor.bytes != 0;
        if self.kind == TableKind::Indirect
            || !features.contains(Features::INDIRECT)
            || flags.contains(DescriptorFlags::NEXT)
            || !whole
        {
            return Err(RingFault::Indirect);
        }
        let base = Gpa(descriptor.address);
        base.checked_add(u64::from(descriptor.bytes))
            .ok_or(RingFault::BufferWraps(base.0))?;
        Ok(Self {
            base,
            entries: descriptor.bytes / DESCRIPTOR_BYTES as u32,
            kind: TableKind::Indirect,
        })
    }
}

/// The buffers of one chain: those that the device reads, then those that it writes. Empty buffers are left out.
///
/// It is a work area: a device keeps one and has it filled for each request, so nothing is allocated.
#[derive(Debug, Default)]
pub struct Chain {
    segments: Vec<Segment, MAX_SEGMENTS>,
    /// First readable segment that is not consumed.
    start: usize,
    /// First writable segment.
    split: usize,
    /// Sum of the writable lengths.
    writable_bytes: u64,
}

impl Chain {
    /// An empty work area.
    pub const fn new() -> Self {
        Self {
            segments: Vec::new(),
            start: 0,
            split: 0,
            writable_bytes: 0,
        }
    }

    /// What the device reads.
    #[inline]
    pub fn readable(&self) -> &[Segment] {
        self.segments.get(self.start..self.split).unwrap_or(&[])
    }

    /// What the device writes.
    #[inline]
    pub fn writable(&self) -> &[Segment] {
        self.segments.get(self.split..).unwrap_or(&[])
    }

    /// Sum of the readable lengths.
    pub fn readable_bytes(&self) -> u64 {
        sum(self.readable())
    }

    /// Sum of the writable lengths.
    #[inline]
    pub fn writable_bytes(&self) -> u64 {
        self.writable_bytes
    }

    /// What the device reads from `offset` on.
    pub fn readable_from(&self, offset: u64) -> impl Iterator<Item = Segment> + use<'_> {
        pieces(self.readable(), offset, usize::MAX)
    }

    /// Takes a structure off the front of the readable part, however it is cut into buffers (2.7.4). `None` if that is too short.
    pub fn take_header<T: FromBytes + IntoBytes + Immutable>(
        &mut self,
        memory: &GuestMemory,
    ) -> Result<Option<T>, Unmapped> {
        let bytes = size_of::<T>();
        if let Some(first) = self.readable().first()
            && first.bytes as usize == bytes
        {
            let header = memory.load(first.gpa)?;
            self.start += 1;
            return Ok(Some(header));
        }
        let mut header = T::new_zeroed();
        if self.read(memory, 0, header.as_mut_bytes())? < bytes {
            return Ok(None);
        }
        self.consume(bytes as u32);
        Ok(Some(header))
    }

    /// Takes the last writable byte off, and says where it is. `None` if there is none.
    pub fn take_trailer(&mut self) -> Option<Gpa> {
        if self.writable().is_empty() {
            return None;
        }
        let last = self.segments.last_mut()?;
        last.bytes -= 1;
        self.writable_bytes -= 1;
        let (gpa, left) = (last.gpa.wrapping_add(u64::from(last.bytes)), last.bytes);
        if left == 0 {
            self.segments.pop();
        }
        Some(gpa)
    }

    /// A structure at the front of the readable part, however that is cut into buffers. `None` if it is too short.
    #[inline(always)]
    pub fn front<T: FromBytes + IntoBytes + Immutable>(
        &self,
        memory: &GuestMemory,
    ) -> Result<Option<T>, Unmapped> {
        if let Some(gpa) = one(self.readable(), 0, size_of::<T>()) {
            return memory.load(gpa).map(Some);
        }
        let mut value = T::new_zeroed();
        let bytes = self.gather(memory, 0, value.as_mut_bytes())?;
        Ok((bytes == size_of::<T>()).then_some(value))
    }

    /// Copies out of the readable part, from `offset` on; returns how many bytes there were.
    #[inline]
    pub fn read(
        &self,
        memory: &GuestMemory,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Unmapped> {
        // Most often it is one buffer.
        if let Some(gpa) = one(self.readable(), offset, into.len()) {
            memory.read(gpa, into)?;
            return Ok(into.len());
        }
        self.gather(memory, offset, into)
    }

    /// The same out of as many buffers as it takes.
    #[inline(never)]
    fn gather(
        &self,
        memory: &GuestMemory,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Unmapped> {
        let mut rest = into;
        let mut done = 0;
        for piece in pieces(self.readable(), offset, rest.len()) {
            let (now, later) = rest.split_at_mut(piece.bytes as usize);
            memory.read(piece.gpa, now)?;
            done += now.len();
            rest = later;
        }
        Ok(done)
    }

    /// Writes a structure to the front of the writable part, however that is cut into buffers, as far as there is room.
    #[inline(always)]
    pub fn set_front<T: IntoBytes + Immutable>(
        &self,
        memory: &GuestMemory,
        value: &T,
    ) -> Result<(), Unmapped> {
        match one(self.writable(), 0, size_of::<T>()) {
            Some(gpa) => memory.store(gpa, value),
            None => self.scatter(memory, 0, value.as_bytes()).map(drop),
        }
    }

    /// Copies into the writable part, from `offset` on; returns how many bytes there was room for.
    #[inline]
    pub fn write(&self, memory: &GuestMemory, offset: u64, from: &[u8]) -> Result<usize, Unmapped> {
        if let Some(gpa) = one(self.writable(), offset, from.len()) {
            memory.write(gpa, from)?;
            return Ok(from.len());
        }
        self.scatter(memory, offset, from)
    }

    /// The same into as many buffers as it takes.
    #[inline(never)]
    fn scatter(&self, memory: &GuestMemory, offset: u64, from: &[u8]) -> Result<usize, Unmapped> {
        let mut rest = from;
        for piece in pieces(self.writable(), offset, rest.len()) {
            let (now, later) = rest.split_at(piece.bytes as usize);
            memory.write(piece.gpa, now)?;
            rest = later;
        }
        Ok(from.len() - rest.len())
    }

    /// Fills the area with the chain that starts at descriptor `first` of `table`.
    #[inline(always)]
    pub(super) fn walk(
        &mut self,
        memory: &GuestMemory,
        mut table: Table,
        first: u16,
        features: Features,
    ) -> Result<(), RingFault> {
        self.segments.clear();
        self.start = 0;
        self.split = 0;
        self.writable_bytes = 0;
        let mut index = first;
        // One more than the buffers: the descriptor of an indirect table is none.
        for _ in 0..=MAX_SEGMENTS {
            let descriptor = table.descriptor(memory, index)?;
            let flags = DescriptorFlags::from_bits_truncate(descriptor.flags);
            if flags.contains(DescriptorFlags::INDIRECT) {
                table = table.indirect(descriptor, flags, features)?;
                index = 0;
                continue;
            }
            self.push(descriptor, flags)?;
            if !flags.contains(DescriptorFlags::NEXT) {
                return Ok(());
            }
            index = descriptor.next;
        }
        Err(RingFault::ChainTooLong)
    }

    #[inline]
    fn push(&mut self, descriptor: Descriptor, flags: DescriptorFlags) -> Result<(), RingFault> {
        let gpa = Gpa(descriptor.address);
        gpa.checked_add(u64::from(descriptor.bytes))
            .ok_or(RingFault::BufferWraps(gpa.0))?;
        if !flags.contains(DescriptorFlags::WRITE) && self.split < self.segments.len() {
            return Err(RingFault::Order);
        }
        if descriptor.bytes == 0 {
            return Ok(());
        }
        let segment = Segment {
            gpa,
            bytes: descriptor.bytes,
        };
        self.segments
            .push(segment)
            .map_err(|_| RingFault::ChainTooLong)?;
        match flags.contains(DescriptorFlags::WRITE) {
            true => self.writable_bytes += u64::from(descriptor.bytes),
            false => self.split += 1,
        }
        Ok(())
    }

    /// Drops `bytes` bytes, which exist, from the front of the readable part.
    fn consume(&mut self, mut bytes: u32) {
        while self.start < self.split
            && let Some(first) = self.segments.get_mut(self.start)
        {
            if bytes < first.bytes {
                first.gpa = first.gpa.wrapping_add(u64::from(bytes));
                first.bytes -= bytes;
                return;
            }
            bytes -= first.bytes;
            self.start += 1;
        }
    }
}

fn sum(segments: &[Segment]) -> u64 {
    segments
        .iter()
        .map(|segment| u64::from(segment.bytes))
        .sum()
}

/// Where `bytes` bytes from `offset` on are, if the first of `segments` has them all.
#[inline]
fn one(segments: &[Segment], offset: u64, bytes: usize) -> Option<Gpa> {
    let first = segments.first()?;
    let end = offset.checked_add(bytes as u64)?;
    (end <= u64::from(first.bytes)).then(|| first.gpa.wrapping_add(offset))
}

/// The parts of `segments` that cover `bytes` bytes from `offset` on, as far as they reach.
fn pieces(
    segments: &[Segment],
    offset: u64,
    bytes: usize,
) -> impl Iterator<Item = Segment> + use<'_> {
    let mut skip = offset;
    let mut left = bytes as u64;
    segments.iter().filter_map(move |segment| {
        let length = u64::from(segment.bytes);
        let start = skip.min(length);
        skip -= start;
        let now = (length - start).min(left);
        left -= now;
        (now != 0).then(|| Segment {
            gpa: segment.gpa.wrapping_add(start),
            bytes: now as u32,
        })
    })
}
