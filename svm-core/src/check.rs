//! The consistency checks of VMRUN (APM vol. 2, 15.5.1), so that a refused entry is reported by rule and not by number.

use crate::bits::{EFER_SVME, intercept2};
use crate::vmcb::Vmcb;
use hvm::interruption;
use hvm::regs::{Cr0, Cr4, Efer};

type Rule = (fn(&Vmcb) -> bool, &'static str);

/// The rules in the manual's order; each function says whether the state breaks it.
const RULES: &[Rule] = &[
    (
        |v| v.save.efer & EFER_SVME == 0,
        "EFER.SVME is zero (APM 2, 15.5.1)",
    ),
    (
        |v| has0(v, Cr0::NW) && !has0(v, Cr0::CD),
        "CR0.CD is zero and CR0.NW is set (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.cr0 >> 32 != 0,
        "CR0[63:32] are not zero (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.cr3 >> 52 != 0,
        "a reserved bit of CR3 is set (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.cr4 >> 32 != 0,
        "a reserved bit of CR4 is set (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.dr6 >> 32 != 0,
        "DR6[63:32] are not zero (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.dr7 >> 32 != 0,
        "DR7[63:32] are not zero (APM 2, 15.5.1)",
    ),
    (
        |v| v.save.efer >> 22 != 0,
        "a reserved bit of EFER is set (APM 2, 15.5.1)",
    ),
    (
        |v| long_paging(v) && v.save.cr4 & Cr4::PAE.bits() == 0,
        "EFER.LME and CR0.PG without CR4.PAE (APM 2, 15.5.1)",
    ),
    (
        |v| long_paging(v) && !has0(v, Cr0::PE),
        "EFER.LME and CR0.PG without CR0.PE (APM 2, 15.5.1)",
    ),
    (
        |v| {
            long_paging(v)
                && v.save.cr4 & Cr4::PAE.bits() != 0
                && v.save.cs.attributes & 0x600 == 0x600
        },
        "CS.L and CS.D are both set in long mode (APM 2, 15.5.1)",
    ),
    (
        |v| v.control.intercept2 & intercept2::VMRUN == 0,
        "the VMRUN intercept is clear (APM 2, 15.5.1)",
    ),
    (|v| v.control.asid == 0, "the ASID is zero (APM 2, 15.5.1)"),
    (
        |v| v.control.msrpm_base & 0xfff != 0 || v.control.iopm_base & 0xfff != 0,
        "a permission map is not page-aligned (APM 2, 15.10.1)",
    ),
    (
        bad_injection,
        "EVENTINJ holds an illegal event (APM 2, 15.20)",
    ),
    (
        |v| v.control.nested_control & 1 != 0 && v.control.nested_cr3 & 0xfff != 0,
        "nested CR3 is not page-aligned (APM 2, 15.25.3)",
    ),
];

/// The first rule that the state breaks.
pub fn first_violation(vmcb: &Vmcb) -> &'static str {
    RULES
        .iter()
        .find(|(broken, _)| broken(vmcb))
        .map_or("no rule that this checker knows is broken", |rule| rule.1)
}

fn has0(vmcb: &Vmcb, bit: Cr0) -> bool {
    vmcb.save.cr0 & bit.bits() != 0
}

fn long_paging(vmcb: &Vmcb) -> bool {
    vmcb.save.efer & Efer::LME.bits() != 0 && has0(vmcb, Cr0::PG)
}

fn bad_injection(vmcb: &Vmcb) -> bool {
    let word = vmcb.control.event_injection as u32;
    let kind = word >> interruption::TYPE_SHIFT & interruption::TYPE_MASK;
    let vector = word & interruption::VECTOR;
    word & interruption::VALID != 0
        && (matches!(kind, 1 | 5..=7)
            || (kind == interruption::TYPE_EXCEPTION && (vector == 2 || vector > 31)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vcpu::tests::blank;

    fn good() -> Vmcb {
        let mut vmcb = *blank();
        vmcb.save.efer = EFER_SVME;
        vmcb.control.intercept2 = intercept2::VMRUN;
        vmcb.control.asid = 1;
        vmcb
    }

    #[test]
    fn a_good_state_breaks_no_rule() {
        assert!(first_violation(&good()).starts_with("no rule"));
    }

    #[test]
    fn each_bad_state_is_named() {
        type Case = (fn(&mut Vmcb), &'static str);
        let cases: [Case; 7] = [
            (|v| v.save.efer = 0, "SVME"),
            (|v| v.save.cr0 = Cr0::NW.bits(), "CR0.NW"),
            (|v| v.control.asid = 0, "ASID"),
            (|v| v.control.intercept2 = 0, "VMRUN intercept"),
            (
                |v| v.control.event_injection = u64::from(interruption::VALID) | 5 << 8,
                "EVENTINJ",
            ),
            (|v| v.save.dr7 = 1 << 40, "DR7"),
            (
                |v| {
                    v.save.efer |= Efer::LME.bits();
                    v.save.cr0 = (Cr0::PG | Cr0::PE).bits();
                },
                "CR4.PAE",
            ),
        ];
        for (spoil, name) in cases {
            let mut vmcb = good();
            spoil(&mut vmcb);
            assert!(
                first_violation(&vmcb).contains(name),
                "{name}: {}",
                first_violation(&vmcb)
            );
        }
    }
}
