//! Interrupt vectors and their handlers.
//!
//! | vectors | use |
//! | --- | --- |
//! | 20h-2Fh | spurious interrupts of the masked 8259s: ignored |
//! | 30h-DFh | devices, given out by [`register`] |
//! | E0h | this CPU's timer |
//! | F0h | kicks from other CPUs |
//! | FFh | spurious interrupts of the local APIC: ignored, never ended |
//!
//! A handler runs on the CPU that the interrupt was sent to, with interrupts off, and the interrupt is ended after it
//! returns. It must not allocate, and takes no lock that other code holds with interrupts on.

use super::local;
use crate::cpu::{self, Events, events};
use crate::log::level::{self, Level};
use crate::time::timer;
use core::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use core::{mem, ptr};

/// The timer of [`crate::time::timer`].
pub const TIMER: u8 = 0xe0;
/// [`crate::smp::kick`].
pub const KICK: u8 = 0xf0;
/// Spurious interrupts.
pub const SPURIOUS: u8 = 0xff;
const FIRST_DEVICE: u8 = 0x30;
const END_OF_DEVICES: u8 = 0xe0;

/// A handler; it is told its vector, so that one function can serve several.
pub type Handler = fn(vector: u8);

/// Handlers as pointers; null where there is none.
static HANDLERS: [AtomicPtr<()>; 256] = [const { AtomicPtr::new(ptr::null_mut()) }; 256];
static STRAYS: AtomicU64 = AtomicU64::new(0);

/// A device vector of one's own, for an MSI or an I/O APIC input; `None` when all 176 are in use. [`Events::DEVICE`] is
/// raised after each call of the handler.
pub fn register(handler: Handler) -> Option<u8> {
    let new = handler as *mut ();
    (FIRST_DEVICE..END_OF_DEVICES).find(|&vector| {
        HANDLERS[usize::from(vector)]
            .compare_exchange(ptr::null_mut(), new, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    })
}

/// Gives a device vector back, after its source was silenced.
pub fn unregister(vector: u8) {
    if (FIRST_DEVICE..END_OF_DEVICES).contains(&vector) {
        HANDLERS[usize::from(vector)].store(ptr::null_mut(), Ordering::Release);
    }
}

/// How many interrupts came that nobody had registered for.
pub fn stray_count() -> u64 {
    STRAYS.load(Ordering::Relaxed)
}

/// The way of every interrupt from its stub to its handler.
pub(crate) fn dispatch(vector: u8) {
    let cpu = cpu::current();
    cpu.count_interrupt();
    match vector {
        TIMER => {
            events::raise(Events::TIMER);
            timer::fired();
        }
        KICK => events::raise(Events::KICK),
        SPURIOUS => return,
        _ => {
            let handler = HANDLERS[usize::from(vector)].load(Ordering::Acquire);
            if handler.is_null() {
                STRAYS.fetch_add(1, Ordering::Relaxed);
            } else {
                // SAFETY: only `register` stores here, and it stores a `Handler`.
                let handler = unsafe { mem::transmute::<*mut (), Handler>(handler) };
                level::enter(cpu.index(), Level::Interrupt, || handler(vector));
                events::raise(Events::DEVICE);
            }
        }
    }
    // An 8259's interrupt is not in the local APIC's books; its spurious ones need no end at all.
    if vector >= FIRST_DEVICE {
        local::end_of_interrupt();
    }
}
