//! The MSR areas: registers that VM entries and exits switch by list, on CPUs that cannot by control (SDM vol. 3C, 25.7.2 and 25.8.2).

use crate::bits::msr;
use crate::controls::Controls;
use crate::vmcs::{Field, Fields};
use hvm::Hpa;

/// An entry of an area (SDM vol. 3C, table 25-14).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    index: u32,
    reserved: u32,
    value: u64,
}

/// The two areas of a vCPU, on a page of their own: the guest's values, which exits store and entries load, and the host's, which
/// exits load.
#[repr(C, align(4096))]
#[derive(Clone, Copy, Debug)]
pub struct Areas {
    guest: [Entry; 2],
    host: [Entry; 2],
}

const EFER: usize = 0;
const PAT: usize = 1;
const HOST_OFFSET: u64 = core::mem::offset_of!(Areas, host) as u64;

impl Areas {
    /// Writes the areas, with the host's values, for what `controls` do not switch. The guest's are zero.
    pub fn fill(&mut self, host_efer: u64, host_pat: u64) {
        for (area, values) in [
            (&mut self.guest, [0, 0]),
            (&mut self.host, [host_efer, host_pat]),
        ] {
            for (at, index) in [(EFER, msr::IA32_EFER), (PAT, msr::IA32_PAT)] {
                area[at] = Entry {
                    index,
                    reserved: 0,
                    value: values[at],
                };
            }
        }
    }

    /// The guest's EFER.
    pub fn efer(&self) -> u64 {
        self.guest[EFER].value
    }

    /// Sets it.
    pub fn set_efer(&mut self, value: u64) {
        self.guest[EFER].value = value;
    }

    /// Sets the guest's PAT.
    pub fn set_pat(&mut self, value: u64) {
        self.guest[PAT].value = value;
    }
}

/// Points a VMCS to the areas at `page`. The lists are whole or empty: where a control switches one of the registers as well, both
/// have the same value.
pub fn point(fields: &mut impl Fields, controls: &Controls, page: Hpa) {
    let count = if controls.switch_msrs() { 0 } else { 2 };
    fields.write(Field::EntryMsrLoadAddress, page.0);
    fields.write(Field::ExitMsrStoreAddress, page.0);
    fields.write(Field::ExitMsrLoadAddress, page.0 + HOST_OFFSET);
    fields.write(Field::EntryMsrLoadCount, count);
    fields.write(Field::ExitMsrStoreCount, count);
    fields.write(Field::ExitMsrLoadCount, count);
}

const _: () = assert!(size_of::<Entry>() == 16 && size_of::<Areas>() == 4096);
