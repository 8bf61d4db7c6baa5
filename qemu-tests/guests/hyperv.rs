//! A guest that uses Hyper-V's interface: its leaves, its hypercall page, and both ways to reference time.
//!
//! Prints `HYPERV <check> ok` or `HYPERV <check> bad …` for each check, then `HYPERV done`, and powers off.
#![no_std]
#![no_main]

use core::arch::{asm, global_asm, x86_64::__cpuid};

#[path = "msr.rs"]
mod msr;
// More of a machine than this program needs.
#[allow(dead_code)]
#[path = "events/machine.rs"]
mod machine;

global_asm!(".set STAYS_LONG, 1", include_str!("entry.s"));
global_asm!(
    "main32: hlt", "jmp main32", ".code64",
    "long64:", "mov ecx, 0x18", "mov ss, ecx", "mov esp, offset stack_top", "call hyperv_main",
);

const IA32_TSC: u32 = 0x10;
const GUEST_OS_ID: u32 = 0x4000_0000;
const HYPERCALL: u32 = 0x4000_0001;
const VP_INDEX: u32 = 0x4000_0002;
const TIME_REF_COUNT: u32 = 0x4000_0020;
const REFERENCE_TSC: u32 = 0x4000_0021;
const TSC_FREQUENCY: u32 = 0x4000_0022;
const APIC_FREQUENCY: u32 = 0x4000_0023;
const TPR: u32 = 0x4000_0072;
const VP_ASSIST_PAGE: u32 = 0x4000_0073;

const ENABLE: u64 = 1;
/// Any open-source guest.
const WHO: u64 = 1 << 63;
const ROUNDS: u32 = 2000;

#[repr(C, align(4096))]
struct Page([u64; 512]);
static mut CALLS: Page = Page([0; 512]);
static mut REFERENCE: Page = Page([0; 512]);
static mut ASSIST: Page = Page([u64::MAX; 512]);

#[unsafe(no_mangle)]
extern "C" fn hyperv_main() -> ! {
    machine::quiet();
    check("leaves", leaves());
    check("hypercall", hypercall());
    check("registers", registers());
    check("time", time());
    check("moved", moved());
    say!("HYPERV done\r\n");
    machine::power_off()
}

fn check(name: &str, found: Result<(), (&str, u64)>) {
    match found {
        Ok(()) => say!("HYPERV {name} ok\r\n"),
        Err((what, value)) => say!("HYPERV {name} bad {what}: {value:#x}\r\n"),
    }
}

fn expect(what: &'static str, value: u64, is_good: bool) -> Result<(), (&'static str, u64)> {
    if is_good { Ok(()) } else { Err((what, value)) }
}

fn leaves() -> Result<(), (&'static str, u64)> {
    let identity = __cpuid(0x4000_0000);
    expect("the last leaf", identity.eax.into(), (0x4000_0005..0x4000_0100).contains(&identity.eax))?;
    expect("the signature", identity.ebx.into(), identity.ebx == u32::from_le_bytes(*b"Micr"))?;
    let interface = __cpuid(0x4000_0001).eax;
    expect("the interface", interface.into(), interface == u32::from_le_bytes(*b"Hv#1"))?;
    let privileges = __cpuid(0x4000_0003).eax;
    expect("privileges", privileges.into(), privileges & 0xa72 == 0xa72)?;
    let beside = __cpuid(0x4000_0100).ebx;
    expect("KVM's signature", beside.into(), beside == u32::from_le_bytes(*b"KVMK"))
}

fn hypercall() -> Result<(), (&'static str, u64)> {
    let page = &raw const CALLS as u64;
    msr::write(HYPERCALL, page | ENABLE);
    expect("a page without a name", msr::read(HYPERCALL), msr::read(HYPERCALL) == 0)?;
    msr::write(GUEST_OS_ID, WHO);
    msr::write(HYPERCALL, page | ENABLE);
    expect("the page", msr::read(HYPERCALL), msr::read(HYPERCALL) == page | ENABLE)?;
    let answer: u64;
    // SAFETY: the page holds the hypervisor's code, which returns.
    unsafe { asm!("call {}", in(reg) page, inout("rcx") 0xffff_u64 => _, out("rax") answer, out("rdx") _, out("r8") _) };
    expect("the answer", answer, answer == 2)
}

fn registers() -> Result<(), (&'static str, u64)> {
    expect("the index", msr::read(VP_INDEX), msr::read(VP_INDEX) == 0)?;
    let timing = __cpuid(0x4000_0110);
    let (tsc_hz, apic_hz) = (msr::read(TSC_FREQUENCY), msr::read(APIC_FREQUENCY));
    expect("the TSC's rate", tsc_hz, tsc_hz / 1000 == timing.eax.into())?;
    expect("the timer's rate", apic_hz, apic_hz / 1000 == timing.ebx.into())?;
    msr::write(TPR, 0x20);
    let priority: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr8", out(reg) priority) };
    expect("the task priority", priority, priority == 2 && msr::read(TPR) == 0x20)?;
    msr::write(TPR, 0);
    msr::write(VP_ASSIST_PAGE, &raw const ASSIST as u64 | ENABLE);
    // SAFETY: one CPU, and the hypervisor has written already.
    let assist = unsafe { (&raw const ASSIST.0[0]).read_volatile() };
    expect("the assist page", assist, assist == 0)
}

fn time() -> Result<(), (&'static str, u64)> {
    msr::write(REFERENCE_TSC, &raw const REFERENCE as u64 | ENABLE);
    expect("the sequence", sequence().into(), sequence() != 0)?;
    let mut last = 0;
    for _ in 0..ROUNDS {
        let before = msr::read(TIME_REF_COUNT);
        let page = page_time();
        let after = msr::read(TIME_REF_COUNT);
        expect("the register went back", before, last <= before)?;
        expect("the page is behind", before.wrapping_sub(page), before <= page)?;
        expect("the page is ahead", page.wrapping_sub(after), page <= after)?;
        last = after;
    }
    // A tenth of a second by the counter.
    let (start, ticks) = (machine::rdtsc(), msr::read(TSC_FREQUENCY) / 10);
    let before = page_time();
    while machine::rdtsc() - start < ticks {
        core::hint::spin_loop();
    }
    let units = page_time() - before;
    expect("units in a tenth of a second", units, (999_000..1_100_000).contains(&units))
}

/// The counter is set ahead; time goes on.
fn moved() -> Result<(), (&'static str, u64)> {
    const FAR: u64 = 1 << 40;
    let (seen, before) = (sequence(), page_time());
    msr::write(IA32_TSC, machine::rdtsc() + FAR);
    let after = page_time();
    expect("the sequence", sequence().into(), sequence() != seen && sequence() != 0)?;
    expect("time", after.wrapping_sub(before), after >= before && after - before < 10_000_000)?;
    let register = msr::read(TIME_REF_COUNT);
    expect("the register", register, register >= after && register - after < 10_000_000)
}

fn sequence() -> u32 {
    // SAFETY: one CPU; the hypervisor writes in exits.
    unsafe { (&raw const REFERENCE.0[0]).read_volatile() as u32 }
}

fn page_time() -> u64 {
    // SAFETY: as above.
    let (scale, offset) = unsafe { ((&raw const REFERENCE.0[1]).read_volatile(), (&raw const REFERENCE.0[2]).read_volatile()) };
    let product = u128::from(machine::rdtsc()) * u128::from(scale);
    ((product >> 64) as u64).wrapping_add(offset)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    say!("HYPERV panic bad {info}\r\n");
    machine::power_off()
}
