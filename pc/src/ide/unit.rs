//! What differs between the kinds of drives.

use super::interface::{DmaOutcome, DmaRequest, Interface};
use super::taskfile::Signature;
use guest_mem::GuestMemory;
use hvm::backend::{BlockError, Segment};

/// Which reset a drive sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ResetKind {
    /// Power-on, or the cable's RESET-: everything.
    Hardware,
    /// SRST, DEVICE RESET or a diagnostic: the command under way. Settings stay.
    Software,
}

/// A finished request: its token and what became of it.
pub(super) type Completion = (u64, Result<(), BlockError>);

/// A disk or a CD-ROM, on the far side of its [`Interface`]. The drive around it calls every method at the right time;
/// a unit only decides what comes next.
pub(super) trait Unit {
    /// What it shows after a reset.
    fn signature(&self) -> Signature;
    /// Drops the command under way.
    fn reset(&mut self, kind: ResetKind);
    /// A command, after [`Interface::begin`].
    fn command(&mut self, interface: &mut Interface, opcode: u8);
    /// The host took the open part of the buffer.
    fn drained(&mut self, interface: &mut Interface);
    /// The host filled the open part of the buffer.
    fn filled(&mut self, interface: &mut Interface);
    /// In the medium's phase, with no request under way: makes the next one.
    fn work(&mut self, interface: &mut Interface);
    /// In the DMA phase, with no request under way: what is to be moved.
    fn dma_request(&self, interface: &Interface) -> DmaRequest;
    /// Moves `bytes`, the sum of `segments`, or begins to; never more than was requested.
    fn dma(
        &mut self,
        interface: &mut Interface,
        segments: &[Segment],
        bytes: u64,
        memory: &GuestMemory,
    ) -> DmaOutcome;
    /// The medium's next finished request.
    fn completed(&mut self) -> Option<Completion>;
    /// The request under way finished. Returns what that means for DMA, if it was one of DMA.
    fn landed(
        &mut self,
        interface: &mut Interface,
        result: Result<(), BlockError>,
    ) -> Option<DmaOutcome>;
}
