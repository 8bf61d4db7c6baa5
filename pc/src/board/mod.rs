//! The board: chips wired as in a 440FX PC, plus slots for PCI functions.
//!
//! [`Board`] guarantees: an access that nobody decodes is told as such, or reads all ones; interrupt lines are right after
//! every call; [`Board::deadline`] names a time only if something can then reach a CPU, so an idle guest is left alone.
//! A new or reset board is set up as PC firmware leaves the chipset before it starts an operating system: PIRQ A to D on
//! IRQ 10, 10, 11, 11; IRQ 9 to 11 level-triggered; power management block at 600h.

#[cfg(test)]
mod clock_tests;
mod display;
mod firmware;
mod floppy;
mod ide;
mod input;
mod interrupts;
mod memory;
mod ports;
mod saved;
#[cfg(test)]
mod tests;
mod timers;

pub use memory::{HPET_BASE, IOAPIC_BASE};
pub use saved::SavedPart;

use crate::a20::A20;
use crate::acpi_pm::Power;
use crate::dma::Dma;
use crate::floppy::Floppy;
use crate::fw_cfg::FwCfg;
use crate::hpet::Hpet;
use crate::ide::{Drive, Ide};
use crate::kbc::Kbc;
use crate::pci::{AttachError, Bus, PIRQS, Pirqs};
use crate::pit::Pit;
use crate::reset::Reset;
use crate::rtc::Rtc;
use crate::uart::Uart;
use crate::vmmouse::VmMouse;
use alloc::boxed::Box;
use alloc::vec::Vec;
use hvm::Instant;
use hvm::backend::BoxedBytes;
use hvm::device::Context;
use hvm::pci::{Function, Window};
use input::Console;
use interrupts::{COM1_IRQ, COM2_IRQ, Interrupts, Source};

/// What a board is built from.
pub struct BoardConfig {
    /// Wall-clock time at [`Instant::ZERO`], seconds since 1970-01-01 UTC.
    pub epoch_seconds: u64,
    /// Behind the port at 3F8h, IRQ 4; `None` leaves the port out.
    pub com1: Option<BoxedBytes>,
    /// Behind the port at 2F8h, IRQ 3.
    pub com2: Option<BoxedBytes>,
    /// The IDE drives: primary first and second, secondary first and second. `None` leaves out the function that they hang on; the
    /// chip itself always has it, and firmware that knows the chip relies on that.
    pub ide: Option<[Option<Drive>; 4]>,
}

/// A serial port and its interrupt.
struct Serial {
    uart: Uart,
    irq: u8,
}

/// The board.
pub struct Board {
    interrupts: Interrupts,
    pit: Pit,
    rtc: Rtc,
    power: Power,
    reset: Reset,
    a20: A20,
    hpet: Hpet,
    dma: Dma,
    floppy: Floppy,
    kbc: Kbc,
    vmmouse: VmMouse,
    console: Console,
    fw_cfg: Option<FwCfg>,
    flash: Vec<firmware::Part>,
    com1: Option<Serial>,
    com2: Option<Serial>,
    bus: Bus,
    /// Where the linear framebuffer was when guest memory was last told.
    announced: Option<Window>,
    /// The PIRQ lines as last brought onto the interrupt lines.
    driven: Pirqs,
    /// When a timer output next moves, masked or not; [`Board::advance_timers`] after every change of a timer keeps it true.
    next_event: Option<Instant>,
    /// What [`Board::deadline`] answers, until a timer or a mask changes.
    unmasked: Option<Instant>,
    deadline_is_stale: bool,
}

impl Board {
    /// A board as after power-on and chipset set-up.
    pub fn new(config: BoardConfig) -> Self {
        let serial = |backend: Option<BoxedBytes>, irq| {
            backend.map(|backend| Serial {
                uart: Uart::new(backend),
                irq,
            })
        };
        let mut bus = Bus::new();
        if let Some(drives) = config.ide {
            bus.set_ide(Ide::new(drives));
        }
        Self {
            interrupts: Interrupts::new(),
            pit: Pit::new(),
            rtc: Rtc::new(config.epoch_seconds),
            power: Power::new(),
            reset: Reset::new(),
            a20: A20::Open,
            hpet: Hpet::new(),
            dma: Dma::new(),
            floppy: Floppy::new(),
            kbc: Kbc::new(),
            vmmouse: VmMouse::new(),
            console: Console::default(),
            fw_cfg: None,
            flash: Vec::new(),
            com1: serial(config.com1, COM1_IRQ),
            com2: serial(config.com2, COM2_IRQ),
            bus,
            announced: None,
            driven: Pirqs::default(),
            next_event: None,
            unmasked: None,
            deadline_is_stale: true,
        }
    }

    /// Puts a function into slot 2…31 of PCI bus 0.
    pub fn attach(&mut self, slot: u8, function: Box<dyn Function>) -> Result<(), AttachError> {
        self.bus.attach(slot, function)
    }

    /// Sets a byte of CMOS RAM (0Eh…7Fh) on behalf of firmware.
    pub fn set_cmos(&mut self, index: u8, value: u8) {
        self.rtc.set_ram(index, value);
    }

    /// The wall clock, which said `given` seconds since 1970 by now, is `right`: the clock chip follows, unless the guest has set it.
    pub fn correct_clock(&mut self, given: u64, right: u64, now: Instant) {
        self.rtc.correct(given, right, now);
    }

    /// Lets time reach `context.now` and moves what back ends have ready. Called when [`Board::deadline`] is over and after a
    /// kick from a service.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        match self.take_input(context) {
            true => self.advance_timers(context),
            false => self.settle(context),
        }
        for serial in [&mut self.com1, &mut self.com2].into_iter().flatten() {
            serial.uart.poll();
        }
        self.drive_serial(context);
        self.with_floppy(context, Floppy::poll);
        self.bus.poll(context);
        self.drive_ide(context);
        self.drive_pirqs(context);
    }

    /// The same for network cards alone.
    pub fn poll_network(&mut self, context: &mut Context<'_>) {
        self.bus.poll_network(context);
        self.drive_pirqs(context);
    }

    /// A virtual CPU has nothing to do: what cards have put off until then is done.
    pub fn idle(&mut self, context: &mut Context<'_>) {
        self.bus.idle(context);
        self.drive_pirqs(context);
    }

    /// When to call [`Board::poll`] for time's sake; `None` if no timer can interrupt a CPU as things stand.
    #[inline]
    pub fn deadline(&mut self) -> Option<Instant> {
        if self.deadline_is_stale {
            self.deadline_is_stale = false;
            // The usual case: no timer is armed at all.
            self.unmasked = self.next_event.and_then(|_| self.unmasked_deadline());
        }
        // Cards are polled for time's sake whatever their lines' masks: what they do then need not be an interrupt.
        match (self.unmasked, self.bus.deadline()) {
            (timers, None) => timers,
            (None, cards) => cards,
            (Some(timers), Some(cards)) => Some(timers.min(cards)),
        }
    }

    /// The level of the 8259 pair's INTR output.
    #[inline]
    pub fn pic_interrupt(&self) -> bool {
        self.interrupts.pic.output()
    }

    /// The CPU's acknowledge cycle: the vector, a spurious one if the request went away.
    #[inline]
    pub fn pic_acknowledge(&mut self) -> u8 {
        self.deadline_is_stale = true;
        self.interrupts.pic.acknowledge()
    }

    /// A local APIC ended a level-triggered interrupt.
    pub fn end_of_interrupt(&mut self, vector: u8, context: &mut Context<'_>) {
        self.deadline_is_stale = true;
        self.interrupts
            .ioapic
            .end_of_interrupt(vector, context.signals);
    }

    /// Someone pressed the power button.
    pub fn power_button(&mut self, context: &mut Context<'_>) {
        self.power.press_button();
        self.advance_timers(context);
    }

    /// The A20 line, which port 92h and the keyboard controller move.
    pub fn a20(&self) -> A20 {
        self.a20
    }

    /// Moves the A20 line on behalf of firmware (INT 15h, 24xxh).
    pub fn set_a20(&mut self, a20: A20) {
        self.a20 = a20;
    }

    /// True while bit 7 of port 70h masks NMI.
    pub fn nmi_masked(&self) -> bool {
        self.rtc.nmi_masked()
    }

    /// Brings the serial ports' outputs onto their lines.
    #[inline]
    fn drive_serial(&mut self, context: &mut Context<'_>) {
        for serial in [&self.com1, &self.com2].into_iter().flatten() {
            let level = serial.uart.interrupt();
            self.interrupts
                .drive(serial.irq, Source::Isa, level, context.signals);
        }
    }

    /// Brings PIRQ A to D onto the lines that they are routed to.
    #[inline]
    fn drive_pirqs(&mut self, context: &mut Context<'_>) {
        if let Some(pirqs) = self.bus.pirqs_news() {
            self.redrive_pirqs(pirqs, context);
        }
    }

    fn redrive_pirqs(&mut self, pirqs: Pirqs, context: &mut Context<'_>) {
        for (pirq, (old, new)) in (0..PIRQS).zip(self.driven.routes.into_iter().zip(pirqs.routes)) {
            let source = Source::Pirq(pirq);
            if let Some(irq) = old.filter(|_| old != new) {
                self.interrupts.drive(irq, source, false, context.signals);
            }
            if let Some(irq) = new {
                let level = pirqs.levels & 1 << pirq != 0;
                self.interrupts.drive(irq, source, level, context.signals);
            }
        }
        self.driven = pirqs;
    }
}
