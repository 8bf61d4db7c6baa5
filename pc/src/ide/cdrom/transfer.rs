//! How a packet command's data goes: through the buffer in data blocks, or to memory.

use super::bits::{BLOCK_BYTES, BLOCK_SECTORS};
use super::command::Answer;
use super::frame::Frame;
use super::mode::Form;
use super::packet::Packet;
use super::sense::Sense;
use super::{BUFFER_BYTES, Cdrom};
use crate::ide::bits::reason;
use crate::ide::interface::{DmaOutcome, Interface, Phase};
use guest_mem::GuestMemory;
use hvm::backend::{BlockError, Segment, Submitted, Transfer};
use serde::{Deserialize, Serialize};

/// Blocks still to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    /// The next one.
    pub(super) block: u32,
    pub(super) left: u32,
    pub(super) frame: Frame,
}

/// The command under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Work {
    None,
    /// The host owes the packet.
    Packet,
    /// What is in the buffer is the rest of the answer.
    Reply,
    Read {
        span: Span,
        /// Blocks that the back end is moving to memory.
        moving: u32,
    },
    Parameters(Form),
    /// The medium went away; once the host has taken the data block, it will hear of it.
    Failing(Sense),
}

/// How the data of a packet command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Carrier {
    /// In data blocks of at most so many bytes.
    Pio {
        limit: u16,
    },
    Dma,
}

impl Cdrom {
    pub(super) fn begin(&mut self, interface: &mut Interface) {
        let packet = Packet::from_slice(interface.buffer.contents());
        interface.buffer.clear();
        match self.execute(&packet) {
            Err(sense) => self.check_condition(interface, sense),
            Ok(Answer::Done) => self.finish(interface),
            Ok(Answer::Reply(reply, allocation)) => {
                self.work = Work::Reply;
                reply.copy_to(interface.buffer.load(reply.bytes().min(allocation)));
                self.go_on(interface);
            }
            Ok(Answer::Read(span)) => {
                self.work = Work::Read { span, moving: 0 };
                self.go_on(interface);
            }
            Ok(Answer::Parameters(form, bytes)) => {
                self.work = Work::Parameters(form);
                interface.buffer.load(bytes);
                self.take_parameters(interface);
            }
        }
    }

    /// Takes a command with data to the host on: the rest of the buffer, more of the medium, or the end.
    pub(super) fn go_on(&mut self, interface: &mut Interface) {
        match (self.carrier, self.work) {
            // Data, but no room for it (ATA/ATAPI-6, 8.24.4).
            (Carrier::Pio { limit: 0 }, _) if !interface.buffer.rest().is_empty() => {
                self.refuse(interface);
            }
            (Carrier::Pio { limit }, _) if !interface.buffer.rest().is_empty() => {
                let bytes = interface.offer(usize::from(limit));
                interface.task.set_byte_count(bytes as u16);
                interface.task.count.current = reason::IO;
            }
            (Carrier::Dma, _) if !interface.buffer.rest().is_empty() => {
                interface.phase = Phase::Dma;
            }
            (_, Work::Failing(sense)) => self.check_condition(interface, sense),
            (_, Work::Read { span, .. }) if span.left == 0 => self.finish(interface),
            (Carrier::Dma, Work::Read { span, .. }) if span.frame == Frame::USER => {
                interface.phase = Phase::Dma;
            }
            (_, Work::Read { .. }) => interface.phase = Phase::Medium,
            _ => self.finish(interface),
        }
    }

    /// Asks for the rest of the parameter list, or puts it into force.
    pub(super) fn take_parameters(&mut self, interface: &mut Interface) {
        let Work::Parameters(form) = self.work else {
            return self.finish(interface);
        };
        if interface.buffer.rest().is_empty() {
            return match self.pages.select(interface.buffer.contents(), form) {
                Ok(()) => self.finish(interface),
                Err(sense) => self.check_condition(interface, sense),
            };
        }
        match self.carrier {
            Carrier::Pio { limit: 0 } => self.refuse(interface),
            Carrier::Pio { limit } => {
                let bytes = interface.buffer.open(usize::from(limit));
                interface.task.set_byte_count(bytes as u16);
                interface.task.count.current = 0;
                interface.phase = Phase::Out;
                interface.interrupt = true;
            }
            Carrier::Dma => interface.phase = Phase::Dma,
        }
    }

    pub(super) fn finish(&mut self, interface: &mut Interface) {
        self.work = Work::None;
        interface.task.count.current = reason::CD | reason::IO;
        interface.complete();
    }

    pub(super) fn check_condition(&mut self, interface: &mut Interface, sense: Sense) {
        self.work = Work::None;
        self.sense = sense;
        interface.task.count.current = reason::CD | reason::IO;
        interface.fail(sense.error_register());
    }

    fn refuse(&mut self, interface: &mut Interface) {
        self.work = Work::None;
        interface.task.count.current = reason::CD | reason::IO;
        interface.abort();
    }

    /// How many blocks the next request reads, for a data block that is as full as may be.
    fn chunk(&self, span: Span) -> usize {
        let limit = match self.carrier {
            Carrier::Pio { limit } => usize::from(limit),
            Carrier::Dma => BUFFER_BYTES,
        };
        let most = BUFFER_BYTES / span.frame.bytes().max(BLOCK_BYTES);
        let wanted = limit / span.frame.bytes().max(1);
        wanted.clamp(1, most).min(span.left as usize)
    }

    /// Reads the next blocks into the buffer and cuts them to frames.
    pub(super) fn read_chunk(&mut self, interface: &mut Interface, span: Span) {
        let blocks = self.chunk(span);
        let medium = match self.bay.loaded() {
            Ok(medium) => medium,
            Err(sense) => return self.check_condition(interface, sense),
        };
        let data = interface
            .buffer
            .load(blocks * span.frame.bytes().max(BLOCK_BYTES));
        let first = data.len().saturating_sub(blocks * BLOCK_BYTES);
        let sector = u64::from(span.block) * BLOCK_SECTORS;
        match medium.read(sector, &mut data[first..], interface.flight.token()) {
            Submitted::Pending => {
                interface.buffer.clear();
                interface.flight.depart();
            }
            Submitted::Done(Err(_)) => self.check_condition(interface, Sense::UNRECOVERED_READ),
            Submitted::Done(Ok(())) => {
                if span.frame != Frame::USER {
                    span.frame.build(data, span.block, blocks);
                    interface.buffer.truncate(blocks * span.frame.bytes());
                }
                self.advance(span, blocks as u32);
                self.go_on(interface);
            }
        }
    }

    fn advance(&mut self, span: Span, blocks: u32) {
        let blocks = blocks.min(span.left);
        self.work = Work::Read {
            span: Span {
                block: span.block.saturating_add(blocks),
                left: span.left - blocks,
                ..span
            },
            moving: 0,
        };
    }

    /// What became of blocks that went to memory directly.
    pub(super) fn moved(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> DmaOutcome {
        let Work::Read { span, moving } = self.work else {
            return DmaOutcome::Moved(0);
        };
        match result {
            Ok(()) => {
                self.advance(span, moving);
                self.go_on(interface);
                DmaOutcome::Moved(u64::from(moving) * BLOCK_BYTES as u64)
            }
            Err(BlockError::BadMemory) => DmaOutcome::Fault,
            Err(_) => {
                self.check_condition(interface, Sense::UNRECOVERED_READ);
                DmaOutcome::Moved(0)
            }
        }
    }

    /// Moves blocks from the medium to memory, with no copy in between.
    pub(super) fn move_blocks(
        &mut self,
        interface: &mut Interface,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome {
        let Work::Read { span, moving } = &mut self.work else {
            return DmaOutcome::Moved(0);
        };
        *moving = ((bytes / BLOCK_BYTES as u64) as u32).min(span.left);
        let sector = u64::from(span.block) * BLOCK_SECTORS;
        let medium = match self.bay.loaded() {
            Ok(medium) => medium,
            Err(sense) => {
                self.check_condition(interface, sense);
                return DmaOutcome::Moved(0);
            }
        };
        let token = interface.flight.token();
        match medium.transfer(Transfer::Read, sector, segments, memory, token) {
            Submitted::Done(result) => self.moved(interface, result),
            Submitted::Pending => {
                interface.flight.depart();
                DmaOutcome::Pending
            }
        }
    }

    /// True while the next data goes from the medium to memory directly.
    pub(super) fn moves_blocks(&self, interface: &Interface) -> bool {
        matches!(self.work, Work::Read { span, .. } if span.left != 0)
            && interface.buffer.rest().is_empty()
    }
}
