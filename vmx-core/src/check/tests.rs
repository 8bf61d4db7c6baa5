//! Good states break no rule; for each rule there is a state that is spoiled by it and named by it.

mod controls;
mod guest;
mod host;
mod other;
mod segments;
pub(crate) mod vcpu;

use super::*;
use crate::bits::{ept_vpid, eptp, exit_controls, misc, pin};
use crate::vmcs::tests::Plain;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

/// A VMCS and the CPU that it is for.
#[derive(Clone)]
struct Subject {
    fields: Plain,
    msrs: Msrs,
}

impl Subject {
    fn set(&mut self, field: Field, value: u64) {
        self.fields.write(field, value);
    }

    fn set_all(&mut self, values: &[(Field, u64)]) {
        for &(field, value) in values {
            self.set(field, value);
        }
    }

    fn add(&mut self, field: Field, bits: u64) {
        self.set(field, self.fields.read(field) | bits);
    }

    fn remove(&mut self, field: Field, bits: u64) {
        self.set(field, self.fields.read(field) & !bits);
    }

    fn control(&mut self, field: Field, control: u32) {
        self.add(field, control.into());
    }

    fn without(&mut self, field: Field, control: u32) {
        self.remove(field, control.into());
    }

    /// An event to inject, and the length that a software event needs.
    fn inject(&mut self, kind: u64, vector: u64) {
        self.set(
            Field::EntryInterruptionInformation,
            interruption::VALID | kind << interruption::TYPE_SHIFT | vector,
        );
        self.set(Field::EntryInstructionLength, 2);
    }

    fn violation(&self) -> &'static str {
        first_violation(&self.fields, &self.msrs)
    }
}

/// Makes a state that breaks no rule.
type Good = fn() -> Subject;

/// A good state, words that only the text of one rule has, and what breaks that rule.
type Case = (Good, &'static str, fn(&mut Subject));

/// The rule that the case is to break and does.
fn named(good: Good, words: &str, spoil: impl FnOnce(&mut Subject)) -> &'static str {
    let mut subject = good();
    assert!(
        subject.violation().starts_with("no rule"),
        "before {words}: {}",
        subject.violation()
    );
    spoil(&mut subject);
    let texts = GROUPS.into_iter().flatten().map(|rule| rule.1);
    let wanted: Vec<_> = texts.filter(|text| text.contains(words)).collect();
    assert_eq!(wanted.len(), 1, "{words}: {wanted:?}");
    assert_eq!([subject.violation()], *wanted);
    wanted[0]
}

/// All cases are named, and no rule is left out.
fn covers(rules: &[Rule], cases: &[Case]) {
    let named: BTreeSet<_> = cases
        .iter()
        .map(|&(good, words, spoil)| named(good, words, spoil))
        .collect();
    none_left_out(rules, &named);
}

fn none_left_out(rules: &[Rule], named: &BTreeSet<&str>) {
    for (_, text) in rules {
        assert!(named.contains(text), "no case for: {text}");
    }
}

/// A server CPU with everything that the rules ask about, but for zero-length injection, shadow stacks and five levels.
const MSRS: Msrs = Msrs {
    basic: 0x00da_0400_0000_0004,
    pin: 0x0000_00ff_0000_0016,
    primary: 0xfff9_fffe_0400_6172,
    secondary: 0x02ff_ffff_0000_0000,
    exit: 0x01ff_ffff_0003_6dfb,
    entry: 0x0003_ffff_0000_11fb,
    misc: 4 << misc::CR3_TARGETS_SHIFT
        | misc::ACTIVITY_HLT
        | misc::ACTIVITY_SHUTDOWN
        | misc::ACTIVITY_WAIT_FOR_SIPI,
    cr0_fixed: (0x8000_0021, 0xffff_ffff),
    cr4_fixed: (0x2000, 0x0037_67ff),
    ept_vpid: ept_vpid::FOUR_LEVELS | ept_vpid::WRITE_BACK | ept_vpid::DIRTY_BITS,
    physical_bits: 46,
};

const UPPER_HALF: u64 = 0xffff_ffff_8000_0000;
/// The lowest address behind the lower half.
const NOT_CANONICAL: u64 = 1 << 47;

/// Controls and host state of a hypervisor in 64-bit mode, with EPT and VPID.
const FRAME: &[(Field, u64)] = &[
    (
        Field::PinBasedControls,
        0x16 | (pin::EXTERNAL_INTERRUPT_EXITING | pin::NMI_EXITING | pin::VIRTUAL_NMIS) as u64,
    ),
    (
        Field::PrimaryControls,
        0x0400_6172
            | (primary::IO_BITMAPS | primary::MSR_BITMAPS | primary::SECONDARY_CONTROLS) as u64,
    ),
    (
        Field::SecondaryControls,
        (secondary::EPT | secondary::VPID) as u64,
    ),
    (Field::IoBitmapA, 0x10_0000),
    (Field::IoBitmapB, 0x10_1000),
    (Field::MsrBitmaps, 0x10_2000),
    (
        Field::EptPointer,
        0x20_0000 | eptp::WRITE_BACK | eptp::FOUR_LEVELS | eptp::DIRTY_BITS,
    ),
    (Field::Vpid, 1),
    (
        Field::ExitControls,
        0x3_6dfb
            | (exit_controls::HOST_64_BIT
                | exit_controls::ACKNOWLEDGE_INTERRUPT
                | exit_controls::LOAD_PAT
                | exit_controls::LOAD_EFER) as u64,
    ),
    (
        Field::EntryControls,
        0x11fb
            | (entry_controls::LOAD_DEBUG | entry_controls::LOAD_PAT | entry_controls::LOAD_EFER)
                as u64,
    ),
    (Field::HostCr0, 0x8005_0033),
    (Field::HostCr3, 0x30_0000),
    (Field::HostCr4, 0x2020),
    (Field::HostEfer, 0xd01),
    (Field::HostPat, 0x0407_0506_0007_0106),
    (Field::HostCsSelector, 8),
    (Field::HostSsSelector, 0x10),
    (Field::HostTrSelector, 0x18),
    (Field::HostGsBase, UPPER_HALF),
    (Field::HostTrBase, UPPER_HALF),
    (Field::HostGdtrBase, UPPER_HALF),
    (Field::HostIdtrBase, UPPER_HALF),
    (Field::HostRip, UPPER_HALF),
    (Field::VmcsLinkPointer, u64::MAX),
    (Field::GuestPat, 0x0007_0406_0007_0406),
    (Field::GuestRflags, 2),
    (Field::GuestTrAccessRights, 0x8b),
    (Field::GuestTrLimit, 0xffff),
    (Field::GuestLdtrAccessRights, 0x1_0000),
    (Field::GuestGdtrLimit, 0xffff),
    (Field::GuestIdtrLimit, 0xffff),
];

/// Sets CS, and SS, DS, ES, FS and GS alike: selector, base, limit, access rights.
fn with_segments(subject: &mut Subject, code: [u64; 4], data: [u64; 4]) {
    let registers = segments::DATA.into_iter().chain([segments::SS]);
    let all = registers.map(|register| (register, data));
    for ((_, selector, base, limit, rights), values) in all.chain([(segments::CS, code)]) {
        subject.set_all(&[
            (selector, values[0]),
            (base, values[1]),
            (limit, values[2]),
            (rights, values[3]),
        ]);
    }
}

fn frame() -> Subject {
    let mut subject = Subject {
        fields: Plain::default(),
        msrs: MSRS,
    };
    subject.set_all(FRAME);
    subject
}

/// The 64-bit entry of Linux.
fn long_mode() -> Subject {
    let mut subject = frame();
    subject.control(Field::EntryControls, entry_controls::IA32E_GUEST);
    subject.set_all(&[
        (Field::GuestCr0, 0x8000_0031),
        (Field::GuestCr3, 0x3000),
        (Field::GuestCr4, 0x2020),
        (Field::GuestEfer, 0x500),
        (Field::GuestRip, 0x100_0200),
    ]);
    let limit = 0xffff_ffff;
    with_segments(
        &mut subject,
        [0x10, 0, limit, 0xa09b],
        [0x18, 0, limit, 0xc093],
    );
    subject
}

/// The state after reset.
fn real_mode() -> Subject {
    let mut subject = frame();
    subject.control(Field::SecondaryControls, secondary::UNRESTRICTED_GUEST);
    subject.set_all(&[
        (Field::GuestCr0, 0x6000_0030),
        (Field::GuestCr4, 0x2000),
        (Field::GuestRip, 0xfff0),
    ]);
    with_segments(
        &mut subject,
        [0xf000, 0xffff_0000, 0xffff, 0x9b],
        [0, 0, 0xffff, 0x93],
    );
    subject
}

/// A virtual-8086 task under paging: how real mode runs where there is no unrestricted guest.
fn vm86() -> Subject {
    let mut subject = frame();
    subject.set_all(&[
        (Field::GuestCr0, 0x8000_0031),
        (Field::GuestCr4, 0x2001),
        (Field::GuestRflags, 0x2_3202),
        (Field::GuestRip, 0x7c00),
    ]);
    with_segments(
        &mut subject,
        [0xf000, 0xf_0000, 0xffff, 0xf3],
        [0x1234, 0x1_2340, 0xffff, 0xf3],
    );
    subject
}

/// A 32-bit kernel with PAE paging, in its user mode.
fn pae() -> Subject {
    let mut subject = frame();
    subject.set_all(&[
        (Field::GuestCr0, 0x8005_0033),
        (Field::GuestCr3, 0x3020),
        (Field::GuestCr4, 0x2020),
        (Field::GuestPdpte0, 0x4001),
        (Field::GuestPdpte1, 0x1e6),
        (Field::GuestPdpte3, 0x3fff_ffff_f001),
        (Field::GuestRflags, 0x202),
        (Field::GuestRip, 0x804_8000),
        (Field::GuestLdtrSelector, 0x28),
        (Field::GuestLdtrLimit, 0xfff),
        (Field::GuestLdtrAccessRights, 0x82),
    ]);
    let limit = 0xffff_ffff;
    with_segments(
        &mut subject,
        [0x73, 0, limit, 0xc0fb],
        [0x7b, 0, limit, 0xc0f3],
    );
    subject
}

/// Long mode with all that the CPU can do about interrupts.
fn posted() -> Subject {
    let mut subject = long_mode();
    subject.control(Field::PinBasedControls, pin::POSTED_INTERRUPTS);
    subject.control(Field::PrimaryControls, primary::TPR_SHADOW);
    for control in [
        secondary::VIRTUALIZE_APIC_ACCESSES,
        secondary::APIC_REGISTER_VIRTUALIZATION,
        secondary::VIRTUAL_INTERRUPT_DELIVERY,
    ] {
        subject.control(Field::SecondaryControls, control);
    }
    subject.set_all(&[
        (Field::VirtualApicAddress, 0x10_3000),
        (Field::ApicAccessAddress, 0x10_4000),
        (Field::PostedInterruptDescriptorAddress, 0x10_5040),
        (Field::PostedInterruptNotificationVector, 0xf2),
    ]);
    subject
}

/// A guest that halted with interrupts on.
fn halted() -> Subject {
    let mut subject = long_mode();
    subject.set(Field::GuestActivityState, crate::bits::activity::HLT);
    subject.add(Field::GuestRflags, Rflags::IF.bits());
    subject
}

const GOOD: [Good; 6] = [long_mode, real_mode, vm86, pae, posted, halted];

#[test]
fn good_states_break_no_rule() {
    for good in GOOD {
        assert_eq!(
            good().violation(),
            "no rule that this checker knows is broken"
        );
    }
}

#[test]
fn good_events_break_no_rule() {
    let mut subject = halted();
    for (kind, vector) in [(0, 0x30), (2, 2), (3, 1), (3, 18), (7, 0)] {
        subject.inject(kind, vector);
        assert!(
            subject.violation().starts_with("no rule"),
            "{kind} {vector}"
        );
    }
    let mut subject = long_mode();
    for (kind, vector) in [(3, 6), (4, 0x80), (5, 1), (6, 3)] {
        subject.inject(kind, vector);
        assert!(
            subject.violation().starts_with("no rule"),
            "{kind} {vector}"
        );
    }
    subject.inject(3, 14 | interruption::ERROR_VALID);
    subject.set(Field::EntryExceptionErrorCode, 0x801f);
    assert!(subject.violation().starts_with("no rule"));
}

#[test]
fn texts_are_unique_and_cite_a_section() {
    let texts: Vec<_> = GROUPS.into_iter().flatten().map(|rule| rule.1).collect();
    let unique: BTreeSet<_> = texts.iter().collect();
    assert_eq!(unique.len(), texts.len());
    for text in texts {
        assert!(
            text.contains(": ") && text.contains("(SDM 3C, 27."),
            "{text}"
        );
    }
}

/// Fields that are partly those of a good state and partly noise.
struct Noisy {
    good: Plain,
    seed: u64,
    noise_of_256: u64,
}

impl Fields for Noisy {
    fn read(&self, field: Field) -> u64 {
        // SplitMix64.
        let mut word = self.seed ^ (field as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        if word >> 56 < self.noise_of_256 {
            word.rotate_left(17)
        } else {
            self.good.read(field)
        }
    }

    fn write(&mut self, _: Field, _: u64) {}

    fn make_current(&mut self) {}
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]
    #[test]
    fn any_state_is_judged(
        good in 0..GOOD.len(),
        seed: u64,
        noise_of_256 in 0_u64..=256,
        capabilities in any::<[u64; 7]>(),
        fixed in any::<[(u64, u64); 2]>(),
        physical_bits: u8,
        own_cpu: bool,
    ) {
        let [basic, pin, primary, secondary, exit, entry, misc] = capabilities;
        let msrs = if own_cpu { MSRS } else {
            Msrs {
                basic, pin, primary, secondary, exit, entry, misc,
                cr0_fixed: fixed[0], cr4_fixed: fixed[1], ept_vpid: seed, physical_bits,
            }
        };
        let fields = Noisy { good: GOOD[good]().fields, seed, noise_of_256 };
        let found = first_violation(&fields, &msrs);
        prop_assert!(!found.is_empty());
        // Every rule alone, as the first one often hides the rest.
        let state = State { fields: &fields, msrs: &msrs };
        let broken = GROUPS.into_iter().flatten().filter(|(broken, _)| broken(&state)).count();
        prop_assert_eq!(broken == 0, found.starts_with("no rule"));
    }
}
