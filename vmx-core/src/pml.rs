//! The page-modification log: the CPU lists guest-physical pages whose dirty bits it sets in the EPT (SDM vol. 3C, 29.3.6).
//!
//! The list fills from its last entry to its first. The index names the entry that comes next, and goes from 0 to FFFFh when the list
//! is full; the next entry then exits instead, before the dirty bit is set and before the access.

use crate::vmcs::{Field, Fields};
use hvm::{Gpa, Hpa};

/// How many pages the log holds.
const ENTRIES: usize = 512;
/// The index of an empty log.
const EMPTY: u64 = ENTRIES as u64 - 1;

/// A log, on a page of its own.
pub type Log = [u64; ENTRIES];

/// Points a VMCS to the log at `page`, empty.
pub fn point(fields: &mut impl Fields, page: Hpa) {
    fields.write(Field::PmlAddress, page.0);
    fields.write(Field::PmlIndex, EMPTY);
}

/// Calls `to` with every page in `log`, oldest first, and empties it.
pub fn drain(fields: &mut impl Fields, log: &Log, to: &mut dyn FnMut(Gpa)) {
    let next = fields.read(Field::PmlIndex) as u16;
    // FFFFh, when the log is full, wraps to its first entry.
    let first = usize::from(next.wrapping_add(1));
    for &entry in log.get(first..).unwrap_or_default().iter().rev() {
        to(Gpa(entry).page_base());
    }
    fields.write(Field::PmlIndex, EMPTY);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmcs::tests::Plain;
    use proptest::prelude::*;
    use std::vec::Vec;

    /// What the CPU does for each page whose dirty bit it sets; false if it exits instead.
    fn cpu_logs(fields: &mut Plain, log: &mut Log, page: u64) -> bool {
        let index = fields.read(Field::PmlIndex);
        if index > EMPTY {
            return false;
        }
        log[index as usize] = page;
        fields.write(Field::PmlIndex, index.wrapping_sub(1) & 0xffff);
        true
    }

    proptest! {
        #[test]
        fn what_the_cpu_logs_comes_out_once_and_in_order(rounds in prop::collection::vec(0_u64..600, 1..4)) {
            let mut fields = Plain::default();
            let mut log = [0xdead_b000; ENTRIES];
            point(&mut fields, Hpa(0x5000));
            prop_assert_eq!(fields.read(Field::PmlAddress), 0x5000);
            for pages in rounds {
                let logged: Vec<_> = (0..pages)
                    .map(|page| page << 12)
                    .take_while(|page| cpu_logs(&mut fields, &mut log, *page))
                    .collect();
                prop_assert_eq!(logged.len() as u64, pages.min(512));
                let mut drained = Vec::new();
                drain(&mut fields, &log, &mut |page| drained.push(page.0));
                prop_assert_eq!(drained, logged);
            }
        }
    }
}
