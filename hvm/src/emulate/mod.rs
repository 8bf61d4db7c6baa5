//! One instruction at a time, as the CPU would have executed it.

pub mod code;
pub mod length;

use crate::event::Exception;
use guest_mem::Gpa;

/// Why an instruction did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It faults: inject this.
    Fault(Exception),
    /// Its bytes lie outside RAM.
    CodeNotRam(Gpa),
}
