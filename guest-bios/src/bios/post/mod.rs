//! POST: from reset to INT 19h.
//!
//! The chips are set up through their ports, as a ROM's code would do it, and the first 1 KiB of RAM, the data areas and
//! the tables are filled in. Nothing is tested and nothing is waited for.

mod areas;
mod devices;
mod shadow;
mod tables;

use super::call::{Call, Served};
use super::{Bios, int10, pic};
use hvm::device::Lifecycle;
use hvm::regs::{Rflags, SegmentName};

/// Where the stack is until a boot sector makes its own.
const STACK: u16 = 0x7c00;

/// Runs POST.
pub(super) fn run(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    for segment in [SegmentName::Ss, SegmentName::Ds, SegmentName::Es] {
        call.set_segment(segment, 0);
    }
    call.set_sp(STACK);
    bios.reset();
    shadow::set(call, shadow::Segments::Open);
    areas::vectors(call)?;
    areas::data_area(bios, call)?;
    areas::disk_tables(bios, call)?;
    pic::set_up(call);
    devices::timer(call);
    devices::clock(bios, call)?;
    devices::keyboard(call)?;
    devices::serial_ports(call)?;
    devices::pci(call);
    bios.network.find_cards(call);
    tables::install(bios, call);
    shadow::set(call, shadow::Segments::Protected);
    int10::set_mode(call, &bios.fonts, 3)?;
    let banner = concat!("Monovisor BIOS ", env!("CARGO_PKG_VERSION"), "\n");
    int10::print(call, &bios.fonts, banner)?;
    call.set_flags(Rflags::IF, Rflags::DF);
    Ok(())
}
