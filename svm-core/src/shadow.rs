//! A vCPU whose memory is found by shadow tables: what the CPU has in CR0, CR3, CR4 and EFER is not what the guest has.
//!
//! Between entries the control block holds the guest's values, so that nobody else has to know. Each entry puts the CPU's in their place,
//! and each exit the guest's back. That is exact because no instruction changes them without an exit (APM vol. 2, 15.8.1 and 15.9).

use crate::bits::{EFER_SVME, intercept1};
use crate::vcpu::Svm;
use crate::{exit, vmcb};
use hvm::exit::Exit;
use hvm::regs::{Cr0, Cr4, Efer};
use hvm::vcpu::ShadowRoot;

/// Page faults.
const PAGE_FAULT: u32 = 1 << 14;
/// CR0, CR3, CR4. QEMU 10 takes reads of all of them through the intercept of CR0's.
pub(crate) const CONTROL_REGISTERS: u16 = 1 | 1 << 3 | 1 << 4;

/// What shadow paging intercepts besides: a task switch would load CR3.
const INTERCEPT1: u32 = intercept1::INVLPG | intercept1::TASK_SWITCH;

/// The state of such a vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shadow {
    /// `None` where the registers have changed since.
    root: Option<ShadowRoot>,
    /// The TLB must be empty at the next entry.
    flush: bool,
}

/// The registers that decide on paging.
#[derive(Clone, Copy)]
struct Registers {
    cr0: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
}

impl Registers {
    const fn of(save: &vmcb::Save) -> Self {
        Self {
            cr0: save.cr0,
            cr3: save.cr3,
            cr4: save.cr4,
            efer: save.efer,
        }
    }

    const fn put(self, save: &mut vmcb::Save) {
        save.cr0 = self.cr0;
        save.cr3 = self.cr3;
        save.cr4 = self.cr4;
        save.efer = self.efer;
    }

    /// What the CPU is to have for a guest with these. Without paging of its own it runs as it is under tables that map everything;
    /// even real mode does (APM vol. 2, 15.19).
    fn for_cpu(self, root: ShadowRoot) -> Self {
        let forced = (Cr0::PG | Cr0::WP).bits();
        let cr0 = self.cr0 & !(Cr0::CD | Cr0::NW).bits() | forced;
        let mut kept = !(Cr4::PGE | Cr4::PCIDE).bits();
        if self.cr0 & Cr0::PG.bits() == 0 {
            kept &= !(Cr4::SMEP | Cr4::SMAP | Cr4::PKE).bits();
        }
        let cr4 = self.cr4 & kept | Cr4::PAE.bits();
        let efer = self.efer | Efer::NXE.bits() | EFER_SVME;
        match root {
            ShadowRoot::Long(table) => Self {
                cr0,
                cr3: table.0,
                cr4,
                efer,
            },
            ShadowRoot::Pae(pointers) => Self {
                cr0,
                cr3: pointers.0,
                cr4,
                efer: efer & !(Efer::LME | Efer::LMA).bits(),
            },
        }
    }
}

impl Svm {
    /// Has the control block ask for what shadow paging needs, after it was written anew.
    pub(crate) fn intercept_for_shadow(&mut self) {
        if self.shadow.is_none() {
            return;
        }
        let control = &mut self.vmcb_mut().control;
        control.nested_control = 0;
        control.exceptions |= PAGE_FAULT;
        control.intercept1 |= INTERCEPT1;
        control.cr_reads = CONTROL_REGISTERS;
        control.cr_writes = CONTROL_REGISTERS;
        self.forget_root();
    }

    /// The registers are others than those that the root was made for.
    pub(crate) fn forget_root(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.root = None;
        }
    }

    pub(crate) fn lacks_root(&self) -> bool {
        self.shadow.is_some_and(|shadow| shadow.root.is_none())
    }

    pub(crate) fn take_root(&mut self, root: ShadowRoot) {
        if let Some(shadow) = &mut self.shadow {
            shadow.root = Some(root);
        }
        self.touch(crate::bits::clean::CRX);
        self.want_flush();
    }

    /// Has the TLB flushed at the next entry.
    pub(crate) fn want_flush(&mut self) {
        self.flush = true;
        if let Some(shadow) = &mut self.shadow {
            shadow.flush = true;
        }
    }

    /// [`hvm::vcpu::Vcpu::run`] for such a vCPU.
    #[cold]
    pub(crate) fn run_on_shadow(&mut self) -> Exit {
        loop {
            let Some(Shadow { root, flush }) = self.shadow else {
                return Exit::PagingChanged;
            };
            let Some(root) = root else {
                // What was to be injected is as if its delivery had been cut short.
                let control = &mut self.vmcb_mut().control;
                control.exit_int_info = core::mem::take(&mut control.event_injection);
                return Exit::PagingChanged;
            };
            if flush {
                self.shadow = Some(Shadow {
                    root: Some(root),
                    flush: false,
                });
                self.flush_now();
            }
            let guests = Registers::of(&self.vmcb().save);
            guests.for_cpu(root).put(&mut self.vmcb_mut().save);
            self.enter();
            guests.put(&mut self.vmcb_mut().save);
            let seen = exit::decode(self.vmcb());
            match seen {
                Exit::Unexpected { .. } | Exit::Exception { .. } => {
                    if let Some(exit) = self.nmi_exit(seen) {
                        return exit;
                    }
                }
                _ => return seen,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::vcpu_with;
    use hvm::Hpa;
    use hvm::capability::{NestedPaging, Options};
    use hvm::event::{Event, Exception};
    use hvm::regs::Registers as _;
    use hvm::vcpu::Vcpu;

    fn shadowed() -> Svm {
        vcpu_with(15, Options::empty(), NestedPaging::Absent)
    }

    #[test]
    fn what_would_change_the_root_exits() {
        let cpu = shadowed();
        let control = &cpu.vmcb().control;
        assert_eq!(control.nested_control, 0);
        assert_ne!(control.exceptions & PAGE_FAULT, 0);
        assert_eq!(control.intercept1 & INTERCEPT1, INTERCEPT1);
        assert_eq!((control.cr_reads, control.cr_writes), (0x19, 0x19));
    }

    #[test]
    fn a_window_leaves_the_other_control_registers_intercepted() {
        let mut cpu = shadowed();
        cpu.set_window(Some(hvm::event::Window::Priority(3)));
        assert_eq!(cpu.vmcb().control.cr_writes, 0x119);
        cpu.set_window(None);
        assert_eq!(cpu.vmcb().control.cr_writes, 0x19);
    }

    #[test]
    fn each_write_of_a_register_asks_for_the_root_and_takes_back_what_was_injected() {
        let writes: [fn(&mut Svm); 4] = [
            |cpu| cpu.set_cr0(0x11),
            |cpu| cpu.set_cr3(0x2000),
            |cpu| cpu.set_cr4(0x20),
            |cpu| cpu.set_efer(0x100),
        ];
        for write in writes {
            let mut cpu = shadowed();
            cpu.set_shadow_root(ShadowRoot::Pae(Hpa(0x1000)));
            write(&mut cpu);
            let event = Event::Exception(Exception::page_fault(2, 0x1234));
            cpu.inject(event);
            assert_eq!(cpu.run(), Exit::PagingChanged);
            assert!(matches!(
                cpu.interrupted_event(),
                Some(Event::Exception(Exception {
                    vector: 14,
                    error_code: Some(2),
                    ..
                }))
            ));
            assert_eq!(cpu.vmcb().control.event_injection, 0);
        }
    }

    #[test]
    fn the_cpu_pages_whatever_the_guest_does() {
        let unpaged = Registers {
            cr0: 0x6000_0010,
            cr3: 0x7000,
            cr4: 0x30_0000,
            efer: 0x100,
        };
        let cpu = unpaged.for_cpu(ShadowRoot::Pae(Hpa(0x1000)));
        assert_eq!(cpu.cr0, 0x8001_0010);
        assert_eq!((cpu.cr3, cpu.cr4), (0x1000, 0x20));
        assert_eq!(cpu.efer, EFER_SVME | Efer::NXE.bits());
        let long = Registers {
            cr0: 0x8000_0011,
            cr3: 0x7000,
            cr4: 0x30_00a0,
            efer: 0x500,
        };
        let cpu = long.for_cpu(ShadowRoot::Long(Hpa(0x3000)));
        assert_eq!(cpu.cr0, 0x8001_0011);
        assert_eq!((cpu.cr3, cpu.cr4), (0x3000, 0x30_0020));
        assert_eq!(cpu.efer, 0x500 | EFER_SVME | Efer::NXE.bits());
    }
}
