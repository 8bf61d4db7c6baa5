//! The way of interrupts: from devices to the local APIC, from there into the guest.

use hvm::apic::ApicMessage;
use hvm::device::{PowerEvent, Signals};
use hvm::event::{Events, InterruptSource};
use pc::board::Board;
use pc::lapic::{Accepted, Lapic};

/// What devices signal while the board works: messages go into the local APIC at once.
pub struct BoardSignals<'a> {
    pub lapic: &'a mut Lapic,
    pub events: &'a mut Events,
    pub power: &'a mut Option<PowerEvent>,
    /// Whether there was any.
    pub raised: bool,
}

/// Whether this vCPU's own APIC sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// It did.
    Myself,
    /// A device did.
    Device,
}

/// Gives a message to the one vCPU's APIC. INIT, start-up and ExtINT messages mean nothing to the only, running CPU:
/// the 8259s are wired to its LINT0.
pub fn route(lapic: &mut Lapic, events: &mut Events, message: &ApicMessage, sender: Sender) {
    if lapic.matches(&message.destination, sender == Sender::Myself)
        && lapic.accept(message) == Accepted::Nmi
    {
        events.raise_nmi();
    }
}

impl Signals for BoardSignals<'_> {
    fn interrupt(&mut self, message: ApicMessage) {
        self.raised = true;
        route(self.lapic, self.events, &message, Sender::Device);
    }

    /// Devices end no interrupts.
    fn end_of_interrupt(&mut self, _vector: u8) {}

    fn power(&mut self, event: PowerEvent) {
        self.raised = true;
        *self.power = Some(event);
    }
}

/// What the local APIC signals during one access: at most one message or one end of interrupt.
#[derive(Default)]
pub struct LapicSignals {
    pub message: Option<ApicMessage>,
    pub ended: Option<u8>,
}

impl Signals for LapicSignals {
    #[inline]
    fn interrupt(&mut self, message: ApicMessage) {
        self.message = Some(message);
    }

    #[inline]
    fn end_of_interrupt(&mut self, vector: u8) {
        self.ended = Some(vector);
    }

    fn power(&mut self, _event: PowerEvent) {}
}

/// The 8259s.
pub struct Pic<'a> {
    pub board: &'a spin::Mutex<Board>,
    /// Their output, as last seen.
    pub output: &'a mut bool,
}

impl Pic<'_> {
    fn acknowledge(&mut self) -> u8 {
        let mut board = self.board.lock();
        let vector = board.pic_acknowledge();
        *self.output = board.pic_interrupt();
        vector
    }
}

/// The 8259s, behind a local APIC whose own interrupts the CPU delivers.
pub struct PicAlone<'a> {
    pub pic: Pic<'a>,
    /// Whether the local APIC lets them through.
    pub reaches: bool,
}

impl InterruptSource for PicAlone<'_> {
    fn pending(&mut self) -> bool {
        self.reaches && *self.pic.output
    }

    fn acknowledge(&mut self) -> Option<u8> {
        Some(self.pic.acknowledge())
    }
}

/// The local APIC with the 8259s behind it.
pub struct Sources<'a> {
    pub lapic: &'a mut Lapic,
    pub pic: Pic<'a>,
}

impl InterruptSource for Sources<'_> {
    #[inline]
    fn pending(&mut self) -> bool {
        self.lapic.pending().is_some() || *self.pic.output && self.lapic.accepts_pic()
    }

    fn acknowledge(&mut self) -> Option<u8> {
        if let Some(vector) = self.lapic.pending() {
            self.lapic.acknowledge(vector);
            return Some(vector);
        }
        Some(self.pic.acknowledge())
    }

    fn held_by_priority(&mut self) -> Option<u8> {
        let priority = self.lapic.tpr();
        if priority & 0xf0 == 0 {
            return None;
        }
        self.lapic.set_tpr(0);
        let held = self.lapic.pending().map(|vector| vector >> 4);
        self.lapic.set_tpr(priority);
        held
    }
}
