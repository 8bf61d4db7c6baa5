//! Interrupts that enter as virtual interrupts (APM vol. 2, 15.21.4) instead of as injected events.
//!
//! To whoever runs the vCPU both look alike: an interrupt that the guest has not taken by the exit is told as one whose delivery was cut
//! short. It is put in only where the guest takes it at once, so nothing but an exit comes between.

use crate::bits::{clean, vintr};
use crate::inject;
use crate::vcpu::Svm;
use hvm::event::Event;

/// What the virtual-interrupt word says of it: whatever the task priority.
pub fn request(vector: u8) -> u64 {
    vintr::V_IRQ | vintr::V_IGN_TPR | u64::from(vector) << vintr::V_VECTOR_SHIFT
}

impl Svm {
    /// The interrupt enters next, unless the virtual interrupt is needed as a window.
    pub(crate) fn pend(&mut self, vector: u8) {
        self.pended = Some(vector);
        if self.vmcb().control.vintr & vintr::V_IRQ != 0 {
            self.inject_pended();
            return;
        }
        self.touch(clean::TPR).control.vintr |= request(vector);
    }

    /// It enters as an injected event after all.
    pub(crate) fn inject_pended(&mut self) {
        if let Some(vector) = self.pended.take() {
            self.vmcb_mut().control.event_injection = inject::encode(Event::Interrupt { vector });
        }
    }

    /// After an exit: it has entered, or is told as cut short.
    #[cold]
    pub(crate) fn settle_pended(&mut self) {
        let Some(vector) = self.pended.take() else {
            return;
        };
        let waits = self.vmcb().control.vintr & vintr::V_IRQ != 0;
        let control = &mut self.touch(clean::TPR).control;
        control.vintr &= vintr::V_INTR_MASKING | vintr::V_TPR;
        if waits {
            control.exit_int_info = inject::encode(Event::Interrupt { vector });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::vcpu;
    use hvm::capability::Options;
    use hvm::event::Window;
    use hvm::vcpu::Vcpu;

    const INTERRUPT: Event = Event::Interrupt { vector: 0x41 };

    #[test]
    fn one_that_was_not_taken_is_told_as_cut_short() {
        let mut cpu = vcpu(15, Options::VIRTUAL_INTERRUPT);
        cpu.set_cr8(3);
        cpu.inject(INTERRUPT);
        let control = &cpu.vmcb().control;
        assert_eq!(control.event_injection, 0);
        assert_eq!(
            control.vintr,
            0x41 << 32 | vintr::V_INTR_MASKING | vintr::V_IGN_TPR | vintr::V_IRQ | 3
        );
        cpu.settle_pended();
        assert_eq!(cpu.interrupted_event(), Some(INTERRUPT));
        assert_eq!(cpu.vmcb().control.vintr, vintr::V_INTR_MASKING | 3);
        assert_ne!(cpu.changed & clean::TPR, 0);
    }

    #[test]
    fn one_that_was_taken_is_gone() {
        let mut cpu = vcpu(15, Options::VIRTUAL_INTERRUPT);
        cpu.inject(INTERRUPT);
        cpu.set_window(None);
        assert_ne!(cpu.vmcb().control.vintr & vintr::V_IRQ, 0);
        cpu.vmcb_mut().control.vintr &= !vintr::V_IRQ;
        cpu.settle_pended();
        assert_eq!(cpu.interrupted_event(), None);
        assert_eq!(cpu.vmcb().control.vintr, vintr::V_INTR_MASKING);
    }

    #[test]
    fn beside_a_window_it_is_injected() {
        let word = inject::encode(INTERRUPT);
        let mut cpu = vcpu(15, Options::VIRTUAL_INTERRUPT);
        cpu.inject(INTERRUPT);
        cpu.set_window(Some(Window::Interrupt));
        assert_eq!(cpu.vmcb().control.event_injection, word);
        cpu.vmcb_mut().control.event_injection = 0;
        // The window stays where it was.
        cpu.inject(INTERRUPT);
        assert_eq!(cpu.vmcb().control.event_injection, word);
        assert_eq!((cpu.pended, cpu.vmcb().control.vintr >> 32), (None, 0));
    }
}
