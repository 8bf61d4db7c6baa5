//! Drivers in miniature, of both modes, and what hostile ones might do.

mod cplus;
mod plain;
mod traces;

use super::bits::{Interrupt, descriptor, receive, slot};
use super::{Revision, Rtl8139};
use crate::testing::Sent;
use alloc::boxed::Box;
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory};
use hvm::backend::Link;
use hvm::checksum;
use hvm::device::{Context, Lifecycle};
use hvm::packet::{Packet, Pool};
use hvm::pci::{Function, Window};
use hvm::pci_config::offset;
use hvm::testing::Cable;
use hvm::{Instant, Width};
use proptest::prelude::*;
use std::sync::OnceLock;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const RAM_BYTES: u64 = 0x10_0000;
/// Where the drivers have their rings and buffers.
const RING: u32 = 0x1_0000;
const BUFFERS: u32 = 0x4_0000;
const TRANSMIT_RING: u32 = 0x8000;
const RECEIVE_RING: u32 = 0x9000;

fn pool() -> &'static Pool {
    static POOL: OnceLock<&Pool> = OnceLock::new();
    POOL.get_or_init(|| Pool::ordinary(4096, 10_000))
}

pub(super) struct Machine {
    memory: GuestMemory,
    card: Rtl8139,
    sent: Sent,
    now_ns: u64,
    cable: Cable,
}

macro_rules! context {
    ($machine:expr) => {
        &mut Context {
            memory: &$machine.memory,
            now: Instant::from_ns($machine.now_ns),
            signals: &mut $machine.sent,
        }
    };
}

impl Machine {
    pub(super) fn new(revision: Revision) -> Self {
        let cable = Cable::new(pool());
        let mut machine = Self {
            memory: GuestMemory::anonymous(&[(Gpa(0), RAM_BYTES)]),
            card: Rtl8139::new(revision, Box::new(cable.clone()), MAC),
            sent: Sent::default(),
            now_ns: 0,
            cable,
        };
        machine.configure(offset::BAR0, Width::Dword, 0xc000);
        machine.configure(offset::BAR0 + 4, Width::Dword, 0xfeb0_0000);
        machine.configure(offset::COMMAND, Width::Word, 7);
        machine
    }

    fn configure(&mut self, offset: u8, width: Width, value: u32) {
        self.card.config_write(offset, width, value, context!(self));
    }

    pub(super) fn read(&mut self, offset: u64, width: Width) -> u64 {
        self.card.bar_read(1, offset, width, context!(self))
    }

    pub(super) fn write(&mut self, offset: u64, width: Width, value: u64) {
        self.card.bar_write(1, offset, width, value, context!(self));
    }

    fn poll(&mut self) {
        self.card.poll(context!(self));
    }

    fn arrive(&mut self, frame: &[u8]) {
        self.cable.put(frame);
        self.poll();
    }

    /// The frames that it has sent, whole.
    fn frames(&self) -> Vec<Vec<u8>> {
        let whole = |mut packet: Packet| {
            assert!(packet.finish_checksum());
            packet.frame().to_vec()
        };
        self.cable.packets().into_iter().map(whole).collect()
    }

    fn bytes(&self, at: u32, count: usize) -> Vec<u8> {
        let mut bytes = alloc::vec![0; count];
        self.memory.read(Gpa(u64::from(at)), &mut bytes).unwrap();
        bytes
    }

    fn dword(&self, at: u32) -> u32 {
        self.memory.load(Gpa(u64::from(at))).unwrap()
    }

    fn store(&self, at: u32, value: u32) {
        self.memory.store(Gpa(u64::from(at)), &value).unwrap();
    }

    /// Reads the interrupt status and acknowledges it.
    fn acknowledge(&mut self) -> Interrupt {
        let status = self.read(0x3e, Width::Word);
        self.write(0x3e, Width::Word, status);
        Interrupt::from_bits_truncate(status as u16)
    }

    /// Starts the C mode: a receive ring of 8 KiB, all interrupts.
    fn start(&mut self, receive_config: u64) {
        self.write(0x37, Width::Byte, 0x10);
        assert_eq!(self.read(0x37, Width::Byte) & 0x10, 0, "the reset is over");
        self.write(0x30, Width::Dword, u64::from(RING));
        self.write(0x44, Width::Dword, receive_config);
        self.write(0x37, Width::Byte, 0x0c);
        self.write(0x3c, Width::Word, 0xffff);
    }

    /// Starts the C+ mode, with two rings.
    fn start_cplus(&mut self) {
        self.write(0x37, Width::Byte, 0x10);
        self.write(0xe0, Width::Word, 0x63);
        self.write(0x20, Width::Dword, u64::from(TRANSMIT_RING));
        self.write(0x24, Width::Dword, 0);
        self.write(0xe4, Width::Dword, u64::from(RECEIVE_RING));
        self.write(0xe8, Width::Dword, 0);
        self.write(0x44, Width::Dword, 0x0a);
        self.write(0x37, Width::Byte, 0x0c);
        self.write(0x3c, Width::Word, 0xffff);
    }

    fn describe(&self, ring: u32, index: u32, options: u32, tag: u32, buffer: u32) {
        let at = ring + 16 * index;
        self.store(at + 4, tag);
        self.store(at + 8, buffer);
        self.store(at + 12, 0);
        self.store(at, options);
    }
}

fn frame(destination: [u8; 6], bytes: usize) -> Vec<u8> {
    let rest = (6..bytes).map(|at| at as u8);
    destination.into_iter().chain(rest).collect()
}

/// TCP over IPv4 with this payload, checksums left out.
fn tcp(payload: usize) -> Vec<u8> {
    let mut frame = frame([0xff; 6], 54 + payload);
    frame[12..15].copy_from_slice(&[8, 0, 0x45]);
    frame[16..18].copy_from_slice(&(40 + payload as u16).to_be_bytes());
    frame[23] = 6;
    frame[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    frame[46] = 5 << 4;
    frame
}

/// True if an untagged frame's checksums are right.
fn sums_up(frame: &[u8]) -> bool {
    let segment = &frame[34..];
    let pseudo = checksum::pseudo_header(&frame[26..34], 6, segment.len());
    checksum::of(&frame[14..34]) == 0 && checksum::sum(pseudo, segment) == 0xffff
}
