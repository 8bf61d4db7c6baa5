//! The end: a report, and then a machine that stands still instead of resetting itself for ever.

use crate::apic::local;
use crate::cpu::interrupts;
use crate::{error, log, power};
use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

/// The other CPUs are to stop when an NMI reaches them.
static STOPPING: AtomicBool = AtomicBool::new(false);
/// Somebody has begun to say why the machine ends.
static REPORTED: AtomicBool = AtomicBool::new(false);

/// Reports on every console what was wrong, stops all CPUs and stays so.
pub fn with_report(report: fmt::Arguments<'_>) -> ! {
    interrupts::disable();
    // The first CPU to end the machine says why; what the others meet meanwhile follows from that.
    if !REPORTED.swap(true, Ordering::AcqRel) {
        error!("{report}");
        log::flush_in_emergency();
        power::resume_power_off();
        error!("Monovisor has stopped; reset the machine by hand");
        log::flush_in_emergency();
        stop_others();
    }
    park()
}

/// Stops all CPUs, quietly: whoever calls this has said why.
pub fn forever() -> ! {
    interrupts::disable();
    log::flush_in_emergency();
    stop_others();
    park()
}

/// True if the machine is ending, so that an NMI means "stop".
pub(crate) fn stopping() -> bool {
    STOPPING.load(Ordering::Acquire)
}

/// Stops the other CPUs alone.
pub(crate) fn stop_others() {
    STOPPING.store(true, Ordering::Release);
    local::send_nmi_to_others();
}

/// Stops this CPU.
pub(crate) fn park() -> ! {
    loop {
        interrupts::disable();
        // SAFETY: with interrupts off only an NMI ends HLT, and then it is called again.
        unsafe { asm!("hlt", options(nostack)) };
    }
}

/// Makes this CPU shut down, which resets a PC: the last means of a reboot.
pub(crate) fn triple_fault() -> ! {
    let empty = [0_u16; 5];
    // SAFETY: the point is that no handler is left for the exception.
    unsafe {
        asm!("lidt [{}]", "ud2", in(reg) empty.as_ptr(), options(noreturn));
    }
}
