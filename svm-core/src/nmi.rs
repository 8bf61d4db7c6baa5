//! When an NMI may enter the guest. AMD-V without virtual NMIs neither says so nor has a window for it (APM vol. 2, 15.20).
//!
//! While a handler runs its IRET is intercepted. If no other NMI waits, the IRET is let go: behind it NMIs are open. If one does,
//! the guest is stepped over the IRET with a borrowed RFLAGS.TF. Nothing else is stepped: no other instruction that could show
//! the flag, and no event whose delivery would push it, ever runs with it. An NMI that only a shadow holds back enters
//! behind it where interrupts are on, and else at the next exit, IRET or STI; the vCPU loop sees to it that an exit comes.

use crate::bits::{clean, exit, intercept1};
use crate::vcpu::Svm;
use hvm::event::Window;
use hvm::exit::Exit;
use hvm::regs::{DR6_BS, Registers, Rflags};
use hvm::vcpu::Vcpu;

const DR6_BREAKPOINTS: u64 = 0xf;

/// The blocking of NMIs by their handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nmi {
    /// No handler runs.
    Open,
    /// A handler runs, and its IRET will exit.
    Blocked,
    /// The handler's IRET, which is at this RIP, was let go.
    Returns {
        /// Where it is.
        rip: u64,
    },
    /// The handler's IRET is being stepped over.
    Stepped {
        /// The breakpoints that DR6 showed before.
        breakpoints: u64,
    },
}

impl Svm {
    /// An NMI is delivered with the next entry.
    pub(crate) fn nmi_injected(&mut self) {
        self.nmi = Nmi::Blocked;
        self.intercept(intercept1::IRET, true);
    }

    /// True if no handler runs.
    pub(crate) fn nmi_handler_returned(&self) -> bool {
        match self.nmi {
            Nmi::Open => true,
            Nmi::Returns { rip } => rip != self.rip(),
            Nmi::Blocked | Nmi::Stepped { .. } => false,
        }
    }

    /// True if the next IRET exits.
    #[inline]
    pub(crate) fn watches_iret(&self) -> bool {
        self.vmcb().control.intercept1 & intercept1::IRET != 0
    }

    /// Sees to it that the guest is left when an NMI may enter, if `window` asks for that.
    pub(crate) fn watch_iret(&mut self, window: Option<Window>) {
        if self.nmi_handler_returned() {
            self.nmi = Nmi::Open;
            self.intercept(intercept1::IRET, window.is_some_and(Window::has_nmi));
        } else if window.is_some_and(Window::has_nmi) && matches!(self.nmi, Nmi::Returns { .. }) {
            // It has not been executed yet.
            self.nmi_injected();
        }
    }

    /// An exit that may be ours alone: an IRET or a single step. Returns the exit to report, if any.
    #[cold]
    pub(crate) fn nmi_exit(&mut self, seen: Exit) -> Option<Exit> {
        match (seen, self.nmi) {
            (
                Exit::Unexpected {
                    code: exit::IRET, ..
                },
                nmi,
            ) => {
                self.intercept(intercept1::IRET, false);
                if nmi == Nmi::Open {
                    return Some(Exit::InterruptWindow);
                }
                if self.window.is_some_and(Window::has_nmi) {
                    self.step();
                } else {
                    self.nmi = Nmi::Returns { rip: self.rip() };
                }
                None
            }
            (Exit::Exception { vector: 1, .. }, Nmi::Stepped { breakpoints }) => {
                self.stepped(seen, breakpoints)
            }
            _ => Some(seen),
        }
    }

    fn step(&mut self) {
        let save = &mut self.vmcb_mut().save;
        let breakpoints = save.dr6 & DR6_BREAKPOINTS;
        let own = save.rflags & Rflags::TF.bits() != 0;
        save.rflags |= Rflags::TF.bits();
        self.nmi = Nmi::Stepped { breakpoints };
        self.own_flags = if own { u64::MAX } else { !Rflags::TF.bits() };
    }

    /// IRET has loaded RFLAGS anew. The guest gets the trap if it has causes of its own: its single step, or a breakpoint.
    fn stepped(&mut self, seen: Exit, breakpoints: u64) -> Option<Exit> {
        let borrowed = self.own_flags != u64::MAX;
        self.nmi = Nmi::Open;
        self.own_flags = u64::MAX;
        let save = &mut self.touch(clean::DRX).save;
        if borrowed {
            save.dr6 &= !DR6_BS;
        }
        if borrowed && save.dr6 & DR6_BREAKPOINTS & !breakpoints == 0 {
            return Some(Exit::NmiWindow);
        }
        // The window is for an open NMI from now on.
        self.set_window(self.window);
        Some(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::vcpu;
    use hvm::capability::Options;
    use hvm::event::Event;

    const IRET: Exit = Exit::Unexpected {
        code: exit::IRET,
        info: [0; 2],
    };
    const DEBUG: Exit = Exit::Exception {
        vector: 1,
        error_code: 0,
    };

    fn in_handler() -> Svm {
        let mut cpu = vcpu(15, Options::empty());
        cpu.inject(Event::Nmi);
        cpu.set_rip(0x1000);
        assert_ne!(cpu.vmcb().control.intercept1 & intercept1::IRET, 0);
        assert!(!cpu.nmis_open());
        cpu
    }

    fn trap_flag(cpu: &Svm) -> bool {
        cpu.vmcb().save.rflags & Rflags::TF.bits() != 0
    }

    #[test]
    fn a_waiting_nmi_enters_one_step_after_iret() {
        let mut cpu = in_handler();
        cpu.set_window(Some(Window::Nmi));
        assert!(!trap_flag(&cpu));
        assert_eq!(cpu.nmi_exit(IRET), None);
        assert!(trap_flag(&cpu));
        assert_eq!(cpu.rflags() & Rflags::TF.bits(), 0);
        assert!(!cpu.nmis_open());
        cpu.set_rflags(2);
        cpu.vmcb_mut().save.dr6 |= DR6_BS;
        assert_eq!(cpu.nmi_exit(DEBUG), Some(Exit::NmiWindow));
        assert_eq!(cpu.dr6() & DR6_BS, 0);
        assert!(cpu.nmis_open());
        assert_eq!(cpu.nmi_exit(DEBUG), Some(DEBUG));
    }

    #[test]
    fn without_another_nmi_nothing_is_stepped() {
        let mut cpu = in_handler();
        assert_eq!(cpu.nmi_exit(IRET), None);
        assert!(!trap_flag(&cpu));
        assert_eq!(cpu.vmcb().control.intercept1 & intercept1::IRET, 0);
        // An NMI that comes before the IRET was executed waits for it.
        assert!(!cpu.nmis_open());
        cpu.set_window(Some(Window::Nmi));
        assert_eq!(cpu.nmi_exit(IRET), None);
        assert!(trap_flag(&cpu));

        let mut cpu = in_handler();
        assert_eq!(cpu.nmi_exit(IRET), None);
        cpu.set_rip(0x2000);
        assert!(cpu.nmis_open());
    }

    #[test]
    fn a_guest_that_steps_itself_gets_its_trap() {
        let mut cpu = in_handler();
        cpu.set_rflags(Rflags::TF.bits());
        cpu.set_window(Some(Window::Nmi));
        assert_eq!(cpu.nmi_exit(IRET), None);
        cpu.vmcb_mut().save.dr6 |= DR6_BS;
        assert_eq!(cpu.nmi_exit(DEBUG), Some(DEBUG));
        assert_ne!(cpu.dr6() & DR6_BS, 0);
        assert!(cpu.nmis_open());
        // The NMI enters at the next IRET.
        assert_eq!(cpu.nmi_exit(IRET), Some(Exit::InterruptWindow));
    }

    #[test]
    fn a_breakpoint_behind_the_iret_is_not_lost() {
        let mut cpu = in_handler();
        cpu.set_window(Some(Window::Nmi));
        assert_eq!(cpu.nmi_exit(IRET), None);
        cpu.vmcb_mut().save.dr6 |= DR6_BS | 4;
        assert_eq!(cpu.nmi_exit(DEBUG), Some(DEBUG));
        assert_eq!(cpu.dr6() & (DR6_BS | 15), 4);
    }

    #[test]
    fn what_only_a_shadow_holds_back_borrows_no_flag() {
        let mut cpu = vcpu(15, Options::empty());
        cpu.set_window(Some(Window::Nmi));
        assert!(!trap_flag(&cpu));
        assert_ne!(cpu.vmcb().control.intercept1 & intercept1::VINTR, 0);
        assert_eq!(cpu.nmi_exit(IRET), Some(Exit::InterruptWindow));
        cpu.set_window(None);
        assert_eq!(cpu.vmcb().control.intercept1 & intercept1::IRET, 0);
    }
}
