use super::*;
use crate::emulate::alu::{self, Shift};
use proptest::prelude::*;

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

fn machine() -> Machine {
    Machine::bits64().with(Gpr::Rbx, DATA)
}

#[test]
fn every_operation_reads_and_writes_memory_once() {
    // Opcode with its ModRM byte for [rbx] and, where there is one, an immediate; then operand and result.
    let cases: [(&[u8], u32, u32); 14] = [
        (&[0x83, 0x03, 0x05], 7, 12),             // add
        (&[0x83, 0x0b, 0x05], 8, 13),             // or
        (&[0x83, 0x13, 0x05], 7, 12),             // adc, carry clear
        (&[0x83, 0x1b, 0x05], 7, 2),              // sbb
        (&[0x83, 0x23, 0x05], 7, 5),              // and
        (&[0x83, 0x2b, 0x05], 7, 2),              // sub
        (&[0x83, 0x33, 0x05], 7, 2),              // xor
        (&[0xff, 0x03], 7, 8),                    // inc
        (&[0xff, 0x0b], 7, 6),                    // dec
        (&[0xf7, 0x1b], 7, 7_u32.wrapping_neg()), // neg
        (&[0xf7, 0x13], 7, !7),                   // not
        (&[0xc1, 0x23, 0x04], 7, 0x70),           // shl
        (&[0x0f, 0xba, 0x2b, 0x03], 7, 15),       // bts 3
        (&[0x0f, 0xba, 0x33, 0x01], 7, 5),        // btr 1
    ];
    for (bytes, before, after) in cases {
        for base in [DATA, DEVICE] {
            let mut machine = machine().with(Gpr::Rbx, base);
            machine
                .bus
                .write(Gpa(base), Width::Dword, u64::from(before));
            machine.bus.log.clear();
            machine.run(bytes);
            assert_eq!(
                machine.bus.read(Gpa(base), Width::Dword) as u32,
                after,
                "{bytes:x?}"
            );
            // The device was read once and written once; the check above is the third access.
            assert!(matches!(machine.bus.log.len(), 0 | 3));
        }
    }
}

#[test]
fn comparisons_write_nothing() {
    let mut machine = machine().with(Gpr::Rbx, DEVICE);
    machine.run(&[0x80, 0x3b, 0x00]); // cmp byte [rbx],0
    assert!(machine.flags().contains(Rflags::ZF));
    machine.run(&[0xf6, 0x43, 0x08, 0x08]); // test byte [rbx+8],8
    assert!(!machine.flags().contains(Rflags::ZF));
    machine.run(&[0x3b, 0x03]); // cmp eax,[rbx]
    assert!(machine.flags().contains(Rflags::CF));
    assert!(
        machine
            .bus
            .log
            .iter()
            .all(|one| matches!(one, Access::Read(..)))
    );
}

#[test]
fn carries_go_in_and_out() {
    let mut machine = machine().with(Gpr::Rax, 1);
    machine.put(DATA, &[0xff; 8]);
    machine.run(&[0x48, 0x01, 0x03]); // add [rbx],rax
    assert!(
        machine
            .flags()
            .contains(Rflags::CF | Rflags::ZF | Rflags::AF | Rflags::PF)
    );
    machine.run(&[0x48, 0x11, 0x03]); // adc [rbx],rax
    assert_eq!(machine.ram(DATA), 2_u64.to_le_bytes());
    assert!(!machine.flags().contains(Rflags::CF));
}

#[test]
fn a_bit_offset_in_a_register_reaches_out() {
    let mut machine = machine().with(Gpr::Rcx, 100).with(Gpr::Rdx, u64::MAX);
    machine.run(&[0x0f, 0xab, 0x0b]); // bts [rbx],ecx
    assert_eq!(machine.ram(DATA + 12), [0x10]);
    machine.run(&[0x48, 0x0f, 0xbb, 0x13]); // btc [rbx],rdx: bit -1
    assert_eq!(machine.ram(DATA - 1), [0x80]);
    machine.run(&[0x0f, 0xa3, 0x13]); // bt [rbx],edx
    assert!(machine.flags().contains(Rflags::CF));
}

#[test]
fn exchanges() {
    let mut machine = machine()
        .with(Gpr::Rax, 0x11)
        .with(Gpr::Rcx, 0x22)
        .with(Gpr::Rdx, u64::MAX);
    machine.put(DATA, &[0x33, 0, 0, 0, 0x44, 0, 0, 0]);
    machine.run(&[0x87, 0x0b]); // xchg [rbx],ecx
    assert_eq!(
        (machine.ram(DATA), machine.gpr(Gpr::Rcx)),
        ([0x22, 0, 0, 0], 0x33)
    );
    machine.run(&[0xf0, 0x0f, 0xc1, 0x0b]); // lock xadd [rbx],ecx
    assert_eq!(
        (machine.ram(DATA), machine.gpr(Gpr::Rcx)),
        ([0x55, 0, 0, 0], 0x22)
    );
    machine.run(&[0xf0, 0x0f, 0xb1, 0x0b]); // lock cmpxchg [rbx],ecx
    assert_eq!(
        (machine.ram(DATA), machine.gpr(Gpr::Rax)),
        ([0x55, 0, 0, 0], 0x55)
    );
    assert!(!machine.flags().contains(Rflags::ZF));
    machine.run(&[0xf0, 0x0f, 0xb1, 0x0b]);
    assert_eq!(machine.ram(DATA), [0x22, 0, 0, 0]);
    assert!(machine.flags().contains(Rflags::ZF));
    machine.run(&[0xf0, 0x0f, 0xc7, 0x0b]); // lock cmpxchg8b [rbx]
    assert!(!machine.flags().contains(Rflags::ZF));
    assert_eq!((machine.gpr(Gpr::Rax), machine.gpr(Gpr::Rdx)), (0x22, 0x44));
    machine.run(&[0xf0, 0x0f, 0xc7, 0x0b]);
    assert!(machine.flags().contains(Rflags::ZF));
    assert_eq!(machine.ram(DATA), [0, 0x30, 0, 0, 0x22, 0, 0, 0]);
    machine.state.gprs[Gpr::Rax as usize] = 0x22_0000_3000;
    machine.state.gprs[Gpr::Rdx as usize] = 0;
    machine.run(&[0x48, 0x0f, 0xc7, 0x0b]); // cmpxchg16b [rbx]
    assert!(machine.flags().contains(Rflags::ZF));
    assert_eq!(machine.ram(DATA), DATA.to_le_bytes());
    assert_eq!(machine.ram(DATA + 8), [0x22, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_contended_lock_gives_up_and_comes_back() {
    let mut machine = machine();
    machine.bus.contention = 20;
    let bytes = [0xf0, 0xff, 0x03]; // lock inc dword [rbx]
    assert_eq!(machine.step(&bytes), Ok(Step::Again));
    assert_eq!((machine.state.rip, machine.ram(DATA)), (CODE, [0; 4]));
    machine.run(&bytes);
    assert_eq!(machine.ram(DATA), [1, 0, 0, 0]);
}

fn any_width() -> impl Strategy<Value = Width> {
    proptest::sample::select(&WIDTHS[..])
}

/// Sign, zero and parity, said another way than `alu` does.
fn result_flags(width: Width, value: u64) -> Rflags {
    let mut flags = Rflags::empty();
    flags.set(
        Rflags::ZF,
        (0..width.bits()).all(|bit| value >> bit & 1 == 0),
    );
    flags.set(Rflags::SF, value >> (width.bits() - 1) == 1);
    flags.set(
        Rflags::PF,
        (0..8).filter(|bit| value >> bit & 1 == 1).count() % 2 == 0,
    );
    flags
}

fn signed(width: Width, value: u64) -> i128 {
    let value = i128::from(value);
    if value >> (width.bits() - 1) & 1 == 1 {
        value - (1 << width.bits())
    } else {
        value
    }
}

proptest! {
    #[test]
    fn sums_and_differences_follow_wide_arithmetic(a in any::<u64>(), b in any::<u64>(), carry in 0_u64..2, width in any_width()) {
        let (a, b) = (width.cut(a), width.cut(b));
        let range = 1_i128 << width.bits();
        let limits = -(range / 2)..range / 2;
        let sum = i128::from(a) + i128::from(b) + i128::from(carry);
        let mut flags = result_flags(width, sum.rem_euclid(range) as u64);
        flags.set(Rflags::CF, sum >= range);
        flags.set(Rflags::AF, a % 16 + b % 16 + carry >= 16);
        flags.set(Rflags::OF, !limits.contains(&(signed(width, a) + signed(width, b) + i128::from(carry))));
        let outcome = alu::add(width, a, b, carry);
        prop_assert_eq!((i128::from(outcome.value), outcome.flags), (sum.rem_euclid(range), flags));

        let difference = i128::from(a) - i128::from(b) - i128::from(carry);
        let mut flags = result_flags(width, difference.rem_euclid(range) as u64);
        flags.set(Rflags::CF, difference < 0);
        flags.set(Rflags::AF, a % 16 < b % 16 + carry);
        flags.set(Rflags::OF, !limits.contains(&(signed(width, a) - signed(width, b) - i128::from(carry))));
        let outcome = alu::sub(width, a, b, carry);
        prop_assert_eq!((i128::from(outcome.value), outcome.flags), (difference.rem_euclid(range), flags));
    }

    #[test]
    fn shifts_move_one_bit_at_a_time(value in any::<u64>(), count in 0_u64..256, carry in 0_u64..2, width in any_width()) {
        let steps = count & if width == Width::Qword { 63 } else { 31 };
        let top = |value: u64| value >> (width.bits() - 1) & 1;
        for kind in [Shift::Shl, Shift::Shr, Shift::Sar, Shift::Rol, Shift::Ror, Shift::Rcl, Shift::Rcr] {
            let mut expected = width.cut(value);
            let mut bit = carry;
            for _ in 0..steps {
                let (high, low) = (top(expected), expected & 1);
                let up = width.cut(expected << 1);
                let down = expected >> 1;
                let end = width.bits() - 1;
                (expected, bit) = match kind {
                    Shift::Shl => (up, high),
                    Shift::Shr => (down, low),
                    Shift::Sar => (down | high << end, low),
                    Shift::Rol => (up | high, high),
                    Shift::Ror => (down | low << end, low),
                    Shift::Rcl => (up | bit, high),
                    Shift::Rcr => (down | bit << end, low),
                };
            }
            let outcome = alu::shift(kind, width, value, count, carry);
            prop_assert_eq!(outcome.value, expected, "{:?}", kind);
            let is_rotation = !matches!(kind, Shift::Shl | Shift::Shr | Shift::Sar);
            if steps == 0 {
                prop_assert!(outcome.changed.is_empty());
            } else if is_rotation || steps < u64::from(width.bits()) {
                // Beyond the width the carry of shifts is undefined.
                prop_assert_eq!(outcome.flags.contains(Rflags::CF), bit == 1, "{:?}", kind);
            }
            if steps == 1 {
                let overflow = match kind {
                    Shift::Sar => false,
                    Shift::Shr => top(width.cut(value)) == 1,
                    _ => top(width.cut(value)) != top(expected),
                };
                prop_assert_eq!(outcome.flags.contains(Rflags::OF), overflow, "{:?}", kind);
            }
        }
    }

    #[test]
    fn double_shifts_take_from_the_filler(value in any::<u64>(), filler in any::<u64>(), count in 0_u64..64, width in proptest::sample::select(&WIDTHS[1..])) {
        let bits = u64::from(width.bits());
        // Beyond the width the result is undefined.
        let count = count % (bits + 1);
        let steps = count & if width == Width::Qword { 63 } else { 31 };
        let (value, filler) = (width.cut(value), width.cut(filler));
        let left = (0..steps).fold(value, |sum, step| width.cut(sum << 1) | filler >> (bits - 1 - step) & 1);
        prop_assert_eq!(alu::double_shift(Shift::Shl, width, value, filler, count).value, left);
        let right = (0..steps).fold(value, |sum, step| sum >> 1 | (filler >> step & 1) << (bits - 1));
        prop_assert_eq!(alu::double_shift(Shift::Shr, width, value, filler, count).value, right);
    }
}
