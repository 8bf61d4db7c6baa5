//! The timers' wiring: which of them has which line, and when the next has something to say.

use super::Board;
use super::interrupts::{KEYBOARD_IRQ, MOUSE_IRQ, RTC_IRQ, SCI_IRQ, SPARE_PINS, Source, TIMER_IRQ};
use crate::hpet::{Output, Route};
use hvm::Instant;
use hvm::device::Context;

impl Board {
    /// Catches up with timers whose outputs moved. Cheap when none did.
    #[inline]
    pub(super) fn settle(&mut self, context: &mut Context<'_>) {
        if self.next_event.is_some_and(|event| context.now >= event) {
            self.advance_timers(context);
        }
    }

    /// Brings all timers to now and their outputs onto the lines.
    pub(super) fn advance_timers(&mut self, context: &mut Context<'_>) {
        let output = self.pit.advance(context.now);
        self.rtc.advance(context.now);
        let signals = &mut *context.signals;
        if !self.hpet.replaces_legacy() {
            if output.rose {
                self.interrupts
                    .drive(TIMER_IRQ, Source::Isa, false, signals);
                self.interrupts.drive(TIMER_IRQ, Source::Isa, true, signals);
            }
            self.interrupts
                .drive(TIMER_IRQ, Source::Isa, output.level, signals);
            self.interrupts
                .drive(RTC_IRQ, Source::Isa, self.rtc.interrupt(), signals);
        }
        self.power.advance(context.now);
        self.interrupts
            .drive(SCI_IRQ, Source::Isa, self.power.interrupt(), signals);
        if self.hpet.deadline().is_some() {
            self.hpet.advance(context.now);
            self.drive_hpet(context);
        }
        self.advance_kbc(context);
        self.note_timers();
    }

    /// Looks when a timer moves next.
    pub(super) fn note_timers(&mut self) {
        self.deadline_is_stale = true;
        self.next_event = [
            self.pit.deadline(),
            self.rtc.deadline(),
            self.power.deadline(),
            self.hpet.deadline(),
            self.kbc.deadline(),
        ]
        .into_iter()
        .flatten()
        .min();
    }

    /// The soonest moment at which a timer can interrupt a CPU.
    pub(super) fn unmasked_deadline(&self) -> Option<Instant> {
        let timer =
            |irq, deadline: Option<Instant>| deadline.filter(|_| self.interrupts.passes(irq));
        let legacy = |deadline: Option<Instant>| deadline.filter(|_| !self.hpet.replaces_legacy());
        let chips = [
            timer(TIMER_IRQ, legacy(self.pit.deadline())),
            timer(RTC_IRQ, legacy(self.rtc.deadline())),
            timer(SCI_IRQ, self.power.deadline()),
            timer(KEYBOARD_IRQ, self.kbc.deadline()),
            timer(MOUSE_IRQ, self.kbc.deadline()),
        ];
        let hpet = self
            .hpet
            .deadlines()
            .map(|deadline| deadline.and_then(|(route, at)| timer(line(route), Some(at))));
        chips.into_iter().chain(hpet).flatten().min()
    }

    /// Brings the HPET's outputs onto their lines. Lines that a timer left go down; those of PIT and clock are theirs again.
    pub(super) fn drive_hpet(&mut self, context: &mut Context<'_>) {
        let signals = &mut *context.signals;
        for (index, output) in (0..).zip(self.hpet.outputs()) {
            let line = output.map(|(route, _)| line(route));
            for pin in SPARE_PINS {
                if line != Some(pin) {
                    self.interrupts
                        .drive(pin, Source::Timer(index), false, signals);
                }
            }
            let (Some((route, output)), Some(line)) = (output, line) else {
                continue;
            };
            let source = match route {
                Route::Pit | Route::Rtc => Source::Isa,
                Route::IoApic(_) => Source::Timer(index),
            };
            match output {
                Output::Edge(true) => {
                    self.interrupts.drive(line, source, false, signals);
                    self.interrupts.drive(line, source, true, signals);
                    // A line of an 8259 stays up until the next edge: the chip wants it so until it is acknowledged.
                    if source != Source::Isa {
                        self.interrupts.drive(line, source, false, signals);
                    }
                }
                Output::Edge(false) => {}
                Output::Level(level) => self.interrupts.drive(line, source, level, signals),
            }
        }
    }
}

fn line(route: Route) -> u8 {
    match route {
        Route::Pit => TIMER_IRQ,
        Route::Rtc => RTC_IRQ,
        Route::IoApic(pin) => pin,
    }
}
