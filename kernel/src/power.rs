//! Switching the machine off, and resetting it.

use crate::acpi::aml::{self, Aml};
use crate::acpi::fadt::{Fadt, SleepControl};
use crate::acpi::sleep::{SleepType, find_s5};
use crate::acpi::{self, tables};
use crate::cpu::interrupts;
use crate::mem::stack;
use crate::{halt, info, time, warn};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use x86::io::{inb, outb};

/// PM1 control: sleep now. (ACPI 6.5, 4.8.3.2.)
const PM1_SLEEP_ENABLE: u16 = 1 << 13;
const PM1_SLEEP_TYPE_SHIFT: u32 = 10;
const PM1_SLEEP_TYPE_MASK: u16 = 0b111 << PM1_SLEEP_TYPE_SHIFT;
/// PM1 control: ACPI mode is on.
const PM1_SCI_ENABLE: u16 = 1;
/// Sleep control of hardware-reduced ACPI. (ACPI 6.5, 4.8.3.7.)
const REDUCED_SLEEP_ENABLE: u8 = 1 << 5;
const REDUCED_SLEEP_TYPE_SHIFT: u32 = 2;
/// How long the firmware may take to hand over, and the machine to go off or to reset.
const PATIENCE_NS: u64 = 1_000_000_000;

/// Where a power-off stands; what fails meanwhile is not the end of the machine, but of that step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum Step {
    None,
    Aml,
    Registers,
}

static STEP: AtomicU32 = AtomicU32::new(Step::None as u32);
/// S5's type once AML has told it: 1 in bit 16, `a` and `b` in the low bytes.
static S5: AtomicU64 = AtomicU64::new(0);
const S5_KNOWN: u64 = 1 << 16;

/// Switches the machine off: ACPI S5, the sleep type coming from AML, else from a look at its bytes. If nothing helps,
/// says so and halts for good.
pub fn power_off() -> ! {
    interrupts::disable();
    if acpi::platform().is_some_and(|platform| platform.fadt.is_some()) {
        STEP.store(Step::Aml as u32, Ordering::Relaxed);
        if stack::run_on_new(aml::STACK_BYTES, ask_aml).is_err() {
            warn!("power-off: no memory for interpreting AML");
        }
    }
    sleep_for_good()
}

/// Called by whatever ends the machine: if that came of interpreting AML on the way to power-off, goes on with the next
/// step instead of returning.
pub(crate) fn resume_power_off() {
    if STEP.load(Ordering::Relaxed) == Step::Aml as u32 {
        sleep_for_good();
    }
}

extern "C" fn ask_aml() {
    let Some(fadt) = acpi::platform().and_then(|platform| platform.fadt.as_ref()) else {
        return;
    };
    match Aml::load(fadt) {
        Ok(aml) => {
            if let Some(s5) = aml.s5() {
                S5.store(
                    S5_KNOWN | u64::from(s5.a) << 8 | u64::from(s5.b),
                    Ordering::Relaxed,
                );
            }
            aml.prepare_to_sleep();
        }
        Err(error) => warn!(
            "power-off: AML cannot be interpreted ({error:?}); looking for \\_S5_ by its bytes"
        ),
    }
}

fn sleep_for_good() -> ! {
    STEP.store(Step::Registers as u32, Ordering::Relaxed);
    let fadt = acpi::platform().and_then(|platform| platform.fadt.as_ref());
    match fadt.and_then(|fadt| Some((fadt, fadt.sleep?, s5_type(fadt)?))) {
        Some((fadt, control, s5)) => {
            take_over(fadt, control);
            crate::log::flush();
            // Only now: a CPU that is stopped may hold a lock that any of the steps before would wait for.
            halt::stop_others();
            enter(control, s5);
            time::poll_for(PATIENCE_NS, || false);
            warn!("power-off: the machine did not go off after ACPI S5; switch it off by hand");
        }
        None => warn!("power-off: ACPI offers no S5 on this machine; switch it off by hand"),
    }
    halt::forever()
}

fn s5_type(fadt: &Fadt) -> Option<SleepType> {
    let known = S5.load(Ordering::Relaxed);
    if known & S5_KNOWN != 0 {
        return Some(SleepType {
            a: (known >> 8) as u8,
            b: known as u8,
        });
    }
    tables::at(fadt.dsdt).and_then(find_s5).or_else(|| {
        tables::all()
            .filter(|table| table.starts_with(b"SSDT"))
            .find_map(find_s5)
    })
}

/// Enables ACPI mode where the firmware still has the registers. (ACPI 6.5, 4.8.2.5.)
fn take_over(fadt: &Fadt, control: SleepControl) {
    let (Some(takeover), SleepControl::Pm1 { a, .. }) = (fadt.takeover, control) else {
        return;
    };
    let enabled = || a.read_u16() & PM1_SCI_ENABLE != 0;
    if !enabled() {
        // SAFETY: the FADT names this port and value for exactly this.
        unsafe { outb(takeover.port, takeover.enable) };
        time::poll_for(PATIENCE_NS, enabled);
    }
}

fn enter(control: SleepControl, s5: SleepType) {
    match control {
        SleepControl::Pm1 { a, b } => {
            let value = |register: acpi::fadt::Register, sleep_type: u8| {
                register.read_u16() & !PM1_SLEEP_TYPE_MASK
                    | u16::from(sleep_type) << PM1_SLEEP_TYPE_SHIFT
            };
            let value_a = value(a, s5.a);
            let second = b.map(|b| (b, value(b, s5.b)));
            // The type first, then type and enable, as the hardware may latch one before the other.
            for enable in [0, PM1_SLEEP_ENABLE] {
                a.write_u16(value_a | enable);
                if let Some((b, value_b)) = second {
                    b.write_u16(value_b | enable);
                }
            }
        }
        SleepControl::Reduced(register) => {
            register.write_u8(s5.a << REDUCED_SLEEP_TYPE_SHIFT | REDUCED_SLEEP_ENABLE);
        }
    }
}

/// Resets the machine: by the FADT's register, port CF9h, the keyboard controller, and at last a triple fault.
pub fn reboot() -> ! {
    interrupts::disable();
    info!("resetting the machine");
    crate::log::flush();
    let each_ns = PATIENCE_NS / 20;
    let fadt = acpi::platform().and_then(|platform| platform.fadt.as_ref());
    if let Some((register, value)) = fadt.and_then(|fadt| fadt.reset) {
        register.write_u8(value);
        time::poll_for(each_ns, || false);
    }
    // SAFETY: both ports are the platform's reset; whatever they do otherwise no longer matters.
    unsafe {
        // Chipset reset control: full reset, then the edge. (PIIX3 data sheet, 2.5.5.)
        outb(0xcf9, inb(0xcf9) & !0b1110 | 0b0010);
        outb(0xcf9, inb(0xcf9) | 0b0110);
        time::poll_for(each_ns, || false);
        // Keyboard controller: pulse the reset line.
        time::poll_for(each_ns, || inb(0x64) & 0b10 == 0);
        outb(0x64, 0xfe);
        time::poll_for(each_ns, || false);
    }
    halt::triple_fault()
}
