//! The control queue: whose frames the device lets in (virtio 1.2, 5.1.6.5.1 and 5.1.6.5.2). One command at a time, and its answer is
//! waited for: commands are rare, and devices answer at once.

use super::bits::control::*;
use super::bits::queue::*;
use super::ring::{self, Place, available_at, used_at};
use super::transport::Transport;
use crate::window::{Shared, Window};
use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

/// Which queue it is where there is one pair of others (5.1.2).
pub const QUEUE: u16 = 2;
/// Bytes of memory for the queue and a command.
pub const SHARED_BYTES: usize = COMMAND_AT + MOST_COMMAND_BYTES + 1;
const COMMAND_AT: usize = ring::SHARED_BYTES.next_multiple_of(64);
const ANSWER_AT: usize = COMMAND_AT + MOST_COMMAND_BYTES;
/// Stations in a table.
pub const MOST_STATIONS: usize = 32;
const HEADER_BYTES: usize = 2;
const MOST_COMMAND_BYTES: usize = HEADER_BYTES + 4 + 6 * MOST_STATIONS + 4;
/// How often an answer is looked for. A device that takes longer is left alone from then on.
const LOOKS: u32 = 1_000_000;

/// A command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The device says so.
    Answered,
    /// It says nothing.
    Silent,
}

/// Whether a mode is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// It is not.
    Off = 0,
    /// It is.
    On = 1,
}

/// The queue.
pub struct Control<W> {
    memory: Shared<W>,
    size: u16,
    /// Commands that were given.
    given: u16,
}

impl<W: Window> Control<W> {
    /// An empty queue of a power of two of descriptors, two at least and at most [`ring::MAX_SIZE`], in `memory` of [`SHARED_BYTES`].
    pub fn new(memory: Shared<W>, size: u16) -> Self {
        let mut queue = Self {
            memory,
            size,
            given: 0,
        };
        queue.clear();
        queue
    }

    /// As it was at first, of a device that was reset.
    pub fn clear(&mut self) {
        for at in (0..ring::SHARED_BYTES).step_by(2) {
            self.memory.window.write_u16(at, 0);
        }
        self.given = 0;
        let window = &mut self.memory.window;
        window.write_u16(available_at(self.size) + FLAGS, NO_INTERRUPT);
    }

    /// Where its parts are.
    pub fn place(&self) -> Place {
        ring::place(self.memory.dma, self.size)
    }

    /// Turns a receive mode on or off.
    pub fn set_mode(
        &mut self,
        transport: &mut impl Transport,
        mode: u8,
        state: State,
    ) -> Result<(), Refused> {
        self.command(transport, &[RX, mode, state as u8])
    }

    /// Lets in these stations beside the device's own, at most [`MOST_STATIONS`], and no groups by name.
    pub fn set_stations(
        &mut self,
        transport: &mut impl Transport,
        stations: &[[u8; 6]],
    ) -> Result<(), Refused> {
        let mut command = Vec::from([MAC, MAC_TABLE_SET]);
        command.extend((stations.len() as u32).to_le_bytes());
        command.extend(stations.iter().flatten());
        command.extend(0_u32.to_le_bytes());
        self.command(transport, &command)
    }

    fn command(&mut self, transport: &mut impl Transport, bytes: &[u8]) -> Result<(), Refused> {
        const NO_ANSWER: u8 = 0xff;
        if bytes.len() > MOST_COMMAND_BYTES {
            return Err(Refused::Answered);
        }
        let dma = self.memory.dma;
        let window = &mut self.memory.window;
        for (at, byte) in (COMMAND_AT..).zip(bytes) {
            window.write_u8(at, *byte);
        }
        window.write_u8(ANSWER_AT, NO_ANSWER);
        let descriptors = [
            (COMMAND_AT, bytes.len() as u32, NEXT, 1),
            (ANSWER_AT, 1, WRITE, 0),
        ];
        for (index, (at, length, flags, next)) in descriptors.into_iter().enumerate() {
            let place = index * DESCRIPTOR_BYTES;
            window.write_u64(place, dma + at as u64);
            window.write_u32(place + 8, length);
            window.write_u16(place + 12, flags);
            window.write_u16(place + 14, next);
        }
        let available = available_at(self.size);
        let entry = usize::from(self.given % self.size) * AVAILABLE_BYTES;
        window.write_u16(available + ENTRIES + entry, 0);
        self.given = self.given.wrapping_add(1);
        fence(Ordering::Release);
        window.write_u16(available + INDEX, self.given);
        fence(Ordering::SeqCst);
        transport.notify(QUEUE);
        let used = used_at(self.size) + INDEX;
        for _ in 0..LOOKS {
            if window.read_u16(used) == self.given {
                fence(Ordering::Acquire);
                return match window.read_u8(ANSWER_AT) {
                    OK => Ok(()),
                    _ => Err(Refused::Answered),
                };
            }
            core::hint::spin_loop();
        }
        Err(Refused::Silent)
    }
}
