//! Chips that POST sets up.

use super::super::bda;
use super::super::call::{Call, Served};
use super::super::pci::{self, Function};
use super::super::{Bios, int1a, rtc};
use crate::memory::RangeKind;
use crate::platform::{ABOVE_4G, HIGH_MEMORY, PCI_MMIO, PCI_MMIO_END, pci_irq};
use guest_mem::Gva;
use hvm::Width;

/// Counter 0 ticks 18.2 times a second, counter 1 is the refresh of old (Intel 8254 data sheet).
pub fn timer(call: &mut Call<'_>) {
    const COUNTER_0: u16 = 0x40;
    const COUNTER_1: u16 = 0x41;
    const CONTROL: u16 = 0x43;
    call.outb(CONTROL, 0x36);
    call.outb(COUNTER_0, 0);
    call.outb(COUNTER_0, 0);
    call.outb(CONTROL, 0x54);
    call.outb(COUNTER_1, 18);
}

/// Clock registers, CMOS bytes that software reads, and the ticks since midnight.
pub fn clock(bios: &Bios, call: &mut Call<'_>) -> Served {
    rtc::write(call, rtc::REGISTER_A, rtc::RATE_1024_HZ);
    rtc::write(call, rtc::REGISTER_B, rtc::HOURS_24);
    rtc::read(call, rtc::REGISTER_C);
    cmos(bios, call);
    let ticks = int1a::ticks_now(call);
    call.store(bda::TICKS, &ticks)
}

/// What the board has not set itself (it tells the diskette drives).
fn cmos(bios: &Bios, call: &mut Call<'_>) {
    const DIAGNOSTIC: u8 = 0x0e;
    const SHUTDOWN: u8 = 0x0f;
    const EQUIPMENT: u8 = 0x14;
    const BASE_KIB: u8 = 0x15;
    const EXTENDED_KIB: [u8; 2] = [0x17, 0x30];
    const ABOVE_16_MIB: u8 = 0x34;
    const ABOVE_4_GIB: u8 = 0x5b;
    const KIB: u64 = 1024;
    let ram = |start: u64, end: u64| -> u64 {
        bios.memory_map
            .iter()
            .filter(|range| range.kind == RangeKind::Ram)
            .filter(|range| (start..end).contains(&range.base.0))
            .map(|range| range.bytes)
            .sum()
    };
    let extended = ram(HIGH_MEMORY.0, ABOVE_4G.0);
    let kib = (extended / KIB).min(0xffff) as u16;
    let blocks = (extended.saturating_sub(15 << 20) >> 16).min(0xffff) as u16;
    let high = (ram(ABOVE_4G.0, u64::MAX) >> 16).to_le_bytes();
    rtc::write(call, DIAGNOSTIC, 0);
    rtc::write(call, SHUTDOWN, 0);
    let drives = match bios.drives.floppies {
        0 => 0,
        count => 1 | (count - 1) << 6,
    };
    rtc::write(call, EQUIPMENT, drives | 0x06);
    let mut word = |index: u8, value: u16| {
        let [low, high] = value.to_le_bytes();
        rtc::write(call, index, low);
        rtc::write(call, index + 1, high);
    };
    word(BASE_KIB, 640);
    for index in EXTENDED_KIB {
        word(index, kib);
    }
    word(ABOVE_16_MIB, blocks);
    for (index, byte) in (ABOVE_4_GIB..).zip(&high[..3]) {
        rtc::write(call, index, *byte);
    }
}

/// The keyboard controller: self-test, translation to set 1, IRQ 1 (IBM PS/2 Hardware Interface Technical Reference,
/// "Keyboard and auxiliary device controller").
pub fn keyboard(call: &mut Call<'_>) -> Served {
    const DATA: u16 = 0x60;
    const STATUS: u16 = 0x64;
    const NOBODY: u8 = 0xff;
    const SELF_TEST: u8 = 0xaa;
    const ENABLE_KEYBOARD: u8 = 0xae;
    const DISABLE_MOUSE: u8 = 0xa7;
    const WRITE_COMMAND_BYTE: u8 = 0x60;
    /// Translate, system flag, mouse off, IRQ 1.
    const COMMAND_BYTE: u8 = 0x65;
    const ENABLE_SCANNING: u8 = 0xf4;
    if call.inb(STATUS) == NOBODY {
        return Ok(());
    }
    drain(call);
    call.outb(STATUS, SELF_TEST);
    drain(call);
    call.outb(STATUS, DISABLE_MOUSE);
    call.outb(STATUS, WRITE_COMMAND_BYTE);
    call.outb(DATA, COMMAND_BYTE);
    call.outb(STATUS, ENABLE_KEYBOARD);
    call.outb(DATA, ENABLE_SCANNING);
    drain(call);
    Ok(())
}

/// Reads answers away; there are never more than a few.
fn drain(call: &mut Call<'_>) {
    const DATA: u16 = 0x60;
    const STATUS: u16 = 0x64;
    const OUTPUT_FULL: u8 = 1;
    for _ in 0..32 {
        if call.inb(STATUS) & OUTPUT_FULL == 0 {
            return;
        }
        call.inb(DATA);
    }
}

/// Serial ports are where a divisor can be written and read back.
pub fn serial_ports(call: &mut Call<'_>) -> Served {
    const PORTS: [u16; 4] = [0x3f8, 0x2f8, 0x3e8, 0x2e8];
    const SCRATCH: u16 = 7;
    const PATTERN: u8 = 0x5a;
    let mut found = 0_u16;
    for port in PORTS {
        call.outb(port + SCRATCH, PATTERN);
        if call.inb(port + SCRATCH) != PATTERN {
            continue;
        }
        let place = Gva(bda::SERIAL_PORTS.0 + 2 * u64::from(found));
        call.store(place, &port)?;
        found += 1;
    }
    let equipment: u16 = call.load(bda::EQUIPMENT)?;
    call.store(bda::EQUIPMENT, &(equipment | found << 9))
}

/// Gives every function of the bus its addresses and its interrupt, and lets it decode and master.
pub fn pci(call: &mut Call<'_>) {
    /// PCI ports: behind what ISA and the chipset have.
    const FIRST_PORT: u64 = 0xc000;
    const PORTS_END: u64 = 0x1_0000;
    let mut room = Room {
        ports: Free {
            next: FIRST_PORT,
            end: PORTS_END,
        },
        memory: Free {
            next: PCI_MMIO.0 + FRAMEBUFFER_ROOM,
            end: PCI_MMIO_END.0,
        },
    };
    pci::find(call, |call, function| -> Option<()> {
        assign(call, function, &mut room);
        None
    });
}

/// The window's first part is left to what needs large alignment.
const FRAMEBUFFER_ROOM: u64 = 0x1000_0000;

/// Addresses that nobody has.
struct Free {
    next: u64,
    end: u64,
}

impl Free {
    /// Takes an aligned range; `None` if there is not so much left.
    fn take(&mut self, bytes: u64) -> Option<u64> {
        let base = self.next.checked_next_multiple_of(bytes)?;
        let next = base.checked_add(bytes).filter(|&next| next <= self.end)?;
        self.next = next;
        Some(base)
    }
}

struct Room {
    ports: Free,
    memory: Free,
}

fn assign(call: &mut Call<'_>, function: Function, room: &mut Room) {
    const BRIDGE: u32 = 6;
    const BARS: u8 = 6;
    const DECODE_AND_MASTER: u32 = 7;
    // Bridges keep what the chipset gave them.
    if function.read(call, pci::CLASS, Width::Dword) >> 24 == BRIDGE {
        return;
    }
    let mut index = 0;
    while index < BARS {
        index += assign_bar(call, function, index, room);
    }
    let pin = function.read(call, pci::INTERRUPT_PIN, Width::Byte) as u8;
    if let 1..=4 = pin {
        let irq = pci_irq(function.slot(), pin - 1);
        function.write(call, pci::INTERRUPT_LINE, Width::Byte, irq.into());
    }
    let command = function.read(call, pci::COMMAND, Width::Word);
    function.write(call, pci::COMMAND, Width::Word, command | DECODE_AND_MASTER);
}

/// Sizes a BAR by writing ones and gives it an address (PCI Local Bus 3.0, 6.2.5.1). Returns how many registers it has.
fn assign_bar(call: &mut Call<'_>, function: Function, index: u8, room: &mut Room) -> u8 {
    const IO: u32 = 1;
    const WIDTH_64: u32 = 4;
    let register = pci::BAR0 + 4 * index;
    function.write(call, register, Width::Dword, u32::MAX);
    let mask = function.read(call, register, Width::Dword);
    if mask == 0 || mask == u32::MAX {
        return 1;
    }
    let is_io = mask & IO != 0;
    let wide = !is_io && mask & WIDTH_64 != 0;
    let address_bits = if is_io {
        mask & !3 | 0xffff_0000
    } else {
        mask & !15
    };
    let bytes = u64::from(address_bits.wrapping_neg());
    let free = if is_io {
        &mut room.ports
    } else {
        &mut room.memory
    };
    let base = if bytes == 0 { None } else { free.take(bytes) };
    // Without room the function keeps address 0, where nothing of it is seen.
    function.write(call, register, Width::Dword, base.unwrap_or(0) as u32);
    if wide {
        function.write(call, register + 4, Width::Dword, 0);
    }
    1 + u8::from(wide)
}
