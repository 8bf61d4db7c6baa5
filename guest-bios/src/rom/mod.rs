//! The ROM: segment F000h, and the video ROM at C000h ([`video`]).
//!
//! It holds next to no code. An interrupt's stub traps into the hypervisor and returns; the few pieces that are more
//! than that call other interrupts, so that programs may hook them, or wait with interrupts open. Made from byte
//! templates, so that no assembler is needed and every build is the same (see the decision "ROM stubs from templates").
//! Addresses that old software knows by heart are IBM's.

pub mod font;
pub mod video;

mod tables;

use crate::bios::Service;
use alloc::boxed::Box;
use alloc::vec;

pub use tables::{CONFIGURATION_TABLE, DISKETTE_TABLE};

/// The ROM's segment.
pub const SEGMENT: u16 = 0xf000;
/// Its size.
pub const BYTES: usize = 0x1_0000;

/// The port whose writes trap: the one that wakes firmware on a PC too (PIIX4 data sheet, APMC).
pub const TRAP_PORT: u16 = 0xb2;
/// Bytes of a trap: OUT to the port, then a jump over the service's number and a mark.
pub const TRAP_BYTES: usize = 6;
const JUMP_OVER: [u8; 2] = [0xeb, 2];
const MARK: u8 = b'M';
/// Bytes of the OUT.
pub const OUT_BYTES: u64 = 2;
/// Bit 7 of a service's number: its stub goes on after a wait.
pub const RESUMED: u8 = 0x80;

/// What follows the OUT of a trap, if these bytes do: the service's number, with [`RESUMED`].
pub fn trap(behind_out: [u8; 4]) -> Option<u8> {
    let [jump, over, number, mark] = behind_out;
    ([jump, over] == JUMP_OVER && mark == MARK).then_some(number)
}

const fn trap_bytes(number: u8) -> [u8; TRAP_BYTES] {
    [
        0xe6,
        TRAP_PORT as u8,
        JUMP_OVER[0],
        JUMP_OVER[1],
        number,
        MARK,
    ]
}

const IRET: u8 = 0xcf;
const STI: u8 = 0xfb;
const HLT: u8 = 0xf4;

/// Bytes from stub to stub.
pub const STUB_BYTES: u16 = 16;
/// Where the stubs start.
const STUBS: u16 = 0x8000;

/// From the RIP of a trap in a stub to its wait: behind the jump and IRET, or back to it from behind that wait.
pub const WAIT: i16 = 5;
/// See [`WAIT`].
pub const WAIT_AGAIN: i16 = -4;

/// From the RIP of a trap in a stub to its second trap, without a wait.
pub const SPIN: i16 = 7;
/// See [`SPIN`].
pub const SPIN_AGAIN: i16 = -2;

/// The offset of a service's stub.
pub const fn stub(service: Service) -> u16 {
    STUBS + service as u16 * STUB_BYTES
}

/// Trap and return; behind that, a wait for an interrupt, and the trap again.
pub fn stub_bytes(service: Service) -> [u8; STUB_BYTES as usize] {
    let number = service as u8;
    let mut stub = [0; STUB_BYTES as usize];
    stub[..6].copy_from_slice(&trap_bytes(number));
    stub[6..9].copy_from_slice(&[IRET, STI, HLT]);
    stub[9..15].copy_from_slice(&trap_bytes(number | RESUMED));
    stub[15] = IRET;
    stub
}

/// INT 09h: PUSH AX; trap: the code to AL; INT 15h; trap: into the buffer; POP AX; IRET.
pub mod keyboard {
    use super::*;

    /// Where it is.
    pub const OFFSET: u16 = 0x9000;
    /// From the first trap's RIP to POP AX.
    pub const NO_DATA: i16 = 12;
    /// From the second trap's RIP to a tail that calls INT 1Bh.
    pub const BREAK_TAIL: i16 = 6;
    /// To one that calls INT 05h.
    pub const PRINT_TAIL: i16 = 10;
    /// To one that halts until a third trap says that Pause is over.
    pub const PAUSE_TAIL: i16 = 14;
    /// From the third trap's RIP back to the halt.
    pub const PAUSE_AGAIN: i16 = -4;

    pub(super) fn code() -> [u8; 35] {
        let mut code = [0; 35];
        code[0] = 0x50;
        code[1..7].copy_from_slice(&trap_bytes(Service::KeyboardCode as u8));
        code[7..9].copy_from_slice(&[0xcd, 0x15]);
        code[9..15].copy_from_slice(&trap_bytes(Service::KeyboardKey as u8));
        code[15..17].copy_from_slice(&[0x58, IRET]);
        code[17..21].copy_from_slice(&[0xcd, 0x1b, 0x58, IRET]);
        code[21..25].copy_from_slice(&[0xcd, 0x05, 0x58, IRET]);
        code[25..27].copy_from_slice(&[STI, HLT]);
        code[27..33].copy_from_slice(&trap_bytes(Service::Paused as u8));
        code[33..35].copy_from_slice(&[0x58, IRET]);
        code
    }
}

/// INT 08h: trap; INT 1Ch; trap: end of interrupt; IRET. INT 70h: trap; IRET; and a tail that calls INT 4Ah.
pub mod clock {
    use super::*;

    /// Where INT 08h is.
    pub const TICK: u16 = 0x9040;
    /// Where INT 70h is.
    pub const CLOCK: u16 = 0x9060;
    /// From the RIP of INT 70h's trap to the tail.
    pub const ALARM_TAIL: i16 = 5;

    pub(super) fn tick() -> [u8; 15] {
        let mut code = [0; 15];
        code[..6].copy_from_slice(&trap_bytes(Service::Tick as u8));
        code[6..8].copy_from_slice(&[0xcd, 0x1c]);
        code[8..14].copy_from_slice(&trap_bytes(Service::TickEnd as u8));
        code[14] = IRET;
        code
    }

    pub(super) fn clock() -> [u8; 10] {
        let mut code = [0; 10];
        code[..6].copy_from_slice(&trap_bytes(Service::Clock as u8));
        code[6..].copy_from_slice(&[IRET, 0xcd, 0x4a, IRET]);
        code
    }
}

/// INT 74h: PUSH DS, ES; PUSHAD; trap; the handler returns here: ADD SP, 8; POPAD; POP ES, DS; IRET.
pub mod mouse {
    use super::*;

    /// Where it is.
    pub const OFFSET: u16 = 0x90c0;
    /// From the trap's RIP to POPAD.
    pub const NO_CALL: i16 = 7;

    pub(super) fn code() -> [u8; 18] {
        let mut code = [0; 18];
        code[..4].copy_from_slice(&[0x1e, 0x06, 0x66, 0x60]);
        code[4..10].copy_from_slice(&trap_bytes(Service::Mouse as u8));
        code[10..].copy_from_slice(&[0x83, 0xc4, 0x08, 0x66, 0x61, 0x07, 0x1f, IRET]);
        code
    }
}

/// POST: CLI; CLD; trap; INT 19h; INT 18h; and, should both return, a halt for ever.
mod post {
    use super::*;

    pub const OFFSET: u16 = 0xe05b;

    pub fn code() -> [u8; 15] {
        let mut code = [0; 15];
        code[..2].copy_from_slice(&[0xfa, 0xfc]);
        code[2..8].copy_from_slice(&trap_bytes(Service::Post as u8));
        code[8..].copy_from_slice(&[0xcd, 0x19, 0xcd, 0x18, HLT, 0xeb, 0xfd]);
        code
    }
}

/// Where a boot program that returns goes: INT 18h.
pub const NO_BOOT: u16 = post::OFFSET + 10;

/// BIOS32 (Standard BIOS 32-bit Service Directory 0.4) and the PCI BIOS behind it: trap; RETF.
pub mod bios32 {
    use super::*;

    /// The directory's entry.
    pub const DIRECTORY: u16 = 0x9080;
    /// The PCI BIOS's.
    pub const PCI: u16 = 0x9090;

    pub(super) fn code(service: Service) -> [u8; 7] {
        let mut code = [0; 7];
        code[..6].copy_from_slice(&trap_bytes(service as u8));
        code[6] = 0xcb;
        code
    }
}

/// APM's entry from protected mode, of 16 or 32 bits: trap; RETF.
pub const APM: u16 = 0x90e0;

/// INT 15h function 89h, behind its trap: into protected mode with the caller's tables, and back to the caller there.
pub mod protected {
    use super::*;

    /// Where it is.
    pub const OFFSET: u16 = 0x9100;
    /// The caller's code segment, and the firmware's.
    const CALLER: u8 = 0x30;
    /// See [`CALLER`].
    pub const FIRMWARE: u8 = 0x38;

    #[rustfmt::skip]
    pub(super) fn code() -> [u8; 48] {
        const JUMP_BYTES: u16 = 5 + 5 + 3 + 2 + 3 + 5;
        let [low, high] = (OFFSET + JUMP_BYTES).to_le_bytes();
        [
            0x26, 0x0f, 0x01, 0x54, 0x08,      // LGDT ES:[SI+08h]
            0x26, 0x0f, 0x01, 0x5c, 0x10,      // LIDT ES:[SI+10h]
            0x0f, 0x20, 0xc0,                  // MOV EAX, CR0
            0x0c, 0x01,                        // OR AL, 1
            0x0f, 0x22, 0xc0,                  // MOV CR0, EAX
            0xea, low, high, FIRMWARE, 0,      // JMP FAR
            0xb8, 0x18, 0, 0x8e, 0xd8,         // MOV AX, 18h; MOV DS, AX
            0xb0, 0x20, 0x8e, 0xc0,            // MOV AL, 20h; MOV ES, AX
            0xb0, 0x28, 0x8e, 0xd0,            // MOV AL, 28h; MOV SS, AX
            0x5b,                              // POP BX: where the caller goes on
            0x83, 0xc4, 0x04,                  // ADD SP, 4: its real-mode segment and flags
            0x6a, CALLER,                      // PUSH 30h
            0x53,                              // PUSH BX
            0x31, 0xc0,                        // XOR AX, AX
            0xf8,                              // CLC
            0xcb,                              // RETF
            IRET,
        ]
    }
}

/// VBE's window function: trap; RETF.
pub const WINDOW_FUNCTION: u16 = 0x90a0;

/// An IRET where IBM's BIOS has it.
pub const DUMMY: u16 = 0xff53;

/// Entries that software jumps to by address, with their services: three bytes each for a jump.
const FIXED: [(u16, u16); 13] = [
    (0xe3fe, stub(Service::Disk)),
    (0xe6f2, stub(Service::Bootstrap)),
    (0xe739, stub(Service::Serial)),
    (0xe82e, stub(Service::Keyboard)),
    (0xe987, keyboard::OFFSET),
    (0xec59, stub(Service::Disk)),
    (0xefd2, stub(Service::Printer)),
    (0xf065, stub(Service::Video)),
    (0xf841, stub(Service::MemorySize)),
    (0xf84d, stub(Service::Equipment)),
    (0xf859, stub(Service::System)),
    (0xfe6e, stub(Service::Time)),
    (0xfea5, clock::TICK),
];

/// The ROM's bytes; the tables that depend on the machine are POST's.
pub fn image() -> Box<[u8]> {
    let mut rom = vec![0; BYTES].into_boxed_slice();
    let mut put = |offset: u16, bytes: &[u8]| {
        let start = usize::from(offset);
        rom[start..start + bytes.len()].copy_from_slice(bytes);
    };
    for service in Service::ALL {
        put(stub(service), &stub_bytes(service));
    }
    put(keyboard::OFFSET, &keyboard::code());
    put(clock::TICK, &clock::tick());
    put(clock::CLOCK, &clock::clock());
    put(mouse::OFFSET, &mouse::code());
    put(post::OFFSET, &post::code());
    put(bios32::DIRECTORY, &bios32::code(Service::Bios32));
    put(bios32::PCI, &bios32::code(Service::PciBios));
    put(APM, &bios32::code(Service::Apm));
    put(protected::OFFSET, &protected::code());
    // INT 05h, which prints the screen elsewhere, is right behind.
    put(WINDOW_FUNCTION, &bios32::code(Service::Window));
    put(DUMMY, &[IRET, IRET]);
    for (from, to) in FIXED {
        let [low, high] = to.wrapping_sub(from.wrapping_add(3)).to_le_bytes();
        put(from, &[0xe9, low, high]);
    }
    put(CONFIGURATION_TABLE, &tables::CONFIGURATION);
    put(DISKETTE_TABLE, &tables::DISKETTE);
    put(0xfff0, &reset());
    rom
}

/// The last 16 bytes: a far jump to POST, the date, the model.
fn reset() -> [u8; 16] {
    let [low, high] = post::OFFSET.to_le_bytes();
    let [segment_low, segment_high] = SEGMENT.to_le_bytes();
    let mut bytes = [0; 16];
    bytes[..5].copy_from_slice(&[0xea, low, high, segment_low, segment_high]);
    bytes[5..13].copy_from_slice(b"11/22/26");
    bytes[14] = tables::MODEL_AT;
    bytes
}

/// What the interrupt vectors point to: offset and segment by vector.
pub fn vector(number: u8) -> (u16, u16) {
    let offset = match number {
        0x08 => clock::TICK,
        0x09 => keyboard::OFFSET,
        0x10 => return (stub(Service::Video), SEGMENT),
        0x11 => stub(Service::Equipment),
        0x12 => stub(Service::MemorySize),
        0x13 | 0x40 => stub(Service::Disk),
        0x14 => stub(Service::Serial),
        0x15 => stub(Service::System),
        0x16 => stub(Service::Keyboard),
        0x17 => stub(Service::Printer),
        0x18 => stub(Service::NoBoot),
        0x19 => stub(Service::Bootstrap),
        0x1a => stub(Service::Time),
        0x1e => DISKETTE_TABLE,
        0x1f => return (video::font_offset(8) + 128 * 8, video::SEGMENT),
        0x43 => return (video::font_offset(8), video::SEGMENT),
        0x70 => clock::CLOCK,
        0x74 => mouse::OFFSET,
        0x0a..=0x0f | 0x71..=0x77 => stub(Service::Hardware),
        // Parameters, far pointers and vectors of programs: nothing is there until someone puts it there.
        0x1d | 0x41 | 0x46 | 0x60..=0x67 | 0x78..=0xff => return (0, 0),
        _ => DUMMY,
    };
    (offset, SEGMENT)
}
