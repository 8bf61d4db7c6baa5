//! Virtual-processor identifiers, and what makes the TLB forget (SDM vol. 3C, 29.4).

use crate::bits::ept_vpid;
use crate::controls::Msrs;
use core::arch::asm;
use hvm::Hpa;

/// The identifier of this CPU's one guest; 0 is the host's.
pub const GUEST: u16 = 1;

/// What the TLB has to forget before the next entry. Without VPIDs it forgets everything linear at every entry and exit
/// (29.4.2), but never what it holds of the EPT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flush {
    /// Nothing.
    None,
    /// Linear addresses of the guest.
    Linear,
    /// Those, and guest-physical ones.
    Nested,
}

/// The type operand of INVEPT and INVVPID: one context, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Extent {
    /// One EPT pointer or VPID.
    SingleContext = 1,
    /// All of them, the host's VPID excepted.
    AllContexts = 2,
}

/// How INVVPID can be used; `None` where there is none.
pub const fn invvpid_extent(msrs: &Msrs) -> Option<Extent> {
    extent(
        msrs.ept_vpid,
        ept_vpid::INVVPID,
        ept_vpid::INVVPID_SINGLE_CONTEXT,
        ept_vpid::INVVPID_ALL_CONTEXTS,
    )
}

/// How INVEPT can be used; `None` where there is none.
pub const fn invept_extent(msrs: &Msrs) -> Option<Extent> {
    extent(
        msrs.ept_vpid,
        ept_vpid::INVEPT,
        ept_vpid::INVEPT_SINGLE_CONTEXT,
        ept_vpid::INVEPT_ALL_CONTEXTS,
    )
}

const fn extent(capability: u64, instruction: u64, single: u64, all: u64) -> Option<Extent> {
    if capability & instruction == 0 {
        None
    } else if capability & single != 0 {
        Some(Extent::SingleContext)
    } else if capability & all != 0 {
        Some(Extent::AllContexts)
    } else {
        None
    }
}

/// Forgets linear and combined translations of `vpid`.
///
/// # Safety
/// VMX operation is on; the CPU has INVVPID with this extent.
pub unsafe fn invvpid(extent: Extent, vpid: u16) {
    let descriptor = [u64::from(vpid), 0];
    // SAFETY: by the caller's promise; forgetting translations changes no meaning.
    unsafe {
        asm!("invvpid {}, [{}]", in(reg) extent as u64, in(reg) &descriptor, options(nostack))
    };
}

/// Forgets guest-physical and combined translations that came from `pointer`.
///
/// # Safety
/// VMX operation is on; the CPU has INVEPT with this extent.
pub unsafe fn invept(extent: Extent, pointer: Hpa) {
    let descriptor = [pointer.0, 0];
    // SAFETY: by the caller's promise; forgetting translations changes no meaning.
    unsafe {
        asm!("invept {}, [{}]", in(reg) extent as u64, in(reg) &descriptor, options(nostack))
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::tests::generous;

    #[test]
    fn the_narrowest_extent_that_the_cpu_has_is_used() {
        assert_eq!(invvpid_extent(&generous()), Some(Extent::SingleContext));
        let mut all_only = generous();
        all_only.ept_vpid &= !ept_vpid::INVEPT_SINGLE_CONTEXT;
        assert_eq!(invept_extent(&all_only), Some(Extent::AllContexts));
        all_only.ept_vpid = 0;
        assert_eq!(invept_extent(&all_only), None);
    }

    #[test]
    fn the_strongest_request_wins() {
        assert_eq!(Flush::Linear.max(Flush::Nested), Flush::Nested);
        assert_eq!(Flush::Linear.max(Flush::None), Flush::Linear);
    }
}
