//! Interrupts: shadows, windows and priorities.

use crate::log::{self, check};
use crate::machine::lapic;
use crate::trap::{self, Frame, NMI};
use crate::{at, sequences};

sequences! {
    sti_nop, sti_nop_behind, sti_cli, sti_cli_behind, sti_nop_cli, sti_nop_cli_behind, sti_hlt, sti_hlt_behind,
    popf_if, popf_if_behind, iret_if, iret_if_target, sti_cpuid, sti_cpuid_behind, sti_rdmsr, sti_rdmsr_behind,
    sti_in, sti_in_behind, sti_load, sti_load_behind, sti_nmi, window,
    three_by_cr8, three_by_tpr, three_at_once, both_tprs, cr8_under_cli, cr8_under_cli_behind,
}

unsafe extern "C" {
    static seen: [u64; 3];
}

const ROUNDS: u32 = 200;
/// A pending interrupt, the sequence that lets it in, and where it must come.
const WINDOWS: [(&str, extern "C" fn(), extern "C" fn()); 10] = [
    ("sti-nop", sti_nop, sti_nop_behind),
    ("sti-cli", sti_cli, sti_cli_behind),
    ("sti-nop-cli", sti_nop_cli, sti_nop_cli_behind),
    ("sti-hlt", sti_hlt, sti_hlt_behind),
    ("popf", popf_if, popf_if_behind),
    ("iret", iret_if, iret_if_target),
    ("sti-cpuid", sti_cpuid, sti_cpuid_behind),
    ("sti-rdmsr", sti_rdmsr, sti_rdmsr_behind),
    ("sti-in", sti_in, sti_in_behind),
    ("sti-load", sti_load, sti_load_behind),
];

pub fn run() {
    for (name, sequence, point) in WINDOWS {
        check(name, ROUNDS, trap::nothing, || {
            sequence();
            log::is_at(&[(0x40, at(point))])
        });
    }
    check("nmi-before-interrupt", ROUNDS, trap::nothing, || {
        sti_nmi();
        log::is(&[(NMI, 1), (0x40, 1)])
    });
    let falling = [(0x63, 1), (0x52, 1), (0x41, 1)];
    check("priority-cr8", ROUNDS, trap::nothing, || {
        three_by_cr8();
        log::is(&falling) && seen_is([0, 1, 2])
    });
    check("priority-tpr", ROUNDS, trap::nothing, || {
        three_by_tpr();
        log::is(&falling) && seen_is([0, 1, 2])
    });
    check("priority-both", ROUNDS, trap::nothing, || {
        both_tprs();
        log::len() == 0 && seen_is([0x90, 3, 0x35])
    });
    check("priority-order", ROUNDS, trap::nothing, || {
        three_at_once();
        log::is(&falling)
    });
    check("priority-cli", ROUNDS, trap::nothing, || {
        cr8_under_cli();
        log::is_at(&[(0x63, at(cr8_under_cli_behind))])
    });
    check("priority-nested", ROUNDS, nest, || {
        send(0x52);
        window();
        log::is(&[(0x52, 1), (0x63, 2), (0x41, 1)])
    });
}

fn seen_is(expected: [u64; 3]) -> bool {
    // SAFETY: the sequence has ended, and only sequences write there.
    unsafe { (&raw const seen).read_volatile() == expected }
}

fn send(vector: u32) {
    lapic::write(0x300, 0x4_4000 | vector);
}

/// The handler of 52h lets in what is above it.
fn nest(frame: &mut Frame) {
    if frame.vector == 0x52 {
        send(0x41);
        send(0x63);
        window();
    }
}
