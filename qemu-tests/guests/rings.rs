//! A guest whose network drivers are mad: it gives virtio-net and the RTL8139 queues and rings of random content, at random places, and
//! kicks them. Prints `RINGS step <n>` on COM1 after each thousand of kicks, then `RINGS done`.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm};
use core::fmt::Write;

#[path = "com1.rs"]
mod com1;
use com1::Com1;

global_asm!(include_str!("entry.s"));
global_asm!(include_str!("identity.s"));
global_asm!(
    ".text",
    ".code32",
    "main32:",
    "mov eax, cr4",
    "or eax, 0x20",
    "mov cr4, eax",
    "mov eax, offset pml4",
    "mov cr3, eax",
    "mov ecx, 0xc0000080",
    "rdmsr",
    "or ah, 1",
    "wrmsr",
    "mov eax, cr0",
    "or eax, 0x80000000",
    "mov cr0, eax",
    ".byte 0xea",
    ".long long_mode",
    ".word 0x08",
    ".code64",
    "long_mode:",
    "mov rsp, offset stack_top",
    "call rings_main",
);

const STEPS: u32 = 20;
const KICKS: u32 = 1000;
/// Kicks between resets of a device.
const LIFE: u32 = 40;
/// Where queues and rings are, and where buffers may be: RAM that the program is not in.
const QUEUES: u32 = 0x40_0000;
const QUEUE_BYTES: u32 = 0x8000;
const RAM: u32 = 0x100_0000;

const VIRTIO_PORTS: u16 = 0xc000;
const RTL8139_PORTS: u16 = 0xc100;

struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u32 {
        // xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    /// An address: mostly in RAM, now and then at its end, in device memory, or nowhere.
    fn address(&mut self) -> u64 {
        let low = u64::from(self.roll());
        match self.roll() % 16 {
            0 => 0xfee0_0000 | low & 0xffff,
            1 => 0xfec0_0000 | low & 0xfff,
            2 => low | 0x8000_0000,
            3 => low << 24 | low,
            4 => u64::MAX - (low & 0xfff),
            5 => 0xa_0000 | low & 0x1_ffff,
            6 => u64::from(QUEUES) | low & 0x7fff,
            _ => u64::from(RAM) + (low & 0x3f_ffff),
        }
    }

    fn length(&mut self) -> u32 {
        match self.roll() % 8 {
            0 => self.roll(),
            1 => 0,
            2 => 0xffff_ffff,
            3 => self.roll() & 0x1_ffff,
            _ => self.roll() & 0x7ff,
        }
    }
}

fn out8(port: u16, value: u8) {
    // SAFETY: writes to ports reach memory by the devices' DMA alone, which this program stays away from.
    unsafe { asm!("out dx, al", in("al") value, in("dx") port) }
}

fn out16(port: u16, value: u16) {
    // SAFETY: as above.
    unsafe { asm!("out dx, ax", in("ax") value, in("dx") port) }
}

fn out32(port: u16, value: u32) {
    // SAFETY: as above.
    unsafe { asm!("out dx, eax", in("eax") value, in("dx") port) }
}

fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: reads of these ports change nothing but their device.
    unsafe { asm!("in ax, dx", out("ax") value, in("dx") port) };
    value
}

fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as above.
    unsafe { asm!("in eax, dx", out("eax") value, in("dx") port) };
    value
}

fn put<T>(address: u32, value: T) {
    // SAFETY: the queues' memory is identity-mapped RAM behind the program.
    unsafe { (address as usize as *mut T).write_volatile(value) }
}

fn config(slot: u32, register: u32) -> u32 {
    out32(0xcf8, 1 << 31 | slot << 11 | register);
    in32(0xcfc)
}

fn set_config(slot: u32, register: u32, value: u32) {
    out32(0xcf8, 1 << 31 | slot << 11 | register);
    out32(0xcfc, value);
}

/// The slot of a device, with its ports at `ports` and its bus mastership on.
fn find(id: u32, ports: u16) -> Option<u32> {
    let slot = (0..32).find(|slot| config(*slot, 0) == id)?;
    set_config(slot, 0x10, ports.into());
    set_config(slot, 0x04, 0x5);
    Some(slot)
}

/// Random bytes where queues are.
fn scatter(dice: &mut Dice, at: u32) {
    for word in (0..QUEUE_BYTES).step_by(4) {
        put(at + word, dice.roll());
    }
}

/// A split queue of `size` entries with descriptors that are nearly sane, so that they are followed (virtio 1.2, 2.7).
fn queue(dice: &mut Dice, at: u32, size: u16) {
    for index in 0..u32::from(size) {
        let entry = at + index * 16;
        put(entry, dice.address());
        put(entry + 8, dice.length());
        // Chained, written to, or a table of its own.
        let flags = match dice.roll() % 8 {
            0 => dice.roll() as u16,
            1 => 4,
            other => other as u16 & 3,
        };
        put(entry + 12, flags);
        let next = match dice.roll() % 4 {
            0 => dice.roll() as u16,
            _ => (dice.roll() % u32::from(size)) as u16,
        };
        put(entry + 14, next);
    }
    let available = at + u32::from(size) * 16;
    put(available, (dice.roll() & 1) as u16);
    let ahead = match dice.roll() % 4 {
        0 => dice.roll() as u16,
        _ => (dice.roll() % u32::from(size)) as u16,
    };
    put(available + 2, ahead);
    for index in 0..u32::from(size) {
        let head = dice.roll() as u16;
        put(available + 4 + index * 2, if head & 0x700 == 0 { head } else { head % size });
    }
}

/// The legacy interface (virtio 1.2, 4.1.4.8).
fn kick_virtio(dice: &mut Dice, kick: u32) {
    const FEATURES: u16 = 0x00;
    const DRIVER_FEATURES: u16 = 0x04;
    const ADDRESS: u16 = 0x08;
    const SIZE: u16 = 0x0c;
    const SELECT: u16 = 0x0e;
    const NOTIFY: u16 = 0x10;
    const STATUS: u16 = 0x12;
    if kick % LIFE == 0 {
        out8(VIRTIO_PORTS + STATUS, 0);
        out8(VIRTIO_PORTS + STATUS, 3);
        let features = in32(VIRTIO_PORTS + FEATURES);
        out32(VIRTIO_PORTS + DRIVER_FEATURES, features & dice.roll());
        for number in 0..3 {
            out16(VIRTIO_PORTS + SELECT, number);
            let size = in16(VIRTIO_PORTS + SIZE);
            let at = QUEUES + u32::from(number) * QUEUE_BYTES;
            match (dice.roll() % 8, size) {
                (0, _) | (_, 0) => scatter(dice, at),
                (_, size) => queue(dice, at, size),
            }
            out32(VIRTIO_PORTS + ADDRESS, if dice.roll() % 16 == 0 { dice.roll() } else { at >> 12 });
        }
        out8(VIRTIO_PORTS + STATUS, 7);
    }
    let number = (dice.roll() % 3) as u16;
    out16(VIRTIO_PORTS + SELECT, number);
    let size = in16(VIRTIO_PORTS + SIZE);
    if size != 0 && dice.roll() % 2 == 0 {
        queue(dice, QUEUES + u32::from(number) * QUEUE_BYTES, size);
    }
    out16(VIRTIO_PORTS + NOTIFY, if dice.roll() % 16 == 0 { dice.roll() as u16 } else { number });
}

/// C+ mode's rings, and the four slots and the one buffer of the mode before it (RTL8139C+ data sheet, 5 and 9).
fn kick_rtl8139(dice: &mut Dice, kick: u32) {
    const SLOT_STATUS: u16 = 0x10;
    const SLOT_ADDRESS: u16 = 0x20;
    const RECEIVE_BUFFER: u16 = 0x30;
    const COMMAND: u16 = 0x37;
    const RECEIVE_CONFIG: u16 = 0x44;
    const PLUS_COMMAND: u16 = 0xe0;
    const POLL: u16 = 0xd9;
    const SEND_RING: u16 = 0x20;
    const RECEIVE_RING: u16 = 0xe4;
    let at = QUEUES + 4 * QUEUE_BYTES;
    let plus = kick / LIFE % 2 == 0;
    if kick % LIFE == 0 {
        out8(RTL8139_PORTS + COMMAND, 0x10);
        out16(RTL8139_PORTS + PLUS_COMMAND, if plus { dice.roll() as u16 | 3 } else { 0 });
        out8(RTL8139_PORTS + COMMAND, 0x0c);
        out32(RTL8139_PORTS + RECEIVE_CONFIG, dice.roll() | 0xf);
        if plus {
            for (register, ring) in [(SEND_RING, at), (SEND_RING + 8, at + 0x1000), (RECEIVE_RING, at + 0x2000)] {
                let ring = if dice.roll() % 16 == 0 { dice.address() } else { ring.into() };
                out32(RTL8139_PORTS + register, ring as u32);
                out32(RTL8139_PORTS + register + 4, (ring >> 32) as u32);
            }
        } else {
            out32(RTL8139_PORTS + RECEIVE_BUFFER, dice.address() as u32);
        }
    }
    if plus {
        for entry in (0..0x3000).step_by(16) {
            // Owned by the card, and the parts of a frame in any order.
            put(at + entry, dice.roll() | 0x8000_0000);
            put(at + entry + 4, dice.roll());
            put(at + entry + 8, dice.address());
        }
        out8(RTL8139_PORTS + POLL, dice.roll() as u8 | 0x40);
    } else {
        let slot = (dice.roll() % 4) as u16 * 4;
        out32(RTL8139_PORTS + SLOT_ADDRESS + slot, dice.address() as u32);
        out32(RTL8139_PORTS + SLOT_STATUS + slot, dice.length() & !0x2000);
    }
}

#[unsafe(no_mangle)]
extern "C" fn rings_main() -> ! {
    let mut port = Com1::set_up();
    let virtio = find(0x1000_1af4, VIRTIO_PORTS | 1).is_some();
    let rtl8139 = find(0x8139_10ec, RTL8139_PORTS | 1).is_some();
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    // Nobody reads it, so nothing can be done about an error.
    let _ = writeln!(port, "RINGS virtio {virtio} rtl8139 {rtl8139}");
    for step in 1..=STEPS {
        for kick in 0..KICKS {
            kick_virtio(&mut dice, kick);
            kick_rtl8139(&mut dice, kick);
        }
        let _ = writeln!(port, "RINGS step {step}");
    }
    out8(VIRTIO_PORTS + 0x12, 0);
    out8(RTL8139_PORTS + 0x37, 0x10);
    let _ = writeln!(port, "RINGS done");
    loop {
        // SAFETY: interrupts are off; nothing comes after it.
        unsafe { asm!("hlt") }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
