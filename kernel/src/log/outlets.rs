//! Where lines for people come out: COM1, until the console service owns it, and the screen.
//!
//! Guarantees that each line reaches each outlet once, in order, and that no context ever waits: who finds the outlets taken goes
//! away, and the holder looks again after letting go.

use core::sync::atomic::{AtomicU64, Ordering};
use spin::{Mutex, Once};

use super::{Level, RING, Reader, cpu, level};
use crate::console::{screen::Screen, serial::Serial};

struct Outlets {
    serial: Option<Serial>,
    serial_lines: Reader,
    screen: Option<Screen>,
    screen_lines: Reader,
}

static OUTLETS: Mutex<Outlets> = Mutex::new(Outlets {
    serial: None,
    serial_lines: Reader::from_oldest(),
    screen: None,
    screen_lines: Reader::from_oldest(),
});

/// The first line that has not gone out by the serial line; for [`flush_in_emergency`], which may not take the lock.
static SERIAL_NEXT: AtomicU64 = AtomicU64::new(0);
static NEW_LINES: Once<fn()> = Once::new();

impl Outlets {
    fn drain(&mut self) {
        if let Some(serial) = &mut self.serial {
            while let Some(line) = self.serial_lines.next_line() {
                serial.print_line(line.severity.prefix(), line.text());
                SERIAL_NEXT.store(self.serial_lines.position(), Ordering::Relaxed);
            }
        }
        if let Some(screen) = &mut self.screen {
            let before = self.screen_lines.position();
            while let Some(line) = self.screen_lines.next_line() {
                screen.print_line(line.severity.prefix(), line.text());
            }
            if self.screen_lines.position() != before {
                screen.draw();
            }
        }
    }
}

/// Prints what is not printed yet, unless somebody else is at it. Safe in every context.
pub fn flush() {
    loop {
        let seen = RING.next();
        match OUTLETS.try_lock() {
            Some(mut outlets) => outlets.drain(),
            None => break,
        }
        // A line pushed while we held the lock was left to us by its writer.
        if RING.next() == seen {
            break;
        }
    }
    // The hook sends interrupts; the code that an NMI interrupted may be half-way through sending one.
    if level::of(cpu()) != Level::Nmi
        && let Some(hook) = NEW_LINES.get()
    {
        hook();
    }
}

/// Starts printing on COM1, from the first line that `lines` has not read.
pub fn attach_serial(serial: Serial, lines: Reader) {
    let mut outlets = OUTLETS.lock();
    outlets.serial = Some(serial);
    outlets.serial_lines = lines;
    drop(outlets);
    flush();
}

/// Takes COM1 back, with a reader of the lines that it has not shown; the console service prints them from now on.
pub fn detach_serial() -> Option<(Serial, Reader)> {
    let mut outlets = OUTLETS.lock();
    let serial = outlets.serial.take()?;
    Some((serial, outlets.serial_lines.clone()))
}

/// Starts printing on the screen, with what was written so far.
pub fn attach_screen(screen: Screen) {
    OUTLETS.lock().screen = Some(screen);
    flush();
}

/// Draws on the screen; `None` if there is none. Outside interrupt handlers. Lines that are written meanwhile come out afterwards.
pub fn with_screen<R>(draw: impl FnOnce(&mut Screen) -> R) -> Option<R> {
    let drawn = OUTLETS.lock().screen.as_mut().map(draw);
    flush();
    drawn
}

/// Sets the function that is called, outside NMIs, when there are new lines. Only the first call counts.
pub fn on_new_lines(hook: fn()) {
    NEW_LINES.call_once(|| hook);
}

/// Tells [`flush_in_emergency`] how far the console service has come.
pub fn printed_up_to(reader: &Reader) {
    SERIAL_NEXT.store(reader.position(), Ordering::Relaxed);
}

/// Prints what is left on COM1 and on the screen, whoever holds them. For the last words of a machine that stops: the holder
/// may have been interrupted for good, so nothing is waited for, and lines may come out garbled.
pub fn flush_in_emergency() {
    let mut lines = Reader::from(SERIAL_NEXT.load(Ordering::Relaxed));
    if let Some(mut serial) = Serial::in_emergency() {
        while let Some(line) = lines.next_complete_line() {
            serial.print_line(line.severity.prefix(), line.text());
        }
    }
    SERIAL_NEXT.store(lines.position(), Ordering::Relaxed);
    if let Some(mut outlets) = OUTLETS.try_lock() {
        outlets.serial = None;
        outlets.drain();
        if let Some(screen) = &mut outlets.screen {
            screen.show_lines();
        }
    }
}
