//! Realtek's Fast Ethernet controllers, to their data sheets: the RTL8139C(L)+ (revision 20h) with its rings of descriptors and
//! offloads, and the RTL8139C (revision 10h) with four transmit slots and a receive ring in one piece.
//!
//! [`Chip`] is the chip; [`Rtl8139`] puts it on the PCI bus. It guarantees that what a driver writes into registers and descriptors costs
//! bounded work, and at worst an interrupt that says so (SERR). Frames are on their way at once, so thresholds of FIFOs and early
//! interrupts are kept and have no effect; a frame that finds no room waits in the cable instead of being counted as missed.

mod bits;
mod eeprom;
mod filter;
mod function;
mod offload;
mod phy;
mod receive;
mod registers;
mod rings;
mod slots;
mod state;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
mod timer;

pub use function::Rtl8139;

use alloc::boxed::Box;
use bits::{CPlus, Command, Interrupt, ReceiveConfig};
use filter::Receiver;
use guest_mem::{Gpa, GuestMemory};
use hvm::Instant;
use hvm::backend::{Ethernet, Link, Wants};
use hvm::device::Context;
use hvm::packet::Packet;
use state::State;

/// Which chip it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revision {
    /// RTL8139C: no C+ mode.
    C,
    /// RTL8139C(L)+.
    CPlus,
}

impl Revision {
    /// The PCI revision.
    fn pci(self) -> u8 {
        match self {
            Self::C => 0x10,
            Self::CPlus => 0x20,
        }
    }

    /// The hardware version in the transmit configuration register.
    fn hardware(self) -> u32 {
        match self {
            Self::C => 0x7400_0000,
            Self::CPlus => 0x7480_0000,
        }
    }
}

/// Whether the chip may move data on the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mastery {
    /// It may.
    Allowed,
    /// It may not: not yet, or while it sleeps.
    Denied,
}

/// Most frames that one call sends.
const MAX_FRAMES: usize = 1024;

/// What came of looking for a frame to send.
enum Step {
    /// Something was done.
    Taken,
    /// There is nothing.
    Idle,
    /// The cable has no packet for it now.
    Stalled,
}

/// The chip.
pub struct Chip {
    revision: Revision,
    cable: Box<dyn Ethernet>,
    mac: [u8; 6],
    state: State,
    mastery: Mastery,
    /// A frame of the driver's that the cable had no room for.
    held: Option<Packet>,
    /// A frame that the driver had no room for.
    waiting: Option<Packet>,
}

impl Chip {
    /// A chip on `cable` whose EEPROM holds `mac`.
    pub fn new(revision: Revision, cable: Box<dyn Ethernet>, mac: [u8; 6]) -> Self {
        let state = State::new(mac, cable.link());
        Self {
            revision,
            cable,
            mac,
            state,
            mastery: Mastery::Denied,
            held: None,
            waiting: None,
        }
    }

    /// As after power-on.
    pub fn reset(&mut self) {
        self.state = State::new(self.mac, self.cable.link());
        self.held = None;
        self.waiting = None;
        self.listen();
    }

    /// Says whether it may move data from now on.
    pub fn set_mastery(&mut self, mastery: Mastery) {
        self.mastery = mastery;
    }

    /// Goes on from a saved state, which is sound.
    fn resume_from(&mut self, state: State) {
        self.state = state;
        self.held = None;
        self.waiting = None;
        self.listen();
    }

    /// What the reset bit does.
    fn soft_reset(&mut self) {
        self.state.soft_reset();
        self.held = None;
        self.waiting = None;
        self.listen();
    }

    /// Tells the cable whose frames the receiver takes.
    fn listen(&mut self) {
        let all = self.state.receive().contains(ReceiveConfig::ALL_STATIONS);
        self.cable.listen(match all {
            true => Wants::Everybody,
            false => Wants::Own,
        });
    }

    /// The level of the interrupt pin.
    pub fn interrupt(&self) -> bool {
        self.state.interrupt_mask & self.state.interrupt_status != 0
    }

    /// When the timer wants a turn.
    pub fn deadline(&self) -> Option<Instant> {
        let wanted = self.state.interrupt_mask & Interrupt::TIMER.bits() != 0;
        self.state.timer.deadline().filter(|_| wanted)
    }

    /// Moves what is ready, and looks at the timer and the link.
    pub fn poll(&mut self, context: &mut Context<'_>) {
        self.advance(context.now);
        if self.state.phy.see(self.cable.link()) {
            self.raise(Interrupt::LINK);
        }
        self.transmit(context.memory);
        self.receive_news(context.memory);
    }

    /// Lets time reach `now`.
    fn advance(&mut self, now: Instant) {
        if self.state.timer.fires(now) {
            self.raise(Interrupt::TIMER);
        }
    }

    fn raise(&mut self, interrupt: Interrupt) {
        self.state.interrupt_status |= interrupt.bits();
    }

    /// Whether frames are sent from rings of descriptors.
    fn sends_rings(&self) -> bool {
        CPlus::from_bits_truncate(self.state.cplus.command).contains(CPlus::TRANSMIT)
    }

    /// Whether frames come back instead of going out.
    fn loops(&self) -> bool {
        self.state.transmit_config & bits::LOOPBACK == bits::LOOPBACK
    }

    /// Sends what the driver has laid out, as far as the cable takes it.
    fn transmit(&mut self, memory: &GuestMemory) {
        let on = Command::from_bits_truncate(self.state.command).contains(Command::TRANSMIT);
        if !on || self.mastery == Mastery::Denied {
            return;
        }
        for _ in 0..MAX_FRAMES {
            if !self.send_held(memory) {
                return;
            }
            let step = if self.sends_rings() {
                self.send_descriptors(memory)
            } else {
                self.send_slot(memory)
            };
            if !matches!(step, Step::Taken) {
                return;
            }
        }
        self.send_held(memory);
    }

    /// Hands the frame that was taken last to the cable; false if it has no room for it now. A cable that is cut takes everything.
    fn send_held(&mut self, memory: &GuestMemory) -> bool {
        let Some(mut packet) = self.held.take() else {
            return true;
        };
        if self.loops() {
            packet.finish_checksum();
            if self.may_receive() && self.take_in(packet, memory).is_some() {
                self.state.missed = (self.state.missed + 1) & 0xff_ffff;
            }
            return true;
        }
        self.held = match self.cable.link() {
            Link::Up => self.cable.send(packet).err(),
            Link::Down => None,
        };
        self.held.is_none()
    }

    fn count_sent(&mut self, sent: bool) {
        let tally = &mut self.state.tally;
        if sent {
            tally.sent += 1;
            self.raise(Interrupt::SENT);
        } else {
            tally.not_sent += 1;
            tally.aborted = tally.aborted.wrapping_add(1);
            self.raise(Interrupt::NOT_SENT);
        }
    }

    fn count_received(&mut self, receiver: Receiver) {
        let tally = &mut self.state.tally;
        tally.received += 1;
        match receiver {
            Receiver::Own | Receiver::Other => tally.received_station += 1,
            Receiver::Everybody => tally.received_broadcast += 1,
            Receiver::Group => {
                tally.received_multicast = tally.received_multicast.wrapping_add(1);
            }
        }
    }

    /// Writes the counters to memory, if the driver asks for it.
    fn dump_tally(&mut self, memory: &GuestMemory) {
        let address = self.state.cplus.tally_address;
        if address & bits::DUMP == 0 {
            return;
        }
        self.state.cplus.tally_address = address & !bits::DUMP;
        let bytes = self.state.tally.to_bytes();
        if memory.write(Gpa(address & !0x3f), &bytes).is_err() {
            self.raise(Interrupt::BUS_ERROR);
        }
    }
}
