//! The board as a whole: who answers where, and which wire goes to which pin.

mod chips;
mod ide;
mod interrupts;
mod memory;
mod traces;

use super::*;
use crate::floppy::Place;
use crate::fw_cfg::FwCfg;
use crate::pci::ShadowRam;
use crate::pci::tests::Card;
use crate::pflash::{Flash, Protection};
use crate::testing::{Hands, Peer, Sent, at};
use crate::vmmouse;
use alloc::boxed::Box;
use alloc::vec::Vec;
use guest_mem::{Attributes, GuestMemory};
use hvm::device::PowerEvent;
use hvm::input::{Action, Key, KeyEvent, Leds, PointerEvent, Position};
use hvm::{Gpa, Width};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

/// A board with time and signals at hand.
struct Machine {
    board: Board,
    now_ns: u64,
    sent: Sent,
    peer: Peer,
    hands: Hands,
}

impl Machine {
    fn new() -> Self {
        let peer = Peer::with_room(usize::MAX);
        let mut board = Board::new(BoardConfig {
            epoch_seconds: 1_795_368_600,
            com1: Some(peer.backend()),
            com2: None,
            ide: None,
        });
        let hands = Hands::default();
        board.connect_input(Box::new(hands.clone()));
        board.attach(3, Card::boxed()).unwrap();
        board.attach(4, Card::boxed()).unwrap();
        Self {
            board,
            now_ns: 0,
            sent: Sent::default(),
            peer,
            hands,
        }
    }

    fn with<R>(&mut self, body: impl FnOnce(&mut Board, &mut Context<'_>) -> R) -> R {
        let board = &mut self.board;
        at(self.now_ns, &mut self.sent, |context| body(board, context))
    }

    fn inb(&mut self, port: u16) -> u8 {
        self.with(|board, context| board.port_read(port, Width::Byte, context)) as u8
    }

    fn inl(&mut self, port: u16) -> u32 {
        self.with(|board, context| board.port_read(port, Width::Dword, context))
    }

    fn outb(&mut self, port: u16, value: u8) {
        self.with(|board, context| board.port_write(port, Width::Byte, u32::from(value), context));
    }

    fn outl(&mut self, port: u16, value: u32) {
        self.with(|board, context| board.port_write(port, Width::Dword, value, context));
    }

    fn poll(&mut self) {
        self.with(Board::poll);
    }

    /// Initializes the 8259s at 20h and 28h with the given masks.
    fn init_pics(&mut self, master_mask: u8, slave_mask: u8) {
        for (port, base, wiring, mask) in
            [(0x20, 0x20, 4, master_mask), (0xa0, 0x28, 2, slave_mask)]
        {
            self.outb(port, 0x11);
            for value in [base, wiring, 1, mask] {
                self.outb(port + 1, value);
            }
        }
    }

    /// Unmasks an I/O APIC pin to vector 40h + pin.
    fn unmask_pin(&mut self, pin: u32, flags: u64) {
        for (offset, value) in [
            (0, u64::from(0x10 + 2 * pin)),
            (0x10, flags | u64::from(0x40 + pin)),
        ] {
            assert!(self.with(|board, context| {
                board.mmio_write(Gpa(IOAPIC_BASE.0 + offset), Width::Dword, value, context)
            }));
        }
    }

    /// Places a card's ports and switches them on.
    fn place_card(&mut self, slot: u32, ports: u32) {
        for (register, value) in [(0x10, ports), (4, 3)] {
            self.outl(0xcf8, 0x8000_0000 | slot << 11 | register);
            self.outl(0xcfc, value);
        }
    }
}
