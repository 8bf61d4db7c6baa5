//! Whatever the guest does, a step ends, and an instruction that does not complete changes nothing.

use super::*;
use proptest::prelude::*;

/// A guest whose registers point into RAM, the device, and nowhere.
fn any_machine() -> impl Strategy<Value = (u8, [u64; 16], u64)> {
    let value = prop_oneof![
        4 => 0..RAM_BYTES,
        2 => DEVICE..DEVICE + 0x1800,
        1 => any::<u64>(),
        1 => 0_u64..8,
    ];
    let registers = proptest::array::uniform16(value);
    (0_u8..5, registers, any::<u64>())
}

fn build(kind: u8, registers: [u64; 16], rflags: u64) -> Machine {
    let mut machine = match kind {
        0 => Machine::bits16(),
        1 => Machine::bits32(),
        2 => Machine::bits64(),
        3 => Machine::user64(),
        _ => {
            let mut machine = Machine::bits16();
            machine.state.cr0 = 0x11;
            machine.state.rflags |= Rflags::VM.bits();
            machine
        }
    };
    machine.state.gprs = registers;
    machine.state.rflags |= rflags & 0xdd5;
    machine.bus.xsave = Some([0; XSAVE_HEAD_BYTES]);
    machine
}

/// Bytes that mostly start like an instruction of the covered groups.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let prefix =
        proptest::sample::select(&[0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x65, 0x48, 0x4f][..]);
    let prefixes = proptest::collection::vec(prefix, 0..4);
    let escapes: [&[u8]; 4] = [&[], &[], &[0x0f], &[0x0f, 0x38]];
    let escape = proptest::sample::select(escapes.to_vec());
    let rest = proptest::collection::vec(any::<u8>(), 1..12);
    (prefixes, escape, rest)
        .prop_map(|(prefixes, escape, rest)| [&prefixes[..], escape, &rest].concat())
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer((kind, registers, rflags) in any_machine(), bytes in any_bytes()) {
        let mut machine = build(kind, registers, rflags);
        machine.put(CODE, &bytes);
        let before = machine.state.clone();
        let code = machine.ram::<16>(CODE);
        match machine.again() {
            Ok(Step::Done(_) | Step::Halt(_)) => {}
            Ok(Step::Again) => prop_assert_eq!(machine.state.rip, CODE),
            Ok(Step::Fault(_)) => prop_assert_eq!(&machine.state, &before),
            Err(report) => {
                prop_assert_eq!(&machine.state, &before);
                prop_assert_eq!(&report.bytes[..], &code[..15]);
            }
        }
    }

    #[test]
    fn a_cached_decode_acts_like_a_fresh_one((kind, registers, rflags) in any_machine(), bytes in any_bytes()) {
        let mut fresh = build(kind, registers, rflags);
        fresh.put(CODE, &bytes);
        let mut warm = build(kind, registers, rflags);
        warm.put(CODE, &bytes);
        let _ = warm.again();
        warm.state = fresh.state.clone();
        let twin = build(kind, registers, rflags);
        twin.put(CODE, &bytes);
        warm.bus = twin.bus;
        prop_assert_eq!(warm.again(), fresh.again());
        prop_assert_eq!(&warm.state, &fresh.state);
        prop_assert_eq!(&warm.bus.log, &fresh.bus.log);
    }
}
