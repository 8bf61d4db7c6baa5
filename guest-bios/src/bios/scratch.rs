//! A page of guest RAM that is the firmware's: disks move sectors to and from guest RAM alone, so what the services
//! themselves want to read, and what goes to memory that is not RAM, passes here.

use super::layout::Layout;
use guest_mem::{GuestMemory, PAGE_BYTES};
use hvm::backend::Segment;

/// `bytes` of the page; `None` if that is more than it has, or the guest has hardly any RAM.
pub fn segment(memory: &GuestMemory, bytes: usize) -> Option<Segment> {
    let layout = Layout::of(memory)?;
    (bytes as u64 <= PAGE_BYTES).then_some(Segment {
        gpa: layout.scratch,
        bytes: bytes as u32,
    })
}
