//! The RTL8139 in C mode (Realtek's RTL8139C(L) data sheet, chapter "Register Descriptions"), which the C+ has as well.

use super::{Call, FRAME_BYTES, Filter, Interrupts, Link, Mac, load};
use guest_mem::Gpa;
use hvm::Width;
use serde::{Deserialize, Serialize};

/// Device and vendor as configuration space has them.
pub const ID: u32 = 0x8139_10ec;

const ADDRESS: u16 = 0x00;
const GROUPS: u16 = 0x08;
const TRANSMIT_STATUS: u16 = 0x10;
const TRANSMIT_ADDRESS: u16 = 0x20;
const RECEIVE_START: u16 = 0x30;
const COMMAND: u16 = 0x37;
const RECEIVE_POINTER: u16 = 0x38;
const INTERRUPT_MASK: u16 = 0x3c;
const INTERRUPT_STATUS: u16 = 0x3e;
const RECEIVE_CONFIG: u16 = 0x44;
const MEDIA: u16 = 0x58;

const RESET: u8 = 0x10;
const RECEIVER_AND_TRANSMITTER: u8 = 0x0c;
const BUFFER_EMPTY: u8 = 1;
/// Frames run past the end of the ring; the ring has 8 KiB.
const NO_WRAP: u32 = 0x80;
const ALL_STATIONS: u32 = 1;
const OWN: u32 = 2;
const GROUP: u32 = 4;
const BROADCAST: u32 = 8;
/// Received, sent, not sent, ring full.
const CAUSES: u32 = 0x1d;
const LINK_DOWN: u32 = 4;
const SLOT_IS_FREE: u32 = 1 << 13;
const RECEIVED_WELL: u16 = 1;

const RING_BYTES: u16 = 0x2000;
const CRC_BYTES: u16 = 4;
const HEADER_BYTES: u16 = 4;
const POINTER_BIAS: u16 = 16;
const SHORTEST: usize = 60;
/// Where the four transmit buffers are, behind the ring and what runs past its end.
const TRANSMIT_BUFFERS: u64 = 0x4000;
const TRANSMIT_BUFFER_BYTES: u64 = 0x800;
const SLOTS: u8 = 4;

/// The driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rtl8139 {
    ports: u16,
    /// Where the rings are, below 4 GiB.
    rings: u32,
    /// The next slot to send from.
    slot: u8,
    /// Where the next frame is in the ring.
    next: u16,
}

impl Rtl8139 {
    pub const fn new(ports: u16, rings: Gpa) -> Self {
        Self {
            ports,
            rings: rings.0 as u32,
            slot: 0,
            next: 0,
        }
    }

    fn port(&self, register: u16) -> u16 {
        self.ports.wrapping_add(register)
    }

    fn read(&self, call: &mut Call<'_>, register: u16, width: Width) -> u32 {
        call.machine.port_in(self.port(register), width)
    }

    fn write(&self, call: &mut Call<'_>, register: u16, width: Width, value: u32) {
        call.machine.port_out(self.port(register), width, value);
    }

    pub fn open(&mut self, call: &mut Call<'_>) -> bool {
        self.close(call);
        self.write(call, RECEIVE_START, Width::Dword, self.rings);
        call.outb(self.port(COMMAND), RECEIVER_AND_TRANSMITTER);
        for groups in [GROUPS, GROUPS + 4] {
            self.write(call, groups, Width::Dword, u32::MAX);
        }
        self.set_filter(call, Filter::DIRECTED | Filter::BROADCAST);
        self.read(call, COMMAND, Width::Byte) as u8 & RECEIVER_AND_TRANSMITTER
            == RECEIVER_AND_TRANSMITTER
    }

    pub fn close(&mut self, call: &mut Call<'_>) {
        call.outb(self.port(COMMAND), RESET);
        self.slot = 0;
        self.next = 0;
    }

    pub fn address(&self, call: &mut Call<'_>) -> Mac {
        core::array::from_fn(|index| call.inb(self.port(ADDRESS + index as u16)))
    }

    pub fn link(&self, call: &mut Call<'_>) -> Link {
        match self.read(call, MEDIA, Width::Byte) & LINK_DOWN {
            0 => Link::Up,
            _ => Link::Down,
        }
    }

    pub fn send(&mut self, call: &mut Call<'_>, frame: &[u8]) -> bool {
        let slot = u16::from(self.slot % SLOTS);
        let status = TRANSMIT_STATUS + 4 * slot;
        if self.read(call, status, Width::Dword) & SLOT_IS_FREE == 0 {
            return false;
        }
        let buffer =
            u64::from(self.rings) + TRANSMIT_BUFFERS + u64::from(slot) * TRANSMIT_BUFFER_BYTES;
        call.write_physical(Gpa(buffer), frame);
        let padding = SHORTEST.saturating_sub(frame.len());
        call.write_physical(Gpa(buffer + frame.len() as u64), &[0; SHORTEST][..padding]);
        let bytes = frame.len() + padding;
        self.write(
            call,
            TRANSMIT_ADDRESS + 4 * slot,
            Width::Dword,
            buffer as u32,
        );
        self.write(call, status, Width::Dword, bytes as u32);
        self.slot = (self.slot + 1) % SLOTS;
        true
    }

    pub fn receive(&mut self, call: &mut Call<'_>, into: &mut [u8; FRAME_BYTES]) -> Option<usize> {
        if self.read(call, COMMAND, Width::Byte) as u8 & BUFFER_EMPTY != 0 {
            return None;
        }
        let at = u64::from(self.rings) + u64::from(self.next % RING_BYTES);
        let [status, bytes]: [u16; 2] = load(call, Gpa(at));
        let length = usize::from(bytes.wrapping_sub(CRC_BYTES));
        if status & RECEIVED_WELL == 0 || !(14..=FRAME_BYTES).contains(&length) {
            // The ring is not what the card wrote: somebody else's now, or spoilt.
            self.open(call);
            return None;
        }
        call.read_physical(Gpa(at + u64::from(HEADER_BYTES)), &mut into[..length]);
        self.next = (self.next + HEADER_BYTES + bytes).next_multiple_of(4) % RING_BYTES;
        let pointer = self.next.wrapping_sub(POINTER_BIAS);
        self.write(call, RECEIVE_POINTER, Width::Word, pointer.into());
        Some(length)
    }

    pub fn set_interrupts(&mut self, call: &mut Call<'_>, interrupts: Interrupts) {
        let mask = match interrupts {
            Interrupts::Open => CAUSES,
            Interrupts::Masked => 0,
        };
        self.write(call, INTERRUPT_MASK, Width::Word, mask);
    }

    pub fn take_interrupt(&mut self, call: &mut Call<'_>) -> bool {
        let mask = self.read(call, INTERRUPT_MASK, Width::Word);
        let status = self.read(call, INTERRUPT_STATUS, Width::Word);
        if status & mask == 0 {
            return false;
        }
        self.set_interrupts(call, Interrupts::Masked);
        self.write(call, INTERRUPT_STATUS, Width::Word, status);
        true
    }

    pub fn set_filter(&mut self, call: &mut Call<'_>, filter: Filter) {
        let bits = [
            (Filter::DIRECTED, OWN),
            (Filter::BROADCAST, BROADCAST),
            (Filter::PROMISCUOUS, ALL_STATIONS | OWN | GROUP | BROADCAST),
            (Filter::MULTICAST, GROUP),
        ];
        let config = bits
            .into_iter()
            .filter(|(wanted, _)| filter.contains(*wanted))
            .fold(NO_WRAP, |config, (_, bits)| config | bits);
        self.write(call, RECEIVE_CONFIG, Width::Dword, config);
    }
}
