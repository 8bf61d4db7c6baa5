//! Exits from loops of PAUSE (SDM vol. 3C, 26.1.3 and 25.6.13).
//!
//! The CPU exits from a PAUSE at CPL 0 when the loop has run for longer than the window; one that comes more than the gap after the
//! last starts the loop anew. Spinning at other privilege levels never exits.

use crate::bits::secondary;
use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use hvm::capability::Options;
use hvm::vcpu::{PauseFilter, SPIN_CYCLES, SPIN_GAP_CYCLES};

impl<F: Fields> Vmx<F> {
    /// Turns the filter on or off; false if the CPU has none.
    pub(crate) fn filter_pauses(&mut self, state: PauseFilter) -> bool {
        if !self.has(Options::PAUSE_FILTER) {
            return false;
        }
        self.fields.write(Field::PleGap, SPIN_GAP_CYCLES.into());
        self.fields.write(Field::PleWindow, SPIN_CYCLES.into());
        match state {
            PauseFilter::On => self.controls.secondary |= secondary::PAUSE_LOOP_EXITING,
            PauseFilter::Off => self.controls.secondary &= !secondary::PAUSE_LOOP_EXITING,
        }
        self.fields
            .write(Field::SecondaryControls, self.controls.secondary.into());
        true
    }
}
