//! Debug exceptions: single steps across instructions of every kind, breakpoints, the guard of the debug registers.

use crate::log::{self, check};
use crate::machine::{self, set_dr0, set_dr1, set_dr2, set_dr3, set_dr7};
use crate::trap::{self, BREAKPOINT, DEBUG, Frame, INVALID_OPCODE, RF};
use crate::{at, sequences};
use core::sync::atomic::{AtomicU64, Ordering};

sequences! {
    stepped_1, stepped_2, stepped_3, stepped_4, stepped_5, stepped_6, stepped_7, stepped_8, stepped_9, stepped_10,
    stepped_11, stepped_12, stepped_13, stepped_14, stepped_15, stepped_16,
    stepped_sti, stepped_sti_1, stepped_sti_2, stepped_sti_3, stepped_sti_4,
    stepped_int, stepped_int_1, stepped_int_2, stepped_int_3, stepped_int_4, stepped_int_5, stepped_int_6,
    icebp, icebp_behind,
    stepped_strings, strings_1, strings_2, strings_3, strings_4, strings_5, strings_6,
    broken, broken_1, broken_2, broken_3, watching, watching_1, watching_steps, watching_2, watching_3, watching_4, guarded_1,
}

unsafe extern "C" {
    safe fn stepped() -> u64;
    safe fn guarded() -> u64;
    static watched: u64;
}

const ROUNDS: u32 = 50;

/// DR6: the bits that read as 1.
const ONES: u64 = 0xffff_0ff0;
const BD: u64 = ONES | 1 << 13;
const BS: u64 = ONES | 1 << 14;
/// DR7: bit 10 reads as 1.
const DR7_ONE: u64 = 1 << 10;

pub fn run() {
    single_steps();
    breakpoints();
}

/// Debug exceptions at these points, with this DR6.
fn traps<const N: usize>(points: [extern "C" fn(); N], dr6: u64) -> [(u8, u64, u64); N] {
    points.map(|point| (DEBUG, at(point), dr6))
}

/// True if these events came, as (vector, RIP, DR6), and then this number of single steps.
fn came(expected: impl IntoIterator<Item = (u8, u64, u64)>, then: usize) -> bool {
    let mut records = log::all();
    let fits = expected.into_iter().all(|(vector, rip, dr6)| {
        records
            .next()
            .is_some_and(|one| (one.vector, one.rip, one.dr6) == (vector, rip, dr6))
    });
    let mut rest = 0;
    fits && records.inspect(|_| rest += 1).all(|one| one.dr6 == BS) && rest == then
}

fn single_steps() {
    let points = [
        stepped_1, stepped_2, stepped_3, stepped_4, stepped_5, stepped_6, stepped_7, stepped_8,
        stepped_9, stepped_10, stepped_11, stepped_12, stepped_13, stepped_14, stepped_15,
        stepped_16,
    ];
    check("step", ROUNDS, trap::nothing, || {
        stepped() == trap::TF && came(traps(points, BS), 0)
    });
    check("step-sti", ROUNDS, trap::nothing, || {
        stepped_sti();
        let points = [stepped_sti_1, stepped_sti_2, stepped_sti_3, stepped_sti_4];
        came(traps(points, BS), 3)
    });
    check("step-int", ROUNDS, trap::nothing, || {
        stepped_int();
        let other = |vector, point| (vector, at(point), 0);
        let step = |point| (DEBUG, at(point), BS);
        let expected = [
            step(stepped_int_1),
            other(0x80, stepped_int_2),
            step(stepped_int_3),
            other(BREAKPOINT, stepped_int_4),
            step(stepped_int_5),
            other(INVALID_OPCODE, stepped_int_5),
            step(stepped_int_6),
        ];
        came(expected, 2)
    });
    check("icebp", ROUNDS, trap::nothing, || {
        icebp();
        came(traps([icebp_behind], ONES), 0)
    });
    check("step-strings", ROUNDS, trap::nothing, || {
        stepped_strings();
        let each = [
            strings_1, strings_1, strings_1, strings_2, strings_3, strings_4, strings_4, strings_4,
            strings_5, strings_6,
        ];
        came(traps(each, BS), 3)
    });
}

fn breakpoints() {
    check("break", ROUNDS, resume, || {
        set_dr0(at(broken_1));
        set_dr1(at(broken_2));
        set_dr2(at(broken_3));
        set_dr7(DR7_ONE | 0x15);
        broken();
        set_dr7(DR7_ONE);
        let points = [(at(broken_1), 1), (at(broken_2), 2), (at(broken_3), 4)];
        came(points.map(|(rip, hit)| (DEBUG, rip, ONES | hit)), 0)
    });
    const WRITES_OF_DWORD_3: u64 = DR7_ONE | 0xd000_0040;
    set_dr3(&raw const watched as u64);
    check("watch", ROUNDS, trap::nothing, || {
        set_dr7(WRITES_OF_DWORD_3);
        watching();
        set_dr7(DR7_ONE);
        came(traps([watching_1], ONES | 8), 0)
    });
    check("watch-step", ROUNDS, trap::nothing, || {
        set_dr7(WRITES_OF_DWORD_3);
        watching_steps();
        set_dr7(DR7_ONE);
        let points = [
            (at(watching_2), BS),
            (at(watching_3), BS | 8),
            (at(watching_4), BS),
        ];
        came(points.map(|(rip, dr6)| (DEBUG, rip, dr6)), 3)
    });
    check("guard", ROUNDS, skip_guarded, || {
        GUARD.store(u64::MAX, Ordering::Relaxed);
        let behind = guarded();
        set_dr7(DR7_ONE);
        came(traps([guarded_1], BD), 0)
            && behind == DR7_ONE
            && GUARD.load(Ordering::Relaxed) == DR7_ONE
    });
}

/// Lets the instruction at the breakpoint run.
fn resume(frame: &mut Frame) {
    frame.flags |= RF;
}

/// DR7 in the handler.
static GUARD: AtomicU64 = AtomicU64::new(0);

fn skip_guarded(frame: &mut Frame) {
    const MOV_TO_DR: u64 = 3;
    GUARD.store(machine::dr7(), Ordering::Relaxed);
    frame.rip += MOV_TO_DR;
}
