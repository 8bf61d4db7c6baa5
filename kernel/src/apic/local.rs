//! The local APIC of the CPU that runs this: enabling it, ending interrupts, sending them to other CPUs.

use super::bits::{
    BASE_ADDRESS, BASE_ENABLE, BASE_X2APIC, COMMAND_ALL_BUT_SELF, COMMAND_FIXED, COMMAND_INIT,
    COMMAND_NMI, COMMAND_PENDING, COMMAND_STARTUP, LVT_MASKED, LVT_NMI, Register, SPURIOUS_ENABLE,
    VERSION_MAX_LVT_SHIFT, X2APIC_MSR_BASE,
};
use super::vector;
use crate::cpu::{self, features::features, interrupts};
use crate::mem::map_mmio;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};
use guest_mem::Hpa;
use x86::msr::{IA32_APIC_BASE, rdmsr, wrmsr};

/// How registers are reached; the same on all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// The boot CPU has not looked yet.
    Unknown,
    /// Through a page of memory.
    XApic,
    /// Through MSRs.
    X2Apic,
}

static MODE: AtomicU8 = AtomicU8::new(Mode::Unknown as u8);
static PAGE: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());

/// How registers are reached.
#[inline]
pub fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        1 => Mode::XApic,
        2 => Mode::X2Apic,
        _ => Mode::Unknown,
    }
}

/// Decides the mode and enables the boot CPU's local APIC. `address` is the page that the MADT names; the MSR, where it
/// says something, is right.
pub(super) fn init(address: Option<Hpa>) {
    // SAFETY: every CPU with long mode has this MSR.
    let base = unsafe { rdmsr(IA32_APIC_BASE) };
    // A machine left in x2APIC mode (kexec) stays in it: going back needs a detour through "off".
    let mode = if features().x2apic || base & BASE_X2APIC != 0 {
        Mode::X2Apic
    } else {
        Mode::XApic
    };
    if mode == Mode::XApic {
        let in_msr = Some(Hpa(base & BASE_ADDRESS)).filter(|page| page.0 != 0);
        let page = in_msr.or(address).unwrap_or(Hpa(0xfee0_0000));
        let mapped = map_mmio(page, 0x1000).expect("a frame for the local APIC's mapping");
        PAGE.store(mapped, Ordering::Relaxed);
    }
    MODE.store(mode as u8, Ordering::Relaxed);
    init_this_cpu();
}

/// Enables this CPU's local APIC, with every local source masked but NMI on LINT1.
pub(crate) fn init_this_cpu() {
    // SAFETY: enabling is legal in every state; x2APIC mode was offered by CPUID or already on.
    unsafe {
        let mut base = rdmsr(IA32_APIC_BASE);
        if base & BASE_ENABLE == 0 {
            base |= BASE_ENABLE;
            wrmsr(IA32_APIC_BASE, base);
        }
        if mode() == Mode::X2Apic && base & BASE_X2APIC == 0 {
            wrmsr(IA32_APIC_BASE, base | BASE_X2APIC);
        }
    }
    let max_entry = read(Register::Version) >> VERSION_MAX_LVT_SHIFT & 0xff;
    write(Register::LvtTimer, LVT_MASKED | u32::from(vector::TIMER));
    write(Register::LvtLint0, LVT_MASKED);
    write(Register::LvtLint1, LVT_NMI);
    write(Register::LvtError, LVT_MASKED | u32::from(vector::SPURIOUS));
    if max_entry >= 4 {
        write(Register::LvtPerformance, LVT_MASKED);
    }
    if max_entry >= 5 {
        write(Register::LvtThermal, LVT_MASKED);
    }
    write(Register::TaskPriority, 0);
    write(
        Register::Spurious,
        SPURIOUS_ENABLE | u32::from(vector::SPURIOUS),
    );
    cpu::current().set_apic_id(id());
}

/// This CPU's id.
pub fn id() -> u32 {
    match mode() {
        Mode::X2Apic => read(Register::Id),
        _ => read(Register::Id) >> 24,
    }
}

/// Reads a register.
#[inline]
pub fn read(register: Register) -> u32 {
    match mode() {
        // SAFETY: the mode is on, and the register exists in it.
        Mode::X2Apic => unsafe { rdmsr(msr(register)) as u32 },
        // SAFETY: the page is mapped for good, uncached; registers are aligned dwords in it.
        Mode::XApic => unsafe { pointer(register).read_volatile() },
        Mode::Unknown => 0,
    }
}

/// Writes a register.
#[inline]
pub fn write(register: Register, value: u32) {
    match mode() {
        // SAFETY: the mode is on, and the register exists in it; interrupts go to vectors that have gates.
        Mode::X2Apic => unsafe { wrmsr(msr(register), u64::from(value)) },
        // SAFETY: as in `read`.
        Mode::XApic => unsafe { pointer(register).write_volatile(value) },
        Mode::Unknown => {}
    }
}

fn msr(register: Register) -> u32 {
    X2APIC_MSR_BASE + register as u32 / 16
}

fn pointer(register: Register) -> *mut u32 {
    PAGE.load(Ordering::Relaxed)
        .wrapping_add(register as usize)
        .cast()
}

/// Tells the local APIC that the handler of the interrupt in service is done.
#[inline]
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

/// Interrupts the CPU with this APIC id.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, COMMAND_FIXED | u32::from(vector));
}

/// Resets a CPU that waits to be started. (SDM vol. 3, 9.4.4.)
pub(crate) fn send_init(apic_id: u32) {
    command(apic_id, COMMAND_INIT);
}

/// Starts a CPU that was reset, in real mode at page number `page`.
pub(crate) fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, COMMAND_STARTUP | u32::from(page));
}

/// NMI to every other CPU.
pub(crate) fn send_nmi_to_others() {
    command(0, COMMAND_NMI | COMMAND_ALL_BUT_SELF);
}

fn command(apic_id: u32, low: u32) {
    match mode() {
        // SAFETY: the mode is on. The fence orders what the other CPU is to see before the interrupt (SDM 11.12.3).
        Mode::X2Apic => unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            wrmsr(
                msr(Register::CommandLow),
                u64::from(apic_id) << 32 | u64::from(low),
            );
        },
        // Two writes: an interrupt handler that sends one in between would change the destination.
        Mode::XApic => interrupts::without(|| {
            while read(Register::CommandLow) & COMMAND_PENDING != 0 {
                core::hint::spin_loop();
            }
            write(Register::CommandHigh, apic_id << 24);
            write(Register::CommandLow, low);
        }),
        Mode::Unknown => {}
    }
}
