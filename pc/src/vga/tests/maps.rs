//! The CPU's way to the four maps: a model that goes bit by bit, straight from the reference's description.

use super::super::MINIMUM_BYTES;
use super::Machine;
use super::modes::{ALL, MODE_12, MODE_13, TEXT};
use alloc::vec;
use alloc::vec::Vec;
use hvm::Width;
use hvm::device::Lifecycle;
use proptest::prelude::*;

/// Registers of a write.
#[derive(Clone, Debug)]
struct Setting {
    map_mask: u8,
    set_reset: u8,
    enable: u8,
    rotate: u8,
    function: u8,
    bit_mask: u8,
    mode: u8,
}

fn setting() -> impl Strategy<Value = Setting> {
    (
        0_u8..16,
        0_u8..16,
        0_u8..16,
        0_u8..8,
        0_u8..4,
        any::<u8>(),
        0_u8..4,
    )
        .prop_map(
            |(map_mask, set_reset, enable, rotate, function, bit_mask, mode)| Setting {
                map_mask,
                set_reset,
                enable,
                rotate,
                function,
                bit_mask,
                mode,
            },
        )
}

impl Setting {
    fn apply(&self, machine: &mut Machine) {
        machine.outw(0x3c4, 2, self.map_mask);
        let registers = [
            (0, self.set_reset),
            (1, self.enable),
            (3, self.function << 3 | self.rotate),
            (5, self.mode),
            (8, self.bit_mask),
        ];
        for (index, value) in registers {
            machine.outw(0x3ce, index, value);
        }
    }

    /// The bit that ends up in map `map`, bit `bit`.
    fn bit(&self, value: u8, latches: [u8; 4], old: [u8; 4], map: usize, bit: u32) -> bool {
        let of = |byte: u8, bit: u32| byte >> bit & 1 != 0;
        if !of(self.map_mask, map as u32) {
            return of(old[map], bit);
        }
        let latch = of(latches[map], bit);
        let rotated = of(value, (bit + u32::from(self.rotate)) % 8);
        let set = of(self.set_reset, map as u32);
        let (data, selected) = match self.mode {
            0 if of(self.enable, map as u32) => (set, of(self.bit_mask, bit)),
            0 => (rotated, of(self.bit_mask, bit)),
            1 => return latch,
            2 => (of(value, map as u32), of(self.bit_mask, bit)),
            _ => (set, of(self.bit_mask, bit) && rotated),
        };
        if !selected {
            return latch;
        }
        match self.function {
            0 => data,
            1 => data & latch,
            2 => data | latch,
            _ => data ^ latch,
        }
    }
}

/// The four maps at an address, read with read mode 0.
fn maps(machine: &mut Machine, address: u32) -> [u8; 4] {
    machine.outw(0x3ce, 5, 0);
    [0, 1, 2, 3].map(|map| {
        machine.outw(0x3ce, 4, map);
        machine.peek(address)
    })
}

fn set_maps(machine: &mut Machine, address: u32, bytes: [u8; 4]) {
    for (map, byte) in bytes.into_iter().enumerate() {
        let plain = Setting {
            map_mask: 1 << map,
            set_reset: 0,
            enable: 0,
            rotate: 0,
            function: 0,
            bit_mask: 0xff,
            mode: 0,
        };
        plain.apply(machine);
        machine.poke(address, &[byte]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn writes_as_the_reference_says(
        setting in setting(),
        latches: [u8; 4],
        old: [u8; 4],
        value: u8,
        source in 0_u32..0x1_0000,
        target in 0_u32..0x1_0000,
    ) {
        prop_assume!(source != target);
        let mut machine = Machine::in_mode(&MODE_12);
        set_maps(&mut machine, 0xa_0000 + source, latches);
        set_maps(&mut machine, 0xa_0000 + target, old);
        machine.peek(0xa_0000 + source);
        setting.apply(&mut machine);
        machine.poke(0xa_0000 + target, &[value]);
        let found = maps(&mut machine, 0xa_0000 + target);
        for (map, byte) in found.into_iter().enumerate() {
            for bit in 0..8 {
                let wanted = setting.bit(value, latches, old, map, bit);
                prop_assert_eq!(byte >> bit & 1 != 0, wanted, "map {} bit {}", map, bit);
            }
        }
    }

    #[test]
    fn compares_as_the_reference_says(bytes: [u8; 4], color in 0_u8..16, care in 0_u8..16) {
        let mut machine = Machine::in_mode(&MODE_12);
        set_maps(&mut machine, 0xa_1234, bytes);
        machine.outw(0x3ce, 2, color);
        machine.outw(0x3ce, 7, care);
        machine.outw(0x3ce, 5, 8);
        let found = machine.peek(0xa_1234);
        for bit in 0..8 {
            let equal = (0..4).all(|map| {
                care >> map & 1 == 0 || bytes[map] >> bit & 1 == color >> map & 1
            });
            prop_assert_eq!(found >> bit & 1 != 0, equal);
        }
    }

    /// Whatever a mode does with addresses, memory is memory.
    #[test]
    fn what_is_written_is_read(mode in 0_usize..5, address in 0_u32..0x4000, value: u8) {
        let mut machine = Machine::in_mode(super::modes::ALL[mode]);
        let base = [0xb_8000, 0xb_8000, 0xb_8000, 0xa_0000, 0xa_0000][mode];
        machine.poke(base + address, &[value]);
        prop_assert_eq!(machine.peek(base + address), value);
    }
}

#[test]
fn text_lies_at_even_addresses_of_two_maps() {
    let mut machine = Machine::in_mode(&TEXT);
    machine.poke(0xb_8000, b"A\x1eB\x2f");
    machine.outw(0x3c4, 4, 6);
    machine.outw(0x3ce, 6, 5);
    assert_eq!(maps(&mut machine, 0xa_0000), [b'A', 0x1e, 0, 0]);
    assert_eq!(maps(&mut machine, 0xa_0001), [0; 4]);
    assert_eq!(maps(&mut machine, 0xa_0002), [b'B', 0x2f, 0, 0]);
}

#[test]
fn only_the_selected_range_is_decoded() {
    let mut machine = Machine::in_mode(&TEXT);
    machine.poke(0xb_8000, &[1]);
    machine.poke(0xb_0000, &[2]);
    machine.poke(0xa_0000, &[3]);
    assert_eq!(
        [0xa_0000, 0xb_0000, 0xb_8000].map(|address| machine.peek(address)),
        [0xff, 0xff, 1]
    );
    machine.outw(0x3ce, 6, 0x0a);
    assert_eq!(
        [0xa_0000, 0xb_0000, 0xb_8000].map(|address| machine.peek(address)),
        [0xff, 1, 0xff]
    );
    machine.outb(0x3c2, 0x65);
    assert_eq!(machine.peek(0xb_0000), 0xff, "memory is switched off");
}

#[test]
fn chain_4_spreads_over_all_maps() {
    let mut machine = Machine::in_mode(&MODE_13);
    machine.poke(0xa_0000, &[1, 2, 3, 4, 5]);
    machine.poke(0xa_4000, &[9]);
    machine.unchain();
    assert_eq!(maps(&mut machine, 0xa_0000), [1, 2, 3, 4]);
    assert_eq!(maps(&mut machine, 0xa_0004), [5, 0, 0, 0]);
    assert_eq!(maps(&mut machine, 0xa_4001), [9, 0, 0, 0]);
}

#[test]
fn latches_move_four_maps_at_once() {
    use hvm::pci::{Function, WindowCopy};
    let mut machine = Machine::in_mode(&MODE_12);
    for offset in 0..8 {
        set_maps(
            &mut machine,
            0xa_0000 + offset,
            [offset as u8; 4].map(|byte| byte + 1),
        );
    }
    machine.outw(0x3c4, 2, 0xf);
    machine.outw(0x3ce, 5, 1);
    let copy = WindowCopy {
        from: 0,
        to: 0x100,
        count: 8,
        width: Width::Byte,
    };
    assert!(machine.adapter.bar_copy(10, copy));
    for offset in 0..8 {
        assert_eq!(maps(&mut machine, 0xa_0100 + offset), [offset as u8 + 1; 4]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Many bytes at once are as many single ones, whatever selects the maps, and the latches end up the same.
    #[test]
    fn runs_are_single_accesses_in_turn(
        mode in 0..ALL.len(),
        setting in setting(),
        memory_mode in any::<u8>(),
        miscellaneous in any::<u8>(),
        reads in any::<u8>(),
        offset in 0_u32..0x2_0000,
        bytes in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        let [mut single, mut run] = [0, 1].map(|_| {
            let mut machine = Machine::in_mode(ALL[mode]);
            let noise: Vec<u8> = (0..MINIMUM_BYTES).map(|at| ((at * 167) >> 3) as u8).collect();
            machine.adapter.vga().linear_write(0, &noise);
            setting.apply(&mut machine);
            machine.outw(0x3c4, 4, memory_mode);
            machine.outw(0x3ce, 5, setting.mode | reads & 0x18);
            machine.outw(0x3ce, 6, miscellaneous);
            machine
        });
        let chip = run.adapter.vga();
        let mut seen = bytes.clone();
        chip.window_read(offset, &mut seen);
        chip.window_write(offset, &bytes);
        let chip = single.adapter.vga();
        for (at, seen) in (offset..).zip(seen) {
            let mut byte = [0];
            chip.window_read(at, &mut byte);
            prop_assert_eq!(byte, [seen]);
        }
        for (at, &byte) in (offset..).zip(&bytes) {
            chip.window_write(at, &[byte]);
        }
        let memory = |machine: &mut Machine| {
            let mut all = vec![0; MINIMUM_BYTES as usize];
            machine.adapter.vga().linear_read(0, &mut all);
            all
        };
        prop_assert!(memory(&mut single) == memory(&mut run));
        prop_assert_eq!(single.adapter.save(), run.adapter.save());
    }
}
