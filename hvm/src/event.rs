//! Event injection: exceptions, NMI, interrupts, shadows and windows, as one state machine for both vendors.
//!
//! The order of events at an instruction boundary follows SDM vol. 3A, table 7-2 and APM vol. 2, 8.5: what was being
//! delivered when an exit cut it short goes first, then faults of the last instruction, then NMI, then interrupts.

use serde::{Deserialize, Serialize};

/// An event that enters the guest through its IDT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// External interrupt.
    Interrupt {
        /// Its vector.
        vector: u8,
    },
    /// Non-maskable interrupt.
    Nmi,
    /// A fault, trap or abort.
    Exception(Exception),
    /// INT n, whose delivery was cut short; the instruction is not executed again.
    SoftwareInterrupt {
        /// Its vector.
        vector: u8,
        /// Length of the instruction in bytes, which the return address must skip.
        length: u8,
    },
}

/// An exception with what it pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Its vector.
    pub vector: u8,
    /// The error code, for those that push one.
    pub error_code: Option<u32>,
    /// The new CR2, for page faults.
    pub cr2: Option<u64>,
}

impl Exception {
    /// Divide error.
    pub const DIVIDE: Self = Self::plain(0);
    /// Invalid opcode.
    pub const INVALID_OPCODE: Self = Self::plain(6);
    /// #GP(0).
    pub const GENERAL_PROTECTION: Self = Self::with_code(13, 0);
    /// Double fault.
    pub const DOUBLE_FAULT: Self = Self::with_code(8, 0);

    /// An exception without error code.
    pub const fn plain(vector: u8) -> Self {
        Self {
            vector,
            error_code: None,
            cr2: None,
        }
    }

    /// An exception with one.
    pub const fn with_code(vector: u8, error_code: u32) -> Self {
        Self {
            vector,
            error_code: Some(error_code),
            cr2: None,
        }
    }

    /// A page fault.
    pub const fn page_fault(error_code: u32, cr2: u64) -> Self {
        Self {
            vector: 14,
            error_code: Some(error_code),
            cr2: Some(cr2),
        }
    }

    /// True if it is a fault by its class: RIP is at the instruction, which may run again. The RFLAGS that its handler finds then have RF
    /// set, so that a breakpoint on the instruction is not met twice (SDM vol. 3B, 18.3.1.1; APM vol. 2, 3.1.6). Debug exceptions are
    /// none: those of breakpoints push RF as it is.
    pub const fn is_fault(self) -> bool {
        !matches!(self.vector, 1 | 3 | 4 | 8 | 18)
    }

    /// What this exception becomes that arises while `first` is being delivered: itself, a double fault, or the end.
    pub const fn after(self, first: Self) -> Result<Self, TripleFault> {
        match (first.class(), self.class()) {
            (Class::DoubleFault, Class::Contributory | Class::PageFault) => Err(TripleFault),
            (Class::Contributory, Class::Contributory)
            | (Class::PageFault, Class::Contributory | Class::PageFault) => Ok(Self::DOUBLE_FAULT),
            _ => Ok(self),
        }
    }

    /// The class that decides on double faults (SDM vol. 3A, table 6-5).
    const fn class(self) -> Class {
        match self.vector {
            0 | 10 | 11 | 12 | 13 => Class::Contributory,
            14 => Class::PageFault,
            8 => Class::DoubleFault,
            _ => Class::Benign,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Benign,
    Contributory,
    PageFault,
    DoubleFault,
}

/// What blocks interrupts besides RFLAGS.IF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shadow {
    /// Nothing.
    #[default]
    None,
    /// The instruction after STI or MOV SS; both block interrupts, and NMI is held as well, which either may do.
    Active,
}

/// A moment that the vendor crate is asked to stop at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// As soon as the guest can take an interrupt.
    Interrupt,
    /// As soon as the guest can take an interrupt of this priority class (vector / 16), which its task priority masks.
    Priority(u8),
    /// As soon as the guest can take an NMI: its NMI handler returned, and no shadow is left.
    Nmi,
    /// At the first of both.
    NmiOrInterrupt,
}

impl Window {
    /// True if it is one for NMIs, too.
    pub const fn has_nmi(self) -> bool {
        matches!(self, Self::Nmi | Self::NmiOrInterrupt)
    }
}

/// What to do before the next entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Inject this.
    pub inject: Option<Event>,
    /// Then stop here.
    pub window: Option<Window>,
}

/// A vCPU's triple fault: delivering a double fault faulted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripleFault;

/// Where interrupts come from: the local APIC, with the 8259 behind it.
pub trait InterruptSource {
    /// True if an interrupt waits that the guest's priorities let through.
    fn pending(&mut self) -> bool;
    /// Takes it, as an INTA cycle does. `None` if it went away meanwhile.
    fn acknowledge(&mut self) -> Option<u8>;
    /// The class (vector / 16) of an interrupt that only the task priority holds back.
    fn held_by_priority(&mut self) -> Option<u8> {
        None
    }
}

/// The pending events of one vCPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    queued: Option<Event>,
    nmis_pending: u8,
    nmi_blocked: NmiBlocking,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum NmiBlocking {
    #[default]
    Open,
    Blocked,
}

impl Events {
    /// Nothing pending.
    pub const fn new() -> Self {
        Self {
            queued: None,
            nmis_pending: 0,
            nmi_blocked: NmiBlocking::Open,
        }
    }

    /// Takes back what an exit kept from being delivered (EXITINTINFO, IDT-vectoring information).
    pub fn interrupted(&mut self, event: Event) {
        if event == Event::Nmi {
            self.nmi_blocked = NmiBlocking::Open;
        }
        self.queued = Some(event);
    }

    /// Raises an exception for the instruction at RIP. If another event was being delivered the pair may become a
    /// double fault, or a triple fault (SDM vol. 3A, 6.15, "Interrupt 8").
    pub fn raise(&mut self, exception: Exception) -> Result<(), TripleFault> {
        let raised = match self.queued {
            Some(Event::Exception(first)) => exception.after(first)?,
            _ => exception,
        };
        self.queued = Some(Event::Exception(raised));
        Ok(())
    }

    /// An NMI arrives. At most one waits behind the one being handled, as in the CPU's latch.
    pub fn raise_nmi(&mut self) {
        self.nmis_pending = 1;
    }

    /// The guest's NMI handler returned.
    pub fn nmi_done(&mut self) {
        self.nmi_blocked = NmiBlocking::Open;
    }

    /// True while the guest handles an NMI.
    pub fn nmi_blocked(&self) -> bool {
        self.nmi_blocked == NmiBlocking::Blocked
    }

    /// True if nothing but interrupts may have to be injected: the exit path's quick test.
    #[inline]
    pub const fn is_idle(&self) -> bool {
        self.queued.is_none() && self.nmis_pending == 0
    }

    /// True if an exception waits, or an event whose delivery was cut short.
    pub const fn is_delivering(&self) -> bool {
        self.queued.is_some()
    }

    /// True if something waits that ends HLT whatever RFLAGS.IF is.
    pub fn ends_halt(&self) -> bool {
        self.queued.is_some() || self.nmis_pending > 0 && !self.nmi_blocked()
    }

    /// Decides what enters the guest now. `interrupts_enabled` is RFLAGS.IF.
    pub fn plan(
        &mut self,
        interrupts_enabled: Interruptible,
        shadow: Shadow,
        source: &mut impl InterruptSource,
    ) -> Plan {
        if let Some(event) = self.queued.take() {
            if event == Event::Nmi {
                self.nmi_blocked = NmiBlocking::Blocked;
            }
            return Plan {
                inject: Some(event),
                window: self.next_window(source),
            };
        }
        if self.nmis_pending > 0 && self.nmi_blocked == NmiBlocking::Open {
            if shadow == Shadow::Active {
                return Plan {
                    inject: None,
                    window: self.next_window(source),
                };
            }
            self.nmis_pending = 0;
            self.nmi_blocked = NmiBlocking::Blocked;
            return Plan {
                inject: Some(Event::Nmi),
                window: self.next_window(source),
            };
        }
        let inject = if interrupts_enabled == Interruptible::Yes
            && shadow == Shadow::None
            && source.pending()
        {
            source
                .acknowledge()
                .map(|vector| Event::Interrupt { vector })
        } else {
            None
        };
        Plan {
            inject,
            window: self.next_window(source),
        }
    }

    /// What still waits after this entry's injection, and so where to stop.
    fn next_window(&self, source: &mut impl InterruptSource) -> Option<Window> {
        match (self.nmis_pending > 0, source.pending()) {
            (true, true) => Some(Window::NmiOrInterrupt),
            (true, false) => Some(Window::Nmi),
            (false, true) => Some(Window::Interrupt),
            (false, false) => source.held_by_priority().map(Window::Priority),
        }
    }
}

/// RFLAGS.IF, as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruptible {
    /// Set.
    Yes,
    /// Clear.
    No,
}

impl From<u64> for Interruptible {
    /// From RFLAGS.
    #[inline]
    fn from(rflags: u64) -> Self {
        if rflags & crate::regs::Rflags::IF.bits() != 0 {
            Self::Yes
        } else {
            Self::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    struct Queue(Vec<u8>);

    impl InterruptSource for Queue {
        fn pending(&mut self) -> bool {
            !self.0.is_empty()
        }
        fn acknowledge(&mut self) -> Option<u8> {
            self.0.pop()
        }
    }

    fn none() -> Queue {
        Queue(Vec::new())
    }

    #[test]
    fn an_interrupt_waits_for_the_flag_and_for_the_shadow() {
        let mut events = Events::new();
        let mut source = Queue(std::vec![0x40]);
        let wait = Plan {
            inject: None,
            window: Some(Window::Interrupt),
        };
        assert_eq!(
            events.plan(Interruptible::No, Shadow::None, &mut source),
            wait
        );
        assert_eq!(
            events.plan(Interruptible::Yes, Shadow::Active, &mut source),
            wait
        );
        let go = Plan {
            inject: Some(Event::Interrupt { vector: 0x40 }),
            window: None,
        };
        assert_eq!(
            events.plan(Interruptible::Yes, Shadow::None, &mut source),
            go
        );
    }

    #[test]
    fn a_second_interrupt_asks_for_a_window() {
        let plan = Events::new().plan(
            Interruptible::Yes,
            Shadow::None,
            &mut Queue(std::vec![0x30, 0x40]),
        );
        assert_eq!(plan.inject, Some(Event::Interrupt { vector: 0x40 }));
        assert_eq!(plan.window, Some(Window::Interrupt));
    }

    #[test]
    fn what_was_cut_short_goes_first() {
        let mut events = Events::new();
        events.raise_nmi();
        events.interrupted(Event::Interrupt { vector: 0x51 });
        let plan = events.plan(Interruptible::No, Shadow::None, &mut none());
        assert_eq!(
            plan,
            Plan {
                inject: Some(Event::Interrupt { vector: 0x51 }),
                window: Some(Window::Nmi)
            }
        );
        let plan = events.plan(Interruptible::No, Shadow::None, &mut none());
        assert_eq!(
            plan,
            Plan {
                inject: Some(Event::Nmi),
                window: None
            }
        );
    }

    #[test]
    fn an_nmi_blocks_the_next_until_its_handler_returns() {
        let mut events = Events::new();
        events.raise_nmi();
        assert_eq!(
            events
                .plan(Interruptible::Yes, Shadow::None, &mut none())
                .inject,
            Some(Event::Nmi)
        );
        events.raise_nmi();
        events.raise_nmi();
        let plan = events.plan(Interruptible::Yes, Shadow::None, &mut none());
        assert_eq!(
            plan,
            Plan {
                inject: None,
                window: Some(Window::Nmi)
            }
        );
        events.nmi_done();
        assert_eq!(
            events
                .plan(Interruptible::Yes, Shadow::None, &mut none())
                .inject,
            Some(Event::Nmi)
        );
        assert!(events.is_idle());
    }

    #[test]
    fn an_nmi_behind_its_handler_and_an_interrupt_wait_for_the_first_of_both() {
        let mut events = Events::new();
        events.raise_nmi();
        let mut source = Queue(std::vec![0x40]);
        let plan = events.plan(Interruptible::No, Shadow::None, &mut source);
        assert_eq!(
            (plan.inject, plan.window),
            (Some(Event::Nmi), Some(Window::Interrupt))
        );
        events.raise_nmi();
        assert!(!events.ends_halt());
        let plan = events.plan(Interruptible::No, Shadow::None, &mut source);
        assert_eq!(plan.window, Some(Window::NmiOrInterrupt));
        events.nmi_done();
        assert!(events.ends_halt());
        let plan = events.plan(Interruptible::Yes, Shadow::Active, &mut source);
        assert_eq!(plan.window, Some(Window::NmiOrInterrupt));
        let plan = events.plan(Interruptible::Yes, Shadow::None, &mut source);
        assert_eq!(
            (plan.inject, plan.window),
            (Some(Event::Nmi), Some(Window::Interrupt))
        );
    }

    #[test]
    fn faults_are_those_whose_instruction_runs_again() {
        let is_fault = |vector: u8| Exception::plain(vector).is_fault();
        assert!(
            [0, 5, 6, 7, 10, 11, 12, 13, 14, 16, 17, 19]
                .into_iter()
                .all(is_fault)
        );
        assert!(![1, 3, 4, 8, 18].into_iter().any(is_fault));
    }

    #[test]
    fn faults_on_faults_become_double_and_triple() {
        let gp = Exception::GENERAL_PROTECTION;
        let pf = Exception::page_fault(2, 0x1000);
        let mut events = Events::new();
        events.interrupted(Event::Exception(pf));
        assert_eq!(events.raise(gp), Ok(()));
        let plan = events
            .clone()
            .plan(Interruptible::No, Shadow::None, &mut none());
        assert_eq!(plan.inject, Some(Event::Exception(Exception::DOUBLE_FAULT)));
        assert_eq!(events.raise(pf), Err(TripleFault));

        // A contributory fault followed by a page fault is delivered as the page fault, and an interrupt never counts.
        let mut events = Events::new();
        events.interrupted(Event::Exception(gp));
        assert_eq!(events.raise(pf), Ok(()));
        assert_eq!(
            events
                .plan(Interruptible::No, Shadow::None, &mut none())
                .inject,
            Some(Event::Exception(pf))
        );
    }
}
