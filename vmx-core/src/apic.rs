//! Local-APIC virtualization (SDM vol. 3C, chapter 30): how much of it the CPU has, and what is set for each way in which the guest
//! reaches its APIC.
//!
//! There are two steps. With the TPR shadow and an APIC-access page, or x2APIC virtualization, the CPU serves the task priority.
//! With APIC-register virtualization and virtual-interrupt delivery, which came together, it serves nearly all and delivers
//! interrupts. In [`ApicMode::Software`] none of it is on, and the TPR shadow serves CR8 alone.

use crate::bits::{primary, secondary};
use crate::maps::{self, Direction, MSR_BITMAP_BYTES};
use crate::vcpu::Vmx;
use crate::vmcs::{Field, Fields};
use hvm::Gpa;
use hvm::apic::RegisterPage;
use hvm::capability::{ApicVirtualization, Features, NestedPaging, Options};
use hvm::vcpu::{Hlt, MsrAccess};
use hvm::virtual_apic::{ApicMode, Delivery, Served};

/// The x2APIC registers.
const X2APIC: core::ops::RangeInclusive<u32> = 0x800..=0x8ff;
/// The task priority among them.
const X2APIC_TPR: u32 = 0x808;
/// What the CPU writes by itself where it delivers interrupts: the task priority, EOI and SELF IPI (30.5).
const X2APIC_WRITES: [u32; 3] = [X2APIC_TPR, 0x80b, 0x83f];

/// True for registers that can be read from the page: those that there are, which the CPU does not check, less the current count,
/// which the page does not know.
const fn is_readable(msr: u32) -> bool {
    matches!(
        msr,
        0x802 | 0x803 | X2APIC_TPR | 0x80a | 0x80d | 0x80f..=0x828 | 0x830 | 0x832..=0x838 | 0x83e
    )
}

const EOI_EXIT_BITMAPS: [Field; 4] = [
    Field::EoiExitBitmap0,
    Field::EoiExitBitmap1,
    Field::EoiExitBitmap2,
    Field::EoiExitBitmap3,
];

/// All controls of this module.
const ALL: u32 = secondary::VIRTUALIZE_APIC_ACCESSES | secondary::VIRTUALIZE_X2APIC | DELIVERY;
const DELIVERY: u32 =
    secondary::APIC_REGISTER_VIRTUALIZATION | secondary::VIRTUAL_INTERRUPT_DELIVERY;

/// What of it this CPU has and may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Support {
    memory: bool,
    msrs: bool,
    delivery: bool,
}

impl Support {
    /// All of it wants the TPR shadow (27.2.1.1). The APIC-access page is mapped by nested paging only.
    fn choose(features: &Features) -> Self {
        let has = |option| features.options.contains(Options::TPR_SHADOW | option);
        Self {
            memory: features.nested_paging != NestedPaging::Absent
                && has(Options::APIC_ACCESS_PAGE),
            msrs: has(Options::X2APIC_VIRTUALIZATION),
            delivery: features.apic_virtualization == ApicVirtualization::Present,
        }
    }

    /// The secondary controls for a mode.
    const fn controls(self, mode: ApicMode) -> u32 {
        let access = match mode {
            ApicMode::Memory(_) if self.memory => secondary::VIRTUALIZE_APIC_ACCESSES,
            ApicMode::Msrs if self.msrs => secondary::VIRTUALIZE_X2APIC,
            _ => return 0,
        };
        if self.delivery {
            access | DELIVERY
        } else {
            access
        }
    }
}

/// The MSR bitmap for a set of controls.
fn set_msrs(map: &mut [u8; MSR_BITMAP_BYTES], controls: u32) {
    let virtualized = controls & secondary::VIRTUALIZE_X2APIC != 0;
    let delivery = controls & DELIVERY != 0;
    let access = |passed| {
        if virtualized && passed {
            MsrAccess::PassThrough
        } else {
            MsrAccess::Intercept
        }
    };
    for msr in X2APIC {
        let (read, written) = if delivery {
            (is_readable(msr), X2APIC_WRITES.contains(&msr))
        } else {
            (msr == X2APIC_TPR, msr == X2APIC_TPR)
        };
        maps::set_direction(map, msr, Direction::Read, access(read));
        maps::set_direction(map, msr, Direction::Write, access(written));
    }
}

/// The state of a vCPU's APIC virtualization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virtualization {
    support: Support,
    mode: ApicMode,
    /// The secondary controls that it has set.
    controls: u32,
    /// Who gets HLT while the CPU delivers no interrupts.
    hlt: Hlt,
    /// The EOI-exit bitmaps that were last written.
    eoi_exits: Option<[u64; 4]>,
}

impl Virtualization {
    /// Off.
    pub fn new(features: &Features, hlt: Hlt) -> Self {
        Self {
            support: Support::choose(features),
            mode: ApicMode::Software,
            controls: 0,
            hlt,
            eoi_exits: None,
        }
    }

    /// What the CPU serves, given the virtual-APIC page.
    #[inline]
    pub fn served(&self, page: &'static RegisterPage) -> Served {
        match self.controls {
            0 => Served::Nothing,
            controls if controls & DELIVERY == 0 => Served::Priority,
            _ => Served::All(page),
        }
    }

    /// True if accesses to the APIC-access page are served.
    pub fn serves_memory(&self) -> bool {
        self.controls & secondary::VIRTUALIZE_APIC_ACCESSES != 0
    }

    /// Where the guest has the APIC-access page; address 0 in modes without.
    pub fn access_page(&self) -> Gpa {
        match self.mode {
            ApicMode::Memory(page) => page,
            ApicMode::Msrs | ApicMode::Software => Gpa(0),
        }
    }
}

impl<F: Fields> Vmx<F> {
    /// True if something changed.
    #[inline]
    pub(crate) fn switch_apic(&mut self, mode: ApicMode) -> bool {
        let changed = mode != self.apic.mode;
        if changed {
            self.change_apic(mode);
        }
        changed
    }

    #[cold]
    fn change_apic(&mut self, mode: ApicMode) {
        let controls = self.apic.support.controls(mode);
        self.apic.mode = mode;
        self.apic.controls = controls;
        self.controls.secondary = self.controls.secondary & !ALL | controls;
        self.fields
            .write(Field::SecondaryControls, self.controls.secondary.into());
        self.fields
            .write(Field::ApicAccessAddress, self.pages.apic_access.0);
        // Where the CPU delivers interrupts, HLT exits: what ends a native one exits all the same, so that costs nothing, and
        // that a virtual interrupt ends it (30.2.2) need not be relied on.
        let intercepted = self.apic.hlt == Hlt::Intercepted || controls & DELIVERY != 0;
        self.control(primary::HLT_EXITING, intercepted);
        // SAFETY: the map is ours alone; the CPU reads it only inside `enter`.
        set_msrs(unsafe { self.pages.msr_bitmap.1.as_mut() }, controls);
    }

    /// Writes what is to be delivered where VM entry looks for it.
    pub(crate) fn offer(&mut self, delivery: Delivery) {
        let status = u64::from(delivery.in_service) << 8 | u64::from(delivery.requested);
        self.fields.write(Field::GuestInterruptStatus, status);
        if self.apic.eoi_exits != Some(delivery.eoi_exits) {
            self.apic.eoi_exits = Some(delivery.eoi_exits);
            for (field, word) in EOI_EXIT_BITMAPS.into_iter().zip(delivery.eoi_exits) {
                self.fields.write(field, word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::tests::features;
    use std::vec;
    use std::vec::Vec;

    fn everything() -> Features {
        Features {
            apic_virtualization: ApicVirtualization::Present,
            ..features(Options::all())
        }
    }

    const MEMORY: ApicMode = ApicMode::Memory(Gpa(0xfee0_0000));

    #[test]
    fn each_mode_has_its_controls() {
        let all = Support::choose(&everything());
        assert_eq!(all.controls(ApicMode::Software), 0);
        assert_eq!(
            all.controls(MEMORY),
            secondary::VIRTUALIZE_APIC_ACCESSES | DELIVERY
        );
        assert_eq!(
            all.controls(ApicMode::Msrs),
            secondary::VIRTUALIZE_X2APIC | DELIVERY
        );
        let no_delivery = Support::choose(&features(Options::all()));
        assert_eq!(
            no_delivery.controls(MEMORY),
            secondary::VIRTUALIZE_APIC_ACCESSES
        );
    }

    /// VM entry refuses these combinations (27.2.1.1).
    #[test]
    fn nothing_is_used_without_what_it_rests_on() {
        let no_shadow = Features {
            options: Options::all() - Options::TPR_SHADOW,
            ..everything()
        };
        let support = Support::choose(&no_shadow);
        for mode in [MEMORY, ApicMode::Msrs] {
            assert_eq!(support.controls(mode), 0);
        }
        let old = Features {
            options: Options::all() - Options::X2APIC_VIRTUALIZATION,
            ..everything()
        };
        let support = Support::choose(&old);
        assert_eq!(support.controls(ApicMode::Msrs), 0);
        assert_ne!(support.controls(MEMORY), 0);
        let unnested = Features {
            nested_paging: NestedPaging::Absent,
            ..everything()
        };
        let support = Support::choose(&unnested);
        assert_eq!(support.controls(MEMORY), 0);
    }

    fn passed(map: &[u8; MSR_BITMAP_BYTES], write: usize) -> Vec<u32> {
        X2APIC
            .filter(|&msr| map[write * 0x800 + msr as usize / 8] >> (msr % 8) & 1 == 0)
            .collect()
    }

    #[test]
    fn the_bitmap_lets_through_what_the_cpu_serves() {
        let mut map = [0xff; MSR_BITMAP_BYTES];
        set_msrs(&mut map, secondary::VIRTUALIZE_X2APIC | DELIVERY);
        assert_eq!(passed(&map, 1), [0x808, 0x80b, 0x83f]);
        let read = passed(&map, 0);
        assert!(read.contains(&0x802) && read.contains(&0x827) && read.contains(&0x838));
        for faulting in [0x800, 0x80b, 0x80c, 0x80e, 0x82f, 0x831, 0x83f] {
            assert!(!read.contains(&faulting), "{faulting:#x}");
        }
        assert!(!read.contains(&0x839), "the current count");
        set_msrs(&mut map, secondary::VIRTUALIZE_X2APIC);
        assert_eq!(
            (passed(&map, 0), passed(&map, 1)),
            (vec![0x808], vec![0x808])
        );
        set_msrs(&mut map, secondary::VIRTUALIZE_APIC_ACCESSES | DELIVERY);
        assert!(map.iter().all(|&byte| byte == 0xff));
    }
}
