//! The local APIC where the CPU serves it, wholly or in part (see [`hvm::virtual_apic`]). On CPUs that serve nothing of it, which
//! their [`Vcpu`] says at compile time, nothing of this remains.
//!
//! Where the CPU delivers interrupts, the registers that it changes are in its page while the guest runs. Whoever looks at more of the
//! model than [`Lapic::hand_over`] leaves there has it recalled first; the loop hands over again before the next entry.

use super::interrupts::{Pic, PicAlone};
use super::processor::{Next, Processor};
use crate::service::control::{CONTROL, count};
use core::sync::atomic::Ordering;
use guest_mem::Gpa;
use hvm::apic::RegisterPage;
use hvm::emulate::Hint;
use hvm::event::Interruptible;
use hvm::hyperv;
use hvm::vcpu::Vcpu;
use hvm::virtual_apic::{ApicMode, Served};
use pc::lapic::Lapic;

/// Where every system has its local APIC, and where no RAM is. A guest that moves it is served by software.
const USUAL_PLACE: Gpa = Gpa(0xfee0_0000);

impl<V: Vcpu> Processor<V> {
    /// Has the CPU serve the APIC as it is reached now. The model holds it whenever that changes, for such changes are its own.
    #[inline]
    pub(super) fn follow_apic(&mut self) {
        let mode = match self.local.lapic.mode() {
            ApicMode::Memory(page) if page != USUAL_PLACE => ApicMode::Software,
            mode => mode,
        };
        if self.cpu.set_apic_mode(mode) {
            self.move_access_page();
        }
    }

    /// The page is mapped while any vCPU has it; they share one, as they share the tables, whose lock guards the count as well: who
    /// counts itself finds the page mapped.
    #[cold]
    fn move_access_page(&mut self) {
        let machine = self.machine();
        let wanted = self.cpu.apic_access_page();
        let count = &machine.access_pages;
        let mut tracker = machine.tracker.lock();
        let users = count.load(Ordering::Relaxed);
        let changed = match (wanted, self.has_access_page) {
            (Some((gpa, page)), false) => {
                if users > 0 || tracker.tables().map_page(gpa, page).is_ok() {
                    count.store(users + 1, Ordering::Relaxed);
                } else {
                    // No memory for a table: software does without, and this is tried again.
                    self.cpu.set_apic_mode(ApicMode::Software);
                }
                users == 0
            }
            (None, true) => {
                count.store(users - 1, Ordering::Relaxed);
                if users == 1 {
                    tracker.tables().unmap_page(USUAL_PLACE);
                }
                users == 1
            }
            _ => false,
        };
        drop(tracker);
        if changed {
            machine.flush_others(self.local.index);
        }
        self.has_access_page = self.cpu.apic_access_page().is_some();
        self.cpu.flush_tlb();
        self.take_priority();
    }

    /// Decides what enters the guest beside what the CPU delivers from `page`, and leaves the registers to it.
    pub(super) fn hand_over(&mut self, page: &'static RegisterPage) {
        self.recall();
        let local = &*self.local;
        let from_pic = local.pic_output && local.lapic.accepts_pic();
        if from_pic || !local.events.is_idle() || self.window.is_some() {
            self.plan_beside();
        }
        let delivery = self.local.lapic.hand_over(page);
        self.cpu.set_delivery(delivery);
        self.local.lent = Some(page);
        // Only now: while the model holds a request of the timer's vector, it has no further deadline.
        self.rearm();
        self.local.attention = false;
    }

    /// Plans the 8259s' interrupts, and all events that are no interrupts.
    fn plan_beside(&mut self) {
        let local = &mut *self.local;
        let mut source = PicAlone {
            reaches: local.lapic.accepts_pic(),
            pic: Pic {
                machine: local.machine,
                output: &mut local.pic_output,
            },
        };
        let enabled = Interruptible::from(self.cpu.rflags());
        let plan = local.events.plan(enabled, self.cpu.shadow(), &mut source);
        self.carry_out(plan);
    }

    /// Puts the model in charge.
    #[inline]
    pub(super) fn recall(&mut self) {
        match self.cpu.served_apic() {
            Served::All(_) => self.local.recall(),
            // A MOV to CR8 may not have exited.
            Served::Priority | Served::Nothing => self.learn_priority(),
        }
    }

    /// Tells the model the task priority that the guest has set without an exit.
    #[inline]
    pub(super) fn learn_priority(&mut self) {
        let priority = self.cpu.cr8() << 4;
        if priority != self.local.lapic.tpr() & 0xf0 {
            self.local.lapic.set_tpr(priority);
        }
    }

    /// The guest wrote a register of the page, and something has to come of it.
    pub(super) fn apic_write(&mut self, offset: u16) -> Next {
        count(&CONTROL.counters.mmio);
        if let Served::All(page) = self.cpu.served_apic() {
            self.recall();
            self.local.with_lapic(|lapic, signals, clock| {
                lapic.complete_write(page, offset, clock.now(), signals)
            });
        }
        Next::Enter
    }

    /// The CPU ended an interrupt that came level-triggered.
    pub(super) fn end_of_interrupt(&mut self, vector: u8) -> Next {
        count(&CONTROL.counters.mmio);
        self.local
            .with_board(|board, context| board.end_of_interrupt(vector, context));
        Next::Enter
    }

    /// Puts the model in charge if an instruction that comes to the emulator with this hint may look for it first of all. What
    /// else it touches finds out by itself ([`super::bus`]).
    #[inline]
    pub(super) fn recall_for(&mut self, hint: Hint) {
        if let Served::All(_) = self.cpu.served_apic() {
            let looks = match hint {
                Hint::Read(gpa) | Hint::Write(gpa) => {
                    self.local.lapic.mmio_base() == Some(gpa.page_base())
                }
                Hint::None => true,
            };
            if !looks {
                return;
            }
        }
        self.recall();
    }

    /// Puts the model in charge if the MSR is the APIC's.
    #[inline]
    pub(super) fn recall_for_msr(&mut self, register: u32) {
        if Lapic::owns_msr(register) || hyperv::bits::is_apic(register) {
            self.recall();
        }
    }
}
