//! Sending and receiving in C+ mode: rings of descriptors.

use super::bits::{self, CPlus, Interrupt, descriptor};
use super::filter::Receiver;
use super::offload::{self, ETHERNET_BYTES, MAX_HEADER_BYTES};
use super::receive::Placed;
use super::state::Descriptors;
use super::{Chip, Step};
use guest_mem::{Gpa, GuestMemory, Unmapped};
use heapless::Vec;
use hvm::backend::Link;
use hvm::packet::Packet;

/// The longest frame that is sent as it is: an Ethernet frame of the largest size that the chip's FIFO takes.
const MAX_PLAIN_BYTES: usize = 2048;

/// A descriptor as it is in memory.
#[derive(Clone, Copy)]
struct Descriptor {
    options: u32,
    tag: u32,
    buffer: u64,
}

impl Descriptors {
    fn place(&self, index: u32) -> Gpa {
        // Rings start at multiples of 256.
        Gpa((self.base & !0xff).wrapping_add(descriptor::BYTES * u64::from(index)))
    }

    fn load(&self, index: u32, memory: &GuestMemory) -> Result<Descriptor, Unmapped> {
        let [options, tag, low, high]: [u32; 4] = memory.load(self.place(index))?;
        Ok(Descriptor {
            options,
            tag,
            buffer: u64::from(high) << 32 | u64::from(low),
        })
    }

    /// The descriptor behind `index`.
    fn after(index: u32, options: u32) -> u32 {
        if options & descriptor::END != 0 || index as usize + 1 >= descriptor::MAX {
            0
        } else {
            index + 1
        }
    }
}

/// A frame that the driver has laid out.
struct Laid {
    /// Index, options and buffer of each descriptor.
    pieces: Vec<(u32, Descriptor), { descriptor::MAX }>,
    bytes: usize,
}

impl Laid {
    fn first(&self) -> Option<Descriptor> {
        self.pieces.first().map(|&(_, descriptor)| descriptor)
    }

    /// Copies from `offset` of the frame.
    fn read(&self, offset: usize, into: &mut [u8], memory: &GuestMemory) -> Result<(), Unmapped> {
        let (mut skip, mut rest) = (offset, into);
        for &(_, piece) in &self.pieces {
            let bytes = (piece.options & descriptor::TRANSMIT_SIZE) as usize;
            let here = bytes.saturating_sub(skip).min(rest.len());
            let (now, later) = rest.split_at_mut(here);
            if here > 0 {
                memory.read(Gpa(piece.buffer.wrapping_add(skip as u64)), now)?;
            }
            rest = later;
            skip = skip.saturating_sub(bytes);
        }
        Ok(())
    }
}

/// What became of a frame.
enum Loaded {
    /// A packet, and whether it is the frame's last.
    Packet(Packet, Last),
    /// It cannot be sent.
    Lost,
    /// It cannot be sent now.
    Later,
}

enum Last {
    Yes,
    No(u32),
}

impl Chip {
    /// Takes one frame, or a piece of it, out of a ring: of that of high priority first.
    pub(super) fn send_descriptors(&mut self, memory: &GuestMemory) -> Step {
        let polled = self.state.cplus.polling;
        let bit = match polled {
            0 => return Step::Idle,
            polled if polled & bits::POLL_HIGH != 0 => bits::POLL_HIGH,
            _ => bits::POLL_NORMAL,
        };
        let ring = if bit == bits::POLL_HIGH {
            self.state.cplus.high
        } else {
            self.state.cplus.normal
        };
        match lay(ring, memory) {
            Ok(Some(laid)) => match self.load(&laid, memory) {
                Ok(Loaded::Packet(packet, Last::No(cut))) => {
                    self.held = Some(packet);
                    self.state.cplus.cut = cut;
                    Step::Taken
                }
                Ok(Loaded::Packet(packet, Last::Yes)) => {
                    self.held = Some(packet);
                    self.retire(bit, ring, &laid, true, memory)
                }
                Ok(Loaded::Lost) => self.retire(bit, ring, &laid, false, memory),
                Ok(Loaded::Later) => Step::Stalled,
                Err(_) => self.stop_polling(bit, Interrupt::BUS_ERROR),
            },
            Ok(None) => self.stop_polling(bit, Interrupt::TRANSMIT_EMPTY),
            Err(_) => self.stop_polling(bit, Interrupt::BUS_ERROR),
        }
    }

    fn stop_polling(&mut self, bit: u8, why: Interrupt) -> Step {
        self.state.cplus.polling &= !bit;
        self.state.cplus.cut = 0;
        self.raise(why);
        Step::Taken
    }

    /// Gives a frame's descriptors back.
    fn retire(
        &mut self,
        bit: u8,
        mut ring: Descriptors,
        laid: &Laid,
        sent: bool,
        memory: &GuestMemory,
    ) -> Step {
        for &(index, piece) in &laid.pieces {
            ring.next = Descriptors::after(index, piece.options);
            let options = piece.options & !descriptor::OWN;
            if memory.store(ring.place(index), &options).is_err() {
                return self.stop_polling(bit, Interrupt::BUS_ERROR);
            }
        }
        let place = if bit == bits::POLL_HIGH {
            &mut self.state.cplus.high
        } else {
            &mut self.state.cplus.normal
        };
        place.next = ring.next;
        self.state.cplus.cut = 0;
        self.count_sent(sent);
        Step::Taken
    }

    fn load(&mut self, laid: &Laid, memory: &GuestMemory) -> Result<Loaded, Unmapped> {
        let Some(first) = laid.first() else {
            return Ok(Loaded::Lost);
        };
        if laid.bytes < ETHERNET_BYTES || self.cable.link() == Link::Down && !self.loops() {
            return Ok(Loaded::Lost);
        }
        if first.options & descriptor::LARGE_SEND != 0 {
            return self.load_piece(laid, first, memory);
        }
        if laid.bytes > MAX_PLAIN_BYTES {
            return Ok(Loaded::Lost);
        }
        let Some(mut packet) = self.cable.packet(laid.bytes) else {
            return Ok(Loaded::Later);
        };
        packet.set_len(laid.bytes);
        laid.read(0, packet.frame_mut(), memory)?;
        offload::finish(&mut packet, first.options);
        tag(&mut packet, first.tag);
        Ok(Loaded::Packet(packet, Last::Yes))
    }

    /// Loads the next piece of a frame that is to be cut.
    fn load_piece(
        &mut self,
        laid: &Laid,
        first: Descriptor,
        memory: &GuestMemory,
    ) -> Result<Loaded, Unmapped> {
        let mut start = [0; MAX_HEADER_BYTES];
        let start = &mut start[..laid.bytes.min(MAX_HEADER_BYTES)];
        laid.read(0, start, memory)?;
        let segment = first.options >> descriptor::SEGMENT_SHIFT & descriptor::SEGMENT_MASK;
        let offset = self.state.cplus.cut as usize;
        let cutter = offload::cutter(start, laid.bytes, segment as u16);
        let piece = cutter.and_then(|cutter| Some((cutter.piece_bytes(offset)?, cutter)));
        let Some((bytes, cutter)) = piece else {
            return Ok(Loaded::Lost);
        };
        let header_bytes = cutter.header_bytes();
        let Some(mut packet) = self.cable.packet(header_bytes + bytes) else {
            return Ok(Loaded::Later);
        };
        packet.set_len(header_bytes + bytes);
        let Some(payload) = packet.frame_mut().get_mut(header_bytes..) else {
            return Ok(Loaded::Lost);
        };
        laid.read(header_bytes + offset, payload, memory)?;
        cutter.write_headers(&mut packet, offset);
        tag(&mut packet, first.tag);
        let next = offset + bytes;
        let last = match cutter.piece_bytes(next) {
            Some(_) if bytes > 0 => Last::No(next as u32),
            _ => Last::Yes,
        };
        Ok(Loaded::Packet(packet, last))
    }

    /// Lays a received frame into descriptors.
    pub(super) fn place_in_descriptors(
        &mut self,
        packet: &mut Packet,
        receiver: Receiver,
        memory: &GuestMemory,
    ) -> Result<Placed, Unmapped> {
        let cplus = CPlus::from_bits_truncate(self.state.cplus.command);
        let ring = self.state.cplus.receive;
        let protocol = if cplus.contains(CPlus::RECEIVE_CHECKSUM) {
            offload::protocol(packet)
        } else {
            packet.finish_checksum();
            0
        };
        // Descriptors first: a frame that waits for them keeps its tag.
        let bytes = packet.len() + bits::CRC_BYTES;
        let mut pieces: Vec<(u32, Descriptor), { descriptor::MAX }> = Vec::new();
        let (mut index, mut room) = (ring.next, 0);
        while room < bytes {
            let piece = ring.load(index, memory)?;
            if piece.options & descriptor::OWN == 0 || pieces.push((index, piece)).is_err() {
                return Ok(Placed::NoRoom);
            }
            room += (piece.options & descriptor::RECEIVE_SIZE) as usize;
            index = Descriptors::after(index, piece.options);
        }
        let taken = cplus
            .contains(CPlus::RECEIVE_VLAN)
            .then(|| offload::remove_tag(packet));
        let tag = taken
            .flatten()
            .map_or(0, |tag| descriptor::TAG_TAKEN | u32::from(tag));
        let kind = protocol
            | match receiver {
                Receiver::Own => descriptor::STATION,
                Receiver::Everybody => descriptor::BROADCAST,
                Receiver::Group => descriptor::MULTICAST,
                Receiver::Other => 0,
            };
        let bytes = packet.len() + bits::CRC_BYTES;
        let mut rest = packet.frame();
        let mut left = bytes;
        for (number, &(index, piece)) in pieces.iter().enumerate() {
            let room = (piece.options & descriptor::RECEIVE_SIZE) as usize;
            let (now, later) = rest.split_at(rest.len().min(room));
            memory.write(Gpa(piece.buffer), now)?;
            // The check sequence stayed with the host's card; its place is cleared.
            let here = left.min(room);
            if here > now.len() {
                let behind = Gpa(piece.buffer.wrapping_add(now.len() as u64));
                memory.fill(behind, (here - now.len()) as u64, 0)?;
            }
            (rest, left) = (later, left - here);
            let first = if number == 0 { descriptor::FIRST } else { 0 };
            let last = if left == 0 { descriptor::LAST } else { 0 };
            let options = piece.options & descriptor::END | kind | first | last | bytes as u32;
            memory.store(ring.place(index).wrapping_add(4), &tag)?;
            memory.store(ring.place(index), &options)?;
            self.state.cplus.receive.next = Descriptors::after(index, piece.options);
            if left == 0 {
                break;
            }
        }
        Ok(Placed::Done)
    }
}

/// Puts a descriptor's tag into a frame.
fn tag(packet: &mut Packet, tag: u32) {
    if tag & descriptor::INSERT_TAG != 0 {
        offload::insert_tag(packet, tag as u16);
    }
}

/// The frame at the head of a ring; `None` while the driver has not laid out all of one.
fn lay(ring: Descriptors, memory: &GuestMemory) -> Result<Option<Laid>, Unmapped> {
    let mut laid = Laid {
        pieces: Vec::new(),
        bytes: 0,
    };
    let mut index = ring.next;
    loop {
        let piece = ring.load(index, memory)?;
        if piece.options & descriptor::OWN == 0 || laid.pieces.push((index, piece)).is_err() {
            return Ok(None);
        }
        laid.bytes += (piece.options & descriptor::TRANSMIT_SIZE) as usize;
        if piece.options & descriptor::LAST != 0 {
            return Ok(Some(laid));
        }
        index = Descriptors::after(index, piece.options);
    }
}
