//! The board as a whole: who answers where, and which wire goes to which pin.

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

#[test]
fn the_timer_reaches_both_controllers() {
    let mut machine = Machine::new();
    machine.init_pics(0xff, 0xff);
    machine.outb(0x43, 0x34);
    machine.outb(0x40, 0xa9);
    machine.outb(0x40, 0x04);
    assert_eq!(
        machine.board.deadline(),
        None,
        "masked everywhere: nobody is woken"
    );
    machine.now_ns = SECOND;
    machine.outb(0x21, 0xfe);
    assert!(
        machine.board.pic_interrupt(),
        "requests are latched while masked"
    );
    assert_eq!(machine.board.pic_acknowledge(), 0x20);
    machine.outb(0x20, 0x20);
    assert!(!machine.board.pic_interrupt());
    machine.now_ns = machine.board.deadline().unwrap().ns;
    assert!(machine.now_ns < SECOND + 1_100_000);
    machine.poll();
    assert!(machine.board.pic_interrupt());
    machine.unmask_pin(2, 0);
    machine.sent.messages.clear();
    machine.outb(0x21, 0xff);
    machine.now_ns = machine.board.deadline().unwrap().ns;
    machine.poll();
    assert_eq!(machine.sent.take_vectors(), [0x42]);
}

#[test]
fn an_idle_board_asks_for_nothing() {
    let mut machine = Machine::new();
    assert_eq!(machine.board.deadline(), None);
    machine.init_pics(0, 0);
    assert_eq!(machine.board.deadline(), None);
}

#[test]
fn the_clock_interrupts_through_the_slave() {
    let mut machine = Machine::new();
    machine.init_pics(0xfb, 0xfe);
    machine.outb(0x70, 0x0b);
    machine.outb(0x71, 0x12);
    assert_eq!(machine.board.deadline(), Some(Instant::from_ns(SECOND / 2)));
    machine.now_ns = SECOND / 2;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x28);
    machine.outb(0x70, 0x8c);
    assert!(machine.board.nmi_masked());
    assert_eq!(machine.inb(0x71) & 0x90, 0x90);
    assert_eq!(machine.inb(0x70), 0xff);
}

#[test]
fn serial_bytes_and_their_interrupt() {
    let mut machine = Machine::new();
    machine.init_pics(0xef, 0xff);
    machine.outb(0x3f8, b'!');
    assert_eq!(machine.peer.received(), b"!");
    machine.outb(0x3fc, 8);
    machine.outb(0x3f9, 1);
    machine.peer.send(b"k");
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x24);
    assert_eq!(machine.inb(0x3f8), b'k');
    assert_eq!(machine.inb(0x2fd), 0xff, "no second port");
}

#[test]
fn typed_keys_interrupt_byte_by_byte() {
    let mut machine = Machine::new();
    machine.init_pics(0xfd, 0xff);
    for action in [Action::Press, Action::Release] {
        let key = Key::Enter;
        machine
            .hands
            .with(|input| input.keys.push_back(KeyEvent { key, action }));
    }
    machine.poll();
    for code in [0x1c, 0x9c] {
        assert_eq!(machine.board.pic_acknowledge(), 0x21);
        assert_eq!(machine.inb(0x60), code);
        machine.outb(0x20, 0x20);
        assert!(!machine.board.pic_interrupt());
        if let Some(deadline) = machine.board.deadline() {
            machine.now_ns = deadline.ns;
            machine.poll();
        }
    }
    assert!(!machine.board.pic_interrupt());
    assert_eq!(machine.board.deadline(), None);
    machine.outb(0x60, 0xed);
    machine.outb(0x60, 4);
    assert_eq!(machine.hands.with(|input| input.leds), Leds::CAPS);
}

#[test]
fn an_absolute_pointer_is_announced_by_the_mouse() {
    let mut machine = Machine::new();
    machine.init_pics(0xfb, 0xef);
    machine.outb(0x64, 0xd4);
    machine.outb(0x60, 0xf4);
    assert_eq!(machine.inb(0x60), 0xfa);
    machine.outb(0x64, 0x60);
    machine.outb(0x60, 0x02);
    let ask = |board: &mut Board, ecx, ebx| {
        board.vmware_request(vmmouse::Registers {
            eax: 0x564d_5868,
            ebx,
            ecx,
            edx: vmmouse::PORT.into(),
        })
    };
    assert!(ask(&mut machine.board, 41, 0x5342_4152).is_some());
    let corner = Position {
        x: 639,
        y: 479,
        width: 640,
        height: 480,
    };
    machine
        .hands
        .with(|input| input.pointer.push_back(PointerEvent::Position(corner)));
    machine.now_ns = SECOND;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x2c);
    let packet = ask(&mut machine.board, 39, 4).unwrap();
    assert_eq!((packet.ebx, packet.ecx), (0xffff, 0xffff));
}

#[test]
fn the_hpet_replaces_the_timer() {
    let mut machine = Machine::new();
    machine.init_pics(0xfe, 0xff);
    // The PIT at 100 Hz.
    machine.outb(0x43, 0x34);
    machine.outb(0x40, 0x9c);
    machine.outb(0x40, 0x2e);
    let store = |machine: &mut Machine, offset, value| {
        assert!(machine.with(|board, context| {
            let gpa = Gpa(HPET_BASE.0 + offset);
            board.mmio_write(gpa, Width::Qword, value, context)
        }));
    };
    // Timer 0: periodic, 1 ms.
    store(&mut machine, 0x100, 1 << 6 | 1 << 3 | 1 << 2);
    store(&mut machine, 0x108, 100_000);
    store(&mut machine, 0x108, 100_000);
    store(&mut machine, 0x10, 3);
    machine.outb(0x20, 0x20);
    for ms in 1..=3 {
        let deadline = machine.board.deadline().unwrap();
        assert_eq!(deadline, Instant::from_ns(ms * 1_000_000));
        machine.now_ns = deadline.ns;
        machine.poll();
        assert_eq!(machine.board.pic_acknowledge(), 0x20);
        machine.outb(0x20, 0x20);
        assert!(!machine.board.pic_interrupt());
    }
    // Off again: the PIT goes on.
    store(&mut machine, 0x10, 0);
    machine.now_ns = machine.board.deadline().unwrap().ns;
    machine.poll();
    assert_eq!(machine.board.pic_acknowledge(), 0x20);
    // Timer 2 on the I/O APIC.
    machine.unmask_pin(21, 0);
    store(&mut machine, 0x140, 21 << 9 | 1 << 2);
    store(&mut machine, 0x148, 1_000_000_000);
    store(&mut machine, 0xf0, 999_000_000);
    store(&mut machine, 0x10, 1);
    machine.outb(0x21, 0xff);
    machine.sent.messages.clear();
    let deadline = machine.board.deadline().unwrap();
    machine.now_ns = deadline.ns;
    machine.poll();
    assert_eq!(machine.sent.take_vectors(), [0x55]);
    assert_ne!(machine.board.deadline(), Some(deadline));
}

#[test]
fn a_floppy_drive_interrupts() {
    let mut machine = Machine::new();
    machine.init_pics(0xbf, 0xff);
    machine.board.add_floppy_drive(Place::A);
    machine.outb(0x70, 0x10);
    assert_eq!(machine.inb(0x71), 0x40);
    machine.outb(0x3f2, 0);
    machine.outb(0x3f2, 0x0c);
    assert_eq!(machine.board.pic_acknowledge(), 0x26);
    machine.outb(0x20, 0x20);
    machine.outb(0x3f5, 8);
    assert_eq!(machine.inb(0x3f5), 0xc0);
    machine.outb(0x3f4, 0x80);
    assert_eq!(machine.board.pic_acknowledge(), 0x26, "an edge again");
    assert_eq!(machine.inb(0x3f0), 0xff);
    machine.outb(0x81, 0x12);
    assert_eq!(machine.inb(0x81), 0x12);
}

#[test]
fn uefi_firmware_turns_the_machine_off_at_the_base_that_it_takes_for_granted() {
    let mut machine = Machine::new();
    assert_eq!(
        machine.inl(0xb008),
        u32::MAX,
        "nobody without such firmware"
    );
    machine.board.attach_fw_cfg(FwCfg::new(Vec::new()).unwrap());
    machine.now_ns = SECOND;
    assert_eq!(machine.inl(0xb008), machine.inl(0x608));
    machine.outl(0xb004, 0x2000);
    assert_eq!(machine.sent.power, [PowerEvent::PowerOff]);
}

#[test]
fn firmware_finds_its_items_and_its_flash() {
    let mut machine = Machine::new();
    assert_eq!(machine.inl(0x514), u32::MAX, "no device");
    machine.board.attach_fw_cfg(FwCfg::new(Vec::new()).unwrap());
    machine.with(|board, context| board.port_write(0x510, Width::Word, 1, context));
    assert_eq!([machine.inb(0x511), machine.inb(0x511)], [3, 0]);
    assert_eq!(machine.inl(0x514).to_le_bytes(), *b"QEMU");
    machine.outl(0x514, 0);
    machine.outl(0x518, 0x100_u32.to_be());
    let base = Gpa(0xffc8_4000);
    let flash = Flash::new(alloc::vec![0xff; 0x1000], Protection::Writable).unwrap();
    machine.board.attach_flash(base, flash);
    for value in [0x40, 0x12] {
        assert!(machine.with(|board, context| {
            board.mmio_write(Gpa(base.0 + 5), Width::Byte, value, context)
        }));
    }
    let (at, flash) = machine.board.flash().next().unwrap();
    assert_eq!((at, flash.contents()[5]), (base, 0x12));
    let saved = machine.board.save();
    machine.board.reset();
    assert_eq!(
        machine.with(|board, context| board.mmio_read(Gpa(base.0 + 4), Width::Word, context)),
        Some(0x12ff)
    );
    machine.board.restore(&saved).unwrap();
    assert_eq!(machine.board.save(), saved);
}

/// Works on the machine with other memory than usual.
fn with_areas<R>(
    machine: &mut Machine,
    memory: &GuestMemory,
    body: impl FnOnce(&mut Board, &mut Context<'_>) -> R,
) -> R {
    let mut context = Context {
        memory,
        now: Instant::from_ns(machine.now_ns),
        signals: &mut machine.sent,
    };
    body(&mut machine.board, &mut context)
}

#[test]
fn shadow_ram_follows_the_host_bridge() {
    let mut machine = Machine::new();
    let segments: Vec<_> = crate::pci::shadow_segments().collect();
    assert_eq!(segments.len(), 13);
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]).with_anonymous_areas(&segments);
    for &(gpa, _) in &segments {
        memory.program(gpa, b"ROM").unwrap();
    }
    let attributes = |gpa: u64| {
        let areas = memory.areas().iter();
        let mut found = areas.filter(|area| area.gpa == Gpa(gpa));
        found.next().unwrap().attributes()
    };
    machine.board.set_shadow_ram(ShadowRam::Closed);
    machine.board.refresh_memory(&memory);
    assert!(
        segments
            .iter()
            .all(|&(gpa, _)| attributes(gpa.0) == Attributes::ROM)
    );
    // PAM 0 for the F segment: reads from ROM, writes to RAM; PAM 1: C0000h protected, C4000h open.
    with_areas(&mut machine, &memory, |board, context| {
        board.port_write(0xcf8, Width::Dword, 0x8000_0058, context);
        board.port_write(0xcfd, Width::Word, 0x3120, context);
    });
    memory.write(Gpa(0xf_fff0), b"copy").unwrap();
    memory.write(Gpa(0xf_0000), b"RAM").unwrap();
    assert_eq!(memory.load(Gpa(0xf_0000)), Ok(*b"ROM"));
    assert_eq!(attributes(0xc_0000), Attributes::PROTECTED_RAM);
    assert_eq!(attributes(0xc_4000), Attributes::RAM);
    assert_eq!(attributes(0xc_8000), Attributes::ROM);
    let saved = machine.board.save();
    machine.board.reset();
    machine.board.refresh_memory(&memory);
    assert_eq!(attributes(0xc_4000), Attributes::ROM);
    machine.board.restore(&saved).unwrap();
    machine.board.refresh_memory(&memory);
    assert_eq!(attributes(0xc_4000), Attributes::RAM);
    with_areas(&mut machine, &memory, |board, context| {
        board.port_write(0xcf8, Width::Dword, 0x8000_0058, context);
        board.port_write(0xcfd, Width::Byte, 0x10, context);
    });
    assert_eq!(memory.load(Gpa(0xf_0000)), Ok(*b"RAM"));
    assert_eq!(memory.load(Gpa(0xf_fff0)), Ok(*b"copy"));
}

#[test]
fn flash_shows_in_memory_while_it_shows_its_contents() {
    const BASE: Gpa = Gpa(0xffc0_0000);
    let mut machine = Machine::new();
    let memory =
        GuestMemory::anonymous(&[(Gpa(0), 0x1000)]).with_anonymous_areas(&[(BASE, 0x2000)]);
    let flash = Flash::new(alloc::vec![0xff; 0x2000], Protection::Writable).unwrap();
    machine.board.attach_flash(BASE, flash);
    machine.board.refresh_memory(&memory);
    let at = Gpa(BASE.0 + 0x1003);
    let mut write = |value| {
        assert!(memory.store(at, &0_u8).is_err(), "writes are the chip's");
        with_areas(&mut machine, &memory, |board, context| {
            assert!(board.mmio_write(at, Width::Byte, value, context));
        });
        memory.load::<u8>(at).ok()
    };
    assert_eq!(write(0x50), Some(0xff));
    assert_eq!(write(0x40), None, "status");
    assert_eq!(write(0x12), None);
    assert_eq!(write(0xff), Some(0x12));
}

#[test]
fn both_a20_gates_agree() {
    let mut machine = Machine::new();
    assert_eq!(machine.board.a20(), A20::Open);
    machine.outb(0x92, 0);
    assert_eq!(machine.board.a20(), A20::Masked);
    machine.outb(0x64, 0xd0);
    assert_eq!(machine.inb(0x60) & 2, 0);
    machine.outb(0x64, 0xdf);
    assert_eq!(machine.inb(0x92), 2);
    machine.board.set_a20(A20::Masked);
    assert_eq!(machine.inb(0x92), 0);
    machine.board.reset();
    assert_eq!(machine.board.a20(), A20::Open);
}

#[test]
fn cards_share_a_level() {
    let mut machine = Machine::new();
    // Slot 3 is on PIRQ C, slot 4 on PIRQ D: both IRQ 11.
    machine.place_card(3, 0xc000);
    machine.place_card(4, 0xc100);
    machine.init_pics(0xfb, 0xf7);
    machine.unmask_pin(11, 1 << 15);
    machine.outb(0xc000, 1);
    machine.outb(0xc100, 1);
    assert_eq!(machine.sent.take_vectors(), [0x4b]);
    assert_eq!(machine.board.pic_acknowledge(), 0x2b);
    machine.outb(0xc000, 0);
    machine.with(|board, context| board.end_of_interrupt(0x4b, context));
    assert_eq!(
        machine.sent.take_vectors(),
        [0x4b],
        "the other card still asserts"
    );
    machine.outb(0xc100, 0);
    machine.with(|board, context| board.end_of_interrupt(0x4b, context));
    assert!(machine.sent.take_vectors().is_empty());
}

#[test]
fn rerouting_moves_an_asserted_line() {
    let mut machine = Machine::new();
    machine.place_card(3, 0xc000);
    machine.init_pics(0, 0);
    machine.outb(0x4d0, 0x20);
    machine.outb(0xc000, 1);
    assert_eq!(machine.board.pic_acknowledge(), 0x2b);
    machine.outb(0xa0, 0x20);
    machine.outb(0x20, 0x20);
    machine.outl(0xcf8, 0x8000_0860);
    machine.outb(0xcfe, 5);
    assert_eq!(machine.board.pic_acknowledge(), 0x25);
    machine.outb(0xcfe, 0x85);
    machine.outb(0x20, 0x20);
    assert!(!machine.board.pic_interrupt());
}

#[test]
fn memory_of_cards_and_of_nobody() {
    let mut machine = Machine::new();
    machine.outl(0xcf8, 0x8000_1814);
    machine.outl(0xcfc, 0xe000_0000);
    machine.outl(0xcf8, 0x8000_1804);
    machine.outl(0xcfc, 2);
    let mut read =
        |gpa| machine.with(|board, context| board.mmio_read(Gpa(gpa), Width::Dword, context));
    assert_eq!(read(0xe000_0008), Some(8));
    assert_eq!(read(0xe000_1000), None);
    assert_eq!(read(0xfec0_0000), Some(0));
    assert_eq!(read(u64::MAX), None);
    assert!(!machine.with(|board, context| board.mmio_write(Gpa(0), Width::Byte, 0, context)));
}

#[test]
fn power_and_reset_ports() {
    let mut machine = Machine::new();
    machine.outb(0x64, 0xff);
    machine.outb(0x92, 2);
    machine.outb(0xcf9, 2);
    assert!(machine.sent.power.is_empty());
    machine.outb(0x64, 0xfe);
    machine.outb(0x92, 3);
    machine.outb(0xcf9, 6);
    assert_eq!(machine.sent.power, [PowerEvent::Reset; 3]);
    assert_eq!(
        (machine.inb(0x92), machine.inb(0xcf9), machine.inb(0x64)),
        (3, 6, 0x1c)
    );
    machine.sent.power.clear();
    machine.with(|board, context| board.port_write(0x604, Width::Word, 0x2000, context));
    assert_eq!(machine.sent.power, [PowerEvent::PowerOff]);
}

#[test]
fn the_power_button_raises_sci() {
    let mut machine = Machine::new();
    machine.unmask_pin(9, 1 << 15);
    machine.with(|board, context| board.port_write(0x602, Width::Word, 0x100, context));
    machine.with(Board::power_button);
    assert_eq!(machine.sent.take_vectors(), [0x49]);
    machine.with(|board, context| board.port_write(0x600, Width::Word, 0x100, context));
    machine.with(|board, context| board.end_of_interrupt(0x49, context));
    assert!(machine.sent.take_vectors().is_empty());
}

#[test]
fn wide_accesses_to_byte_chips_are_split() {
    let mut machine = Machine::new();
    machine.with(|board, context| board.port_write(0x4d0, Width::Word, 0x0ca0, context));
    assert_eq!(
        machine.with(|board, context| board.port_read(0x4d0, Width::Word, context)),
        0x0ca0
    );
    assert_eq!(machine.inl(0x1234), u32::MAX);
    assert_eq!(
        machine.with(|board, context| board.port_read(0xffff, Width::Word, context)),
        0xffff
    );
}

#[test]
fn reset_brings_firmwares_set_up_back() {
    let mut machine = Machine::new();
    machine.init_pics(0, 0);
    machine.place_card(3, 0xc000);
    machine.outb(0xc000, 1);
    machine.outb(0x4d1, 0);
    machine.board.reset();
    assert!(!machine.board.pic_interrupt());
    assert_eq!(machine.inb(0x4d1), 0x0e);
    assert_eq!(machine.inb(0xc000), 0xff, "BARs are gone");
    machine.init_pics(0, 0);
    machine.poll();
    assert!(!machine.board.pic_interrupt());
}

#[test]
fn a_foreign_state_changes_nothing() {
    let mut machine = Machine::new();
    machine.init_pics(0xfe, 0xff);
    let good = machine.board.save();
    let mut fresh = Machine::new().board;
    let before = fresh.save();
    for index in 0..good.len() {
        let mut bad = good.clone();
        bad[index].state.push(1);
        assert!(fresh.restore(&bad).is_err());
        let mut bad = good.clone();
        bad[index].kind.push('x');
        assert!(fresh.restore(&bad).is_err());
        assert!(fresh.restore(&good[..index]).is_err());
        assert_eq!(fresh.save(), before);
    }
    fresh.restore(&good).unwrap();
    assert_eq!(fresh.save(), good);
}

#[derive(Clone, Debug)]
enum Operation {
    In(u16, usize),
    Out(u16, usize, u32),
    Load(u64, usize),
    Store(u64, usize, u64),
    Poll,
    Acknowledge,
    End(u8),
}

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

fn operation() -> impl Strategy<Value = (u64, Operation)> {
    let port = prop_oneof![
        prop::sample::select(
            [
                0x20_u16, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x70, 0x71, 0x3f8, 0x3f9, 0x3fa,
                0x3fc, 0x60, 0x64, 0x92, 0x3f2, 0x3f4, 0x3f5, 0x3f5, 0x3f7, 5, 0xb, 0xd6, 0x81,
                0x4d0, 0x4d1, 0x600, 0x602, 0x604, 0x608, 0xcf8, 0xcfc, 0xcfd, 0xcfe, 0xc000,
                0xc100, 0xafe0,
            ]
            .as_slice()
        ),
        any::<u16>(),
    ];
    let value = prop_oneof![
        any::<u32>(),
        0_u32..0x40,
        (0_u32..5, 0_u32..0x40).prop_map(|(slot, dword)| 0x8000_0000 | slot << 11 | dword << 2),
    ];
    let gpa = prop_oneof![
        Just(IOAPIC_BASE.0),
        Just(IOAPIC_BASE.0 + 0x10),
        (0_u64..0x2f).prop_map(|register| HPET_BASE.0 + 8 * register),
        any::<u64>()
    ];
    let operation = prop_oneof![
        (port.clone(), 0_usize..3).prop_map(|(port, width)| Operation::In(port, width)),
        (port, 0_usize..3, value)
            .prop_map(|(port, width, value)| Operation::Out(port, width, value)),
        (gpa.clone(), 0_usize..4).prop_map(|(gpa, width)| Operation::Load(gpa, width)),
        (gpa, 0_usize..4, any::<u64>())
            .prop_map(|(gpa, width, value)| Operation::Store(gpa, width, value)),
        Just(Operation::Poll),
        Just(Operation::Acknowledge),
        any::<u8>().prop_map(Operation::End),
    ];
    let wait = prop_oneof![0_u64..2_000_000, 0_u64..3 * SECOND];
    (wait, operation)
}

/// All that a step can show.
type Shown = (u64, bool, Option<Instant>, Sent);

fn step(machine: &mut Machine, (wait, operation): &(u64, Operation)) -> Shown {
    machine.now_ns += wait;
    let value = match *operation {
        Operation::In(port, width) => {
            u64::from(machine.with(|board, context| board.port_read(port, WIDTHS[width], context)))
        }
        Operation::Out(port, width, value) => {
            machine.with(|board, context| board.port_write(port, WIDTHS[width], value, context));
            0
        }
        Operation::Load(gpa, width) => machine
            .with(|board, context| board.mmio_read(Gpa(gpa), WIDTHS[width], context))
            .unwrap_or(0),
        Operation::Store(gpa, width, value) => u64::from(
            machine
                .with(|board, context| board.mmio_write(Gpa(gpa), WIDTHS[width], value, context)),
        ),
        Operation::Poll => {
            machine.poll();
            0
        }
        Operation::Acknowledge => u64::from(machine.board.pic_acknowledge()),
        Operation::End(vector) => {
            machine.with(|board, context| board.end_of_interrupt(vector, context));
            0
        }
    };
    let sent = core::mem::take(&mut machine.sent);
    (
        value,
        machine.board.pic_interrupt(),
        machine.board.deadline(),
        sent,
    )
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_a_saved_board_goes_on_alike(
        operations in prop::collection::vec(operation(), 0..200),
        cut in 0_usize..200,
    ) {
        let cut = cut.min(operations.len());
        let mut machine = Machine::new();
        for operation in &operations[..cut] {
            step(&mut machine, operation);
        }
        let mut twin = Machine::new();
        twin.board.pause();
        twin.board.restore(&machine.board.save()).unwrap();
        twin.board.resume();
        twin.now_ns = machine.now_ns;
        for operation in &operations[cut..] {
            prop_assert_eq!(step(&mut twin, operation), step(&mut machine, operation));
        }
        let saved: Vec<SavedPart> = machine.board.save();
        prop_assert_eq!(twin.board.save(), saved);
    }
}

mod ide {
    //! The IDE function on the board: its ports, its place on the bus and its interrupts.

    use super::*;
    use crate::ide::Drive;
    use crate::ide::tests::medium::{Medium, pattern};

    fn with_drives() -> Machine {
        let mut machine = Machine::new();
        let disk = Medium::new(64 * 512);
        let disc = Medium::read_only(64 * 512);
        machine.board = Board::new(BoardConfig {
            epoch_seconds: 0,
            com1: None,
            com2: None,
            ide: Some([
                Some(Drive::disk(disk.boxed(), "")),
                None,
                Some(Drive::cdrom(Some(disc.boxed()), "")),
                None,
            ]),
        });
        machine
    }

    #[test]
    fn ide_without_drives_is_not_busy() {
        let mut machine = Machine::new();
        machine.board = Board::new(BoardConfig {
            epoch_seconds: 0,
            com1: None,
            com2: None,
            ide: Some([const { None }; 4]),
        });
        machine.outl(0xcf8, 0x8000_0900);
        assert_eq!(machine.inl(0xcfc), 0x7010_8086);
        // Firmware that waits for drives waits for BSY to clear.
        for status in [0x1f7, 0x3f6, 0x177, 0x376] {
            assert_eq!(machine.inb(status), 0, "{status:x}");
        }
    }

    /// Commands the first drive of the channel at `base` to read a sector.
    fn read_sector(machine: &mut Machine, base: u16, sector: u8) {
        for (register, value) in [(6, 0xe0), (2, 1), (3, sector), (4, 0), (5, 0), (7, 0x20)] {
            machine.outb(base + register, value);
        }
    }

    #[test]
    fn a_board_without_ide_answers_nothing_there() {
        let mut machine = Machine::new();
        assert_eq!((machine.inb(0x1f7), machine.inb(0x3f6)), (0xff, 0xff));
        machine.outl(0xcf8, 0x8000_0900);
        assert_eq!(machine.inl(0xcfc), u32::MAX);
        assert!(machine.board.ide_mut().is_none());
    }

    #[test]
    fn programmed_io_and_irq_14() {
        let mut machine = with_drives();
        machine.init_pics(0xfb, 0xbf);
        machine.outl(0xcf8, 0x8000_0900);
        assert_eq!(machine.inl(0xcfc), 0x7010_8086);
        assert_eq!((machine.inb(0x1f7), machine.inb(0x3f6)), (0x50, 0x50));
        assert_eq!((machine.inb(0x174), machine.inb(0x175)), (0x14, 0xeb));
        assert_eq!(machine.inb(0x376), 0);
        read_sector(&mut machine, 0x1f0, 9);
        assert!(machine.board.pic_interrupt());
        assert_eq!(machine.board.pic_acknowledge(), 0x2e);
        assert_eq!(machine.inb(0x1f7), 0x58);
        let expected = pattern(9, 512);
        assert_eq!(machine.inl(0x1f0).to_le_bytes(), expected[..4]);
        let mut rest = [0; 508];
        machine.with(|board, context| {
            board.port_read_string(0x1f0, Width::Word, &mut rest, context);
        });
        assert_eq!(rest, expected[4..]);
        assert_eq!(machine.inb(0x1f7), 0x50);
        // A wide access to byte registers is two of them.
        machine.with(|board, context| board.port_write(0x1f2, Width::Word, 0x2211, context));
        assert_eq!((machine.inb(0x1f2), machine.inb(0x1f3)), (0x11, 0x22));
        assert_eq!(
            machine.with(|board, context| board.port_read(0x1f2, Width::Word, context)),
            0x2211
        );
        for (register, value) in [(2, 1), (3, 4), (7, 0x30)] {
            machine.outb(0x1f0 + register, value);
        }
        machine.with(|board, context| {
            board.port_write_string(0x1f0, Width::Dword, &[0x77; 512], context);
        });
        read_sector(&mut machine, 0x1f0, 4);
        assert_eq!(machine.inl(0x1f0), 0x7777_7777);
    }

    #[test]
    fn a_command_makes_a_new_edge_of_an_interrupt_that_nobody_took() {
        let mut machine = with_drives();
        machine.init_pics(0xfb, 0xbf);
        machine.outb(0x1f7, 0xe7);
        assert_eq!(machine.board.pic_acknowledge(), 0x2e);
        machine.outb(0xa0, 0x20);
        machine.outb(0x20, 0x20);
        assert!(!machine.board.pic_interrupt());
        assert_eq!(machine.inb(0x3f6), 0x50, "the alternate status leaves it");
        machine.outb(0x1f7, 0xe7);
        assert_eq!(machine.board.pic_acknowledge(), 0x2e);
    }

    #[test]
    fn the_secondary_channel_has_irq_15() {
        let mut machine = with_drives();
        machine.init_pics(0xfb, 0x7f);
        machine.outb(0x177, 0xa1);
        assert_eq!(machine.board.pic_acknowledge(), 0x2f);
        machine.unmask_pin(15, 0);
        machine.outb(0x177, 0);
        machine.inb(0x177);
        machine.outb(0x177, 0x90);
        let mut identity = [0; 512];
        machine.with(|board, context| {
            board.port_read_string(0x170, Width::Word, &mut identity, context);
        });
        machine.outb(0x177, 0x90);
        assert_eq!(machine.sent.take_vectors(), [0x4f]);
    }

    #[test]
    fn the_bus_master_is_where_its_bar_says() {
        let mut machine = with_drives();
        machine.init_pics(0xfb, 0xbf);
        machine.outl(0xcf8, 0x8000_0920);
        machine.outl(0xcfc, 0xc040);
        machine.outl(0xc044, 0x800);
        assert_eq!(machine.inl(0xc044), 0x800);
        assert_eq!(machine.inl(0xc04c), 0);
        machine.with(|_, context| {
            let descriptor = 0x400_u64 | 512 << 32 | 1 << 63;
            context.memory.store(Gpa(0x800), &descriptor).unwrap();
        });
        for (register, value) in [(6, 0xe0), (2, 1), (3, 7), (4, 0), (5, 0), (7, 0xc8)] {
            machine.outb(0x1f0 + register, value);
        }
        assert!(!machine.board.pic_interrupt());
        machine.outb(0xc040, 9);
        assert_eq!(machine.board.pic_acknowledge(), 0x2e);
        assert_eq!(machine.inb(0xc042), 4);
        let mut read = [0; 512];
        machine.with(|_, context| context.memory.read(Gpa(0x400), &mut read).unwrap());
        assert_eq!(read[..], pattern(7, 512));
    }

    #[test]
    fn string_accesses_to_other_ports_are_single_ones() {
        let mut machine = with_drives();
        let mut seen = [0; 6];
        machine.with(|board, context| {
            board.port_write_string(0x1f2, Width::Byte, &[1, 2, 3], context);
            board.port_read_string(0x1f2, Width::Byte, &mut seen[..3], context);
            board.port_read_string(0x1234, Width::Dword, &mut seen, context);
        });
        assert_eq!(seen, [0xff; 6]);
        assert_eq!(machine.inb(0x1f2), 3);
    }

    #[test]
    fn drives_are_saved_with_the_board() {
        let mut machine = with_drives();
        read_sector(&mut machine, 0x1f0, 9);
        machine.outb(0x1f2, 0);
        let mut twin = with_drives();
        twin.board.restore(&machine.board.save()).unwrap();
        assert_eq!(twin.board.save(), machine.board.save());
        assert_eq!(twin.inl(0x1f0).to_le_bytes(), pattern(9, 4)[..]);
        twin.board.reset();
        assert_eq!(twin.inb(0x1f7), 0x50);
        assert!(Machine::new().board.restore(&machine.board.save()).is_err());
    }
}
