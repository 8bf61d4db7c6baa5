//! Consoles: COM1, the screen, and the multiplexer that lets the guest's serial line and Monovisor's prompt share COM1.

pub mod bytes;
pub mod fanout;
pub mod input;
pub mod mux;
pub mod ports;
pub mod screen;
pub mod serial;
pub mod view;

/// The guest's ends of all that leads to people.
pub struct GuestEnds {
    /// Its serial line.
    pub line: bytes::GuestEnd,
    /// Its keyboard and pointer.
    pub input: input::GuestEnd,
    /// Its screen.
    pub view: view::GuestEnd,
}

use boot::{BootInfo, Framebuffer};
use guest_mem::Hpa;

use crate::{log, mem, warn};

/// Prints lines on COM1 from now on. The first thing that a program does: needs neither memory nor interrupts.
///
/// # Safety
/// Nothing else may drive COM1, until [`log::detach_serial`] gives it back.
pub unsafe fn start_serial() {
    // SAFETY: the caller's promise.
    if let Some(serial) = unsafe { serial::Serial::probe() } {
        log::attach_serial(serial, log::Reader::from_oldest());
    }
}

/// Prints lines on the firmware's screen as well, from the first one on. Once, after memory.
pub fn start_screen(boot: &BootInfo) {
    let Some((base, bytes)) = screen::memory_of(&boot.framebuffer) else {
        return;
    };
    let mapped = match boot.framebuffer {
        Framebuffer::Linear { .. } => mem::map_framebuffer(Hpa(base), bytes),
        _ => mem::map_mmio(Hpa(base), bytes),
    };
    let Some(memory) = mapped else {
        return warn!(
            "screen: {bytes} bytes at {base:#x} cannot be mapped; lines come out on COM1 only"
        );
    };
    // SAFETY: just mapped, for good, and the firmware's screen is used by nothing else once the firmware is left.
    match unsafe { screen::Screen::new(&boot.framebuffer, memory) } {
        Some(screen) => log::attach_screen(screen),
        None => warn!(
            "screen: cannot draw on {:?}; lines come out on COM1 only",
            boot.framebuffer
        ),
    }
}
