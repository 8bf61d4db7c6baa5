//! The way of interrupts: from devices to the local APIC, from there into the guest.

use super::machine::Machine;
use core::sync::atomic::Ordering;
use hvm::apic::{ApicMessage, Delivery, Destination, DestinationMode};
use hvm::device::{PowerEvent, Signals};
use hvm::event::{Events, InterruptSource};
use pc::lapic::{Accepted, Lapic};

/// What devices signal while the board works: messages go to the local APICs at once.
pub struct BoardSignals<'a> {
    pub receiver: Receiver<'a>,
    pub power: &'a mut Option<PowerEvent>,
    /// Whether there was any for this vCPU.
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

/// The vCPU that works, which takes its own messages at once; the others' go to their mailboxes.
pub struct Receiver<'a> {
    pub machine: &'a Machine,
    pub index: usize,
    pub lapic: &'a mut Lapic,
    pub events: &'a mut Events,
}

impl Receiver<'_> {
    /// Gives a message to whom it is for. ExtINT messages mean nothing: the 8259s are wired to LINT0 of the first vCPU.
    #[inline]
    pub fn route(&mut self, message: &ApicMessage, sender: Sender) {
        if self.machine.vcpus() > 1 {
            self.route_among(message, sender);
        } else if self
            .lapic
            .matches(&message.destination, sender == Sender::Myself)
        {
            self.take(message);
        }
    }

    /// This vCPU takes a message.
    fn take(&mut self, message: &ApicMessage) {
        match message.delivery {
            // What stops and starts it comes by its mailbox, between two exits.
            Delivery::Init | Delivery::StartUp => self.machine.mailboxes[self.index].send(message),
            _ => {
                if self.lapic.accept(message) == Accepted::Nmi {
                    self.events.raise_nmi();
                }
            }
        }
    }

    fn give(&mut self, to: usize, message: &ApicMessage) {
        if to == self.index {
            self.take(message);
        } else {
            self.machine.mailboxes[to].send(message);
        }
    }

    fn is_for(&self, index: usize, destination: &Destination, sender: Sender) -> bool {
        let address = if index == self.index {
            self.lapic.address()
        } else {
            self.machine.mailboxes[index].address()
        };
        address.matches(destination, sender == Sender::Myself && index == self.index)
    }

    #[inline(never)]
    fn route_among(&mut self, message: &ApicMessage, sender: Sender) {
        let destination = message.destination;
        let vcpus = self.machine.vcpus();
        // The id is the index, so a message for one needs no search.
        if let Destination::Field {
            value,
            mode: DestinationMode::Physical,
        } = destination
            && (value as usize) < vcpus
        {
            if self.is_for(value as usize, &destination, sender) {
                self.give(value as usize, message);
            }
            return;
        }
        if message.delivery == Delivery::LowestPriority {
            return self.route_to_one(message, sender);
        }
        for index in 0..vcpus {
            if self.is_for(index, &destination, sender) {
                self.give(index, message);
            }
        }
    }

    /// A lowest-priority message goes to one of those that it names, in turn: a vCPU changes its priority without telling, and the
    /// choice among equals is the hardware's own (SDM vol. 3A, 11.6.2.4).
    fn route_to_one(&mut self, message: &ApicMessage, sender: Sender) {
        let vcpus = self.machine.vcpus();
        let first = self.machine.turn.fetch_add(1, Ordering::Relaxed) as usize;
        let found = (0..vcpus)
            .map(|step| first.wrapping_add(step) % vcpus)
            .find(|&index| self.is_for(index, &message.destination, sender));
        if let Some(index) = found {
            self.give(index, message);
        }
    }
}

impl Signals for BoardSignals<'_> {
    fn interrupt(&mut self, message: ApicMessage) {
        self.raised = true;
        self.receiver.route(&message, Sender::Device);
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
    pub machine: &'a Machine,
    /// Their output, as last seen.
    pub output: &'a mut bool,
}

impl Pic<'_> {
    fn acknowledge(&mut self) -> u8 {
        let mut board = self.machine.board.lock();
        let vector = board.pic_acknowledge();
        *self.output = board.pic_interrupt();
        self.machine.face.set_pic_output(*self.output);
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
        if priority & 0xf0 == 0 || !self.lapic.has_requests() {
            return None;
        }
        self.lapic.set_tpr(0);
        let held = self.lapic.pending().map(|vector| vector >> 4);
        self.lapic.set_tpr(priority);
        held
    }
}
