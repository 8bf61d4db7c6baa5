//! Integer arithmetic with its flags (SDM vol. 1, appendix A).

use crate::Width;
use crate::regs::Rflags;

/// A result, and what becomes of the arithmetic flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub value: u64,
    /// New values of the flags in `changed`.
    pub flags: Rflags,
    pub changed: Rflags,
}

/// CF, PF, AF, ZF, SF, OF.
pub(super) const STATUS: Rflags = Rflags::CF
    .union(Rflags::PF)
    .union(Rflags::AF)
    .union(Rflags::ZF)
    .union(Rflags::SF)
    .union(Rflags::OF);

/// The carry that ADC, SBB and the rotations through it take in.
pub(super) fn carry_in(rflags: u64) -> u64 {
    rflags & Rflags::CF.bits()
}

fn when(flag: Rflags, is_set: bool) -> Rflags {
    if is_set { flag } else { Rflags::empty() }
}

fn top_bit(width: Width, value: u64) -> bool {
    value >> (width.bits() - 1) & 1 != 0
}

/// SF, ZF and PF of a result.
fn of_result(width: Width, value: u64) -> Rflags {
    when(Rflags::ZF, value == 0)
        | when(Rflags::SF, top_bit(width, value))
        | when(Rflags::PF, (value as u8).count_ones().is_multiple_of(2))
}

/// `a + b + carry`.
pub(super) fn add(width: Width, a: u64, b: u64, carry: u64) -> Outcome {
    let (a, b) = (width.cut(a), width.cut(b));
    let value = width.cut(a.wrapping_add(b).wrapping_add(carry));
    let carries = a & b | (a | b) & !value;
    Outcome {
        value,
        flags: of_result(width, value)
            | when(Rflags::CF, top_bit(width, carries))
            | when(Rflags::AF, carries & 8 != 0)
            | when(Rflags::OF, top_bit(width, (a ^ value) & (b ^ value))),
        changed: STATUS,
    }
}

/// `a - b - borrow`.
pub(super) fn sub(width: Width, a: u64, b: u64, borrow: u64) -> Outcome {
    let (a, b) = (width.cut(a), width.cut(b));
    let value = width.cut(a.wrapping_sub(b).wrapping_sub(borrow));
    let borrows = !a & b | (!a | b) & value;
    Outcome {
        value,
        flags: of_result(width, value)
            | when(Rflags::CF, top_bit(width, borrows))
            | when(Rflags::AF, borrows & 8 != 0)
            | when(Rflags::OF, top_bit(width, (a ^ b) & (a ^ value))),
        changed: STATUS,
    }
}

/// The result of AND, OR, XOR and TEST: CF and OF are cleared; AF, undefined, too.
pub(super) fn logic(width: Width, value: u64) -> Outcome {
    let value = width.cut(value);
    Outcome {
        value,
        flags: of_result(width, value),
        changed: STATUS,
    }
}

/// INC: as [`add`], but CF stays.
pub(super) fn increment(width: Width, a: u64) -> Outcome {
    keep_carry(add(width, a, 1, 0))
}

/// DEC: as [`sub`], but CF stays.
pub(super) fn decrement(width: Width, a: u64) -> Outcome {
    keep_carry(sub(width, a, 1, 0))
}

fn keep_carry(outcome: Outcome) -> Outcome {
    Outcome {
        changed: outcome.changed - Rflags::CF,
        ..outcome
    }
}

/// NOT and moves: a value without flags.
pub(super) fn plain(value: u64) -> Outcome {
    Outcome {
        value,
        flags: Rflags::empty(),
        changed: Rflags::empty(),
    }
}

/// A bit operation: CF is the bit as it was; the other flags, undefined, stay.
pub(super) fn bit(value: u64, was_set: bool) -> Outcome {
    Outcome {
        value,
        flags: when(Rflags::CF, was_set),
        changed: Rflags::CF,
    }
}

/// The shifts and rotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    Shl,
    Shr,
    Sar,
    Rol,
    Ror,
    Rcl,
    Rcr,
}

/// Shifts or rotates by the count as the instruction masks it. A count of zero changes nothing. OF is defined for a
/// count of one and computed by the same rule for others, as CPUs do for most.
pub(super) fn shift(shift: Shift, width: Width, value: u64, count: u64, rflags: u64) -> Outcome {
    let count = (count & if width == Width::Qword { 63 } else { 31 }) as u32;
    let value = width.cut(value);
    if count == 0 {
        return plain(value);
    }
    match shift {
        Shift::Shl | Shift::Shr | Shift::Sar => shift_out(shift, width, value, count),
        Shift::Rol | Shift::Ror => rotate(shift, width, value, count),
        Shift::Rcl | Shift::Rcr => rotate_carry(shift, width, value, count, rflags),
    }
}

fn shift_out(shift: Shift, width: Width, value: u64, count: u32) -> Outcome {
    // 64 bits wider than the operand, so that the last bit shifted out is still there to be looked at.
    let signed = i128::from((value << (64 - width.bits())) as i64 >> (64 - width.bits()));
    let (wide, carry) = match shift {
        Shift::Shl => {
            let wide = u128::from(value) << count;
            (wide as u64, wide >> width.bits() & 1 != 0)
        }
        Shift::Shr => (value >> count, value >> (count - 1) & 1 != 0),
        _ => ((signed >> count) as u64, signed >> (count - 1) & 1 != 0),
    };
    let result = width.cut(wide);
    let overflow = match shift {
        Shift::Shl => top_bit(width, result) != carry,
        Shift::Shr => top_bit(width, value),
        _ => false,
    };
    Outcome {
        value: result,
        flags: of_result(width, result) | when(Rflags::CF, carry) | when(Rflags::OF, overflow),
        changed: STATUS,
    }
}

fn rotate(shift: Shift, width: Width, value: u64, count: u32) -> Outcome {
    let bits = width.bits();
    let left = match shift {
        Shift::Rol => count % bits,
        _ => (bits - count % bits) % bits,
    };
    let wide = u128::from(value) << left;
    let result = width.cut(wide as u64 | (wide >> bits) as u64);
    let (carry, overflow) = match shift {
        Shift::Rol => (result & 1 != 0, top_bit(width, result) != (result & 1 != 0)),
        _ => (
            top_bit(width, result),
            top_bit(width, result) != top_bit(width, result << 1),
        ),
    };
    rotated(result, carry, overflow)
}

/// Through CF, as a ring of one more bit.
fn rotate_carry(shift: Shift, width: Width, value: u64, count: u32, rflags: u64) -> Outcome {
    let ring = width.bits() + 1;
    let held = u128::from(value) | u128::from(carry_in(rflags)) << width.bits();
    let left = match shift {
        Shift::Rcl => count % ring,
        _ => (ring - count % ring) % ring,
    };
    let turned = (held << left | held >> (ring - left)) & ((1 << ring) - 1);
    let result = width.cut(turned as u64);
    let carry = turned >> width.bits() & 1 != 0;
    let overflow = match shift {
        Shift::Rcl => top_bit(width, result) != carry,
        _ => top_bit(width, result) != top_bit(width, result << 1),
    };
    rotated(result, carry, overflow)
}

fn rotated(value: u64, carry: bool, overflow: bool) -> Outcome {
    Outcome {
        value,
        flags: when(Rflags::CF, carry) | when(Rflags::OF, overflow),
        changed: Rflags::CF | Rflags::OF,
    }
}

/// SHLD ([`Shift::Shl`]) and SHRD: `value` moves by `count`, filled up from `filler`. Counts above the width are undefined for 16-bit
/// operands; they are taken modulo the double width here.
pub(super) fn double_shift(
    shift: Shift,
    width: Width,
    value: u64,
    filler: u64,
    count: u64,
) -> Outcome {
    let count = (count & if width == Width::Qword { 63 } else { 31 }) as u32;
    let bits = width.bits();
    let (value, filler) = (width.cut(value), width.cut(filler));
    if count == 0 {
        return plain(value);
    }
    let (result, carry) = if shift == Shift::Shl {
        let pair = u128::from(value) << bits | u128::from(filler);
        let moved = pair << count;
        (
            width.cut((moved >> bits) as u64),
            pair >> (2 * bits - count.min(2 * bits)) & 1 != 0,
        )
    } else {
        let pair = u128::from(filler) << bits | u128::from(value);
        (
            width.cut((pair >> count) as u64),
            pair >> (count - 1) & 1 != 0,
        )
    };
    let overflow = top_bit(width, result) != top_bit(width, value);
    Outcome {
        value: result,
        flags: of_result(width, result) | when(Rflags::CF, carry) | when(Rflags::OF, overflow),
        changed: STATUS,
    }
}
