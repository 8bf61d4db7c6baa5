//! INT 1Ah: time of day (IBM PS/2 and PC BIOS Interface Technical Reference, "Interrupt 1Ah") and the PCI BIOS.

mod pci;
mod time;

use super::Bios;
use super::call::{Call, Served};
use super::network::pxe;

pub(super) use pci::serve as pci_bios;
pub(super) use time::ticks_now;

/// Serves a call.
pub(super) fn serve(bios: &mut Bios, call: &mut Call<'_>) -> Served {
    const PCI: u8 = 0xb1;
    const PXE: u16 = 0x5650;
    match call.ah() {
        0x00..=0x07 => time::serve(call),
        PCI => pci::serve(call),
        _ if call.ax() == PXE && pxe::find(&bios.network, call) => Ok(()),
        // TCG and others that are asked for and not there.
        0xbb => {
            call.fail();
            Ok(())
        }
        _ => {
            bios.log_missing(call, 0x1a);
            call.fail();
            Ok(())
        }
    }
}
