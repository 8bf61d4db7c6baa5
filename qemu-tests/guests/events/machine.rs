//! The machine: ports, registers, the local APIC, both interrupt controllers, the PIT.

use core::arch::asm;
use core::fmt;

/// Vector of the spurious interrupt.
pub const SPURIOUS: u8 = 0xff;
/// Where the first 8259's interrupts go.
pub const PIC_BASE: u8 = 0x70;

/// Local APIC registers.
pub mod lapic {
    pub const ID: u32 = 0x20;
    pub const EOI: u32 = 0xb0;
    pub const SPURIOUS: u32 = 0xf0;
    pub const COMMAND_HIGH: u32 = 0x310;
    pub const TIMER: u32 = 0x320;
    pub const LINT0: u32 = 0x350;
    pub const INITIAL_COUNT: u32 = 0x380;
    pub const DIVIDE: u32 = 0x3e0;

    pub const MASKED: u32 = 1 << 16;
    pub const PERIODIC: u32 = 1 << 17;
    pub const DEADLINE: u32 = 2 << 17;
    pub const EXTINT: u32 = 7 << 8;

    /// Writes a register.
    pub fn write(register: u32, value: u32) {
        // SAFETY: the page at FEE00000h is mapped and has the local APIC.
        unsafe { ((0xfee0_0000 + register as usize) as *mut u32).write_volatile(value) };
    }

    /// Reads one.
    pub fn read(register: u32) -> u32 {
        // SAFETY: as in `write`.
        unsafe { ((0xfee0_0000 + register as usize) as *const u32).read_volatile() }
    }
}

/// I/O APIC.
pub mod io_apic {
    /// The pin that the PIT is wired to.
    pub const TIMER_PIN: u32 = 2;
    pub const MASKED: u32 = 1 << 16;
    pub const NMI: u32 = 4 << 8;

    /// The low half of a pin's entry; the high half, the destination, is APIC 0.
    pub fn route(pin: u32, entry: u32) {
        let write = |register: u32, value: u32| {
            // SAFETY: the page at FEC00000h is mapped and has the I/O APIC.
            unsafe {
                (0xfec0_0000 as *mut u32).write_volatile(register);
                (0xfec0_0010 as *mut u32).write_volatile(value);
            }
        };
        write(0x10 + 2 * pin, MASKED);
        write(
            0x11 + 2 * pin,
            super::lapic::read(super::lapic::ID) & 0xff00_0000,
        );
        write(0x10 + 2 * pin, entry);
    }
}

pub fn out(port: u16, value: u8) {
    // SAFETY: the ports that this program writes to touch no memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value) };
}

pub fn inb(port: u16) -> u8 {
    let value;
    // SAFETY: as in `out`.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value) };
    value
}

pub fn wrmsr(register: u32, value: u64) {
    // SAFETY: this program writes only the deadline's register.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") value as u32, in("edx") (value >> 32) as u32)
    };
}

pub fn rdtsc() -> u64 {
    // SAFETY: reading has no effect.
    unsafe { core::arch::x86_64::_rdtsc() }
}

macro_rules! write_debug_register {
    ($($write:ident $name:literal),*) => {
        $(pub fn $write(value: u64) {
            // SAFETY: breakpoints end in this program's own handler.
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) value) };
        })*
    };
}

macro_rules! read_debug_register {
    ($($read:ident $name:literal),*) => {
        $(pub fn $read() -> u64 {
            let value;
            // SAFETY: reading has no effect.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) value) };
            value
        })*
    };
}

write_debug_register!(set_dr0 "dr0", set_dr1 "dr1", set_dr2 "dr2", set_dr3 "dr3", set_dr6 "dr6", set_dr7 "dr7");
read_debug_register!(dr6 "dr6", dr7 "dr7");

/// COM1 at 115200 bit/s, 8N1; the 8259s' lines masked, with vectors that are no exceptions'; the local APIC on.
pub fn quiet() {
    for (port, value) in [(0x3fb, 0x83), (0x3f8, 1), (0x3f9, 0), (0x3fb, 3)] {
        out(port, value);
    }
    for (port, value) in [
        (0x20, 0x11),
        (0x21, PIC_BASE),
        (0x21, 4),
        (0x21, 1),
        (0x21, 0xff),
    ] {
        out(port, value);
    }
    for (port, value) in [
        (0xa0, 0x11),
        (0xa1, PIC_BASE + 8),
        (0xa1, 2),
        (0xa1, 1),
        (0xa1, 0xff),
    ] {
        out(port, value);
    }
    io_apic::route(io_apic::TIMER_PIN, io_apic::MASKED);
    lapic::write(lapic::SPURIOUS, 0x100 | u32::from(SPURIOUS));
    lapic::write(lapic::LINT0, lapic::MASKED);
    lapic::write(lapic::TIMER, lapic::MASKED);
    lapic::write(lapic::DIVIDE, 0xb);
    // Commands name their destination, or are for the sender.
    lapic::write(lapic::COMMAND_HIGH, lapic::read(lapic::ID) & 0xff00_0000);
}

/// Counter 0's output low, until it is started.
pub fn pit_stop() {
    out(0x43, 0x30);
}

/// Counter 0 in mode 0: one rising edge after so many ticks.
pub fn pit_once(ticks: u16) {
    pit(0x30, ticks);
}

/// Counter 0 in mode 2: one each so many ticks.
pub fn pit_periodic(ticks: u16) {
    pit(0x34, ticks);
}

fn pit(mode: u8, ticks: u16) {
    out(0x43, mode);
    out(0x40, ticks as u8);
    out(0x40, (ticks >> 8) as u8);
}

/// S5 by the PIIX4's power management, wherever firmware put it; 600h if there is none to ask.
pub fn power_off() -> ! {
    const PIIX4_PM: u32 = 0x7113_8086;
    let mut base = 0x600;
    for function in 0..256 {
        if pci(function << 8) == PIIX4_PM {
            base = pci(function << 8 | 0x40) & 0xffc0;
        }
    }
    // SAFETY: PM1a control: SLP_EN with type 0 turns the machine off.
    unsafe { asm!("out dx, ax", in("dx") base as u16 + 4, in("ax") 0x2000_u16) };
    loop {
        // SAFETY: nothing but the end is to come.
        unsafe { asm!("cli", "hlt") };
    }
}

/// Configuration space of bus 0.
fn pci(address: u32) -> u32 {
    let value;
    // SAFETY: reading configuration space has no effect.
    unsafe {
        asm!("out dx, eax", in("dx") 0xcf8_u16, in("eax") 0x8000_0000 | address);
        asm!("in eax, dx", in("dx") 0xcfc_u16, out("eax") value);
    }
    value
}

/// The first serial port, as the firmware or the reset left it.
pub struct Com1;

impl fmt::Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while inb(0x3fd) & 0x20 == 0 {}
            out(0x3f8, byte);
        }
        Ok(())
    }
}

/// Prints.
#[macro_export]
macro_rules! say {
    ($($arguments:tt)*) => {{
        let _ = core::fmt::Write::write_fmt(&mut $crate::machine::Com1, format_args!($($arguments)*));
    }};
}
