//! What a device is: a pure state machine. Time and memory are passed in, effects come out.

use crate::Instant;
use crate::apic::ApicMessage;
use alloc::vec::Vec;
use guest_mem::GuestMemory;

/// What a guest asked of its power hardware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerEvent {
    /// Reset the whole machine (CF9h, 8042 pulse, ACPI reset register).
    Reset,
    /// ACPI S5.
    PowerOff,
    /// A sleep state that we do not offer; the ACPI value is kept for the log.
    Sleep(u8),
}

/// Where effects go. Implementations deliver at once or queue; they never fail and never call back into the device.
pub trait Signals {
    /// An interrupt message for the local APICs.
    fn interrupt(&mut self, message: ApicMessage);
    /// A local APIC ended a level-triggered interrupt; the I/O APICs must hear of it.
    fn end_of_interrupt(&mut self, vector: u8);
    /// Reset, power-off, sleep.
    fn power(&mut self, event: PowerEvent);
}

/// What a device may use during one call.
pub struct Context<'a> {
    /// Guest RAM, for DMA.
    pub memory: &'a GuestMemory,
    /// Now.
    pub now: Instant,
    /// Where effects go.
    pub signals: &'a mut dyn Signals,
}

/// A saved state that could not be taken back; the text says what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreError(pub alloc::string::String);

/// The life of a device. A device is created stopped-and-reset, and every method may be called at any time.
///
/// - `reset`: the state of the chip after its reset line; back ends and wiring stay. Idempotent.
/// - `pause`: after it returns, the device starts no DMA and raises no interrupt until `resume`.
/// - `save`: only while paused; a versioned payload (postcard, first field is the version).
/// - `restore`: only while paused; all or nothing: on an error the device is as before.
pub trait Lifecycle {
    /// A stable name for saved state and logs, such as `"rtc"`.
    fn kind(&self) -> &'static str;
    /// Chip reset.
    fn reset(&mut self);
    /// Stop starting new work.
    fn pause(&mut self) {}
    /// Go on after `pause`.
    fn resume(&mut self) {}
    /// The state as bytes.
    fn save(&self) -> Vec<u8>;
    /// Takes a state back.
    fn restore(&mut self, saved: &[u8]) -> Result<(), RestoreError>;
}
