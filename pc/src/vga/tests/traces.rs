//! Arbitrary traffic: nothing panics, pictures stay bounded, and a restored adapter goes on alike.

use super::modes::ALL;
use super::{MINIMUM_BYTES, Machine, Picture, adapter};
use crate::testing::twins;
use alloc::vec;
use alloc::vec::Vec;
use hvm::Width;
use hvm::device::Lifecycle;
use hvm::display::{Stamp, TextScreen};
use hvm::pci::{Function, WindowCopy};
use proptest::prelude::*;

const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

#[derive(Clone, Debug)]
pub(super) enum Operation {
    /// A byte from a port.
    In(u16),
    /// A byte to a port.
    Out(u16, u8),
    /// Index and data.
    Register(u16, u8, u8),
    Attribute(u8, u8),
    Dispi(u16, u16),
    /// A read from A0000h + offset.
    Load(u32, usize),
    Store(u32, usize, u64),
    Copy(u32, u32, u32),
    /// Writes to the linear framebuffer.
    Linear(u32, u64),
    Page(u64, usize, u64),
    Mode(usize),
    /// What a viewer sees is part of what must be alike.
    Look,
}

pub(super) fn operation() -> impl Strategy<Value = Operation> {
    // Ports whose meaning depends on earlier accesses come more often.
    let stateful = prop::sample::select(&[0x3c0_u16, 0x3c7, 0x3c8, 0x3c9][..]);
    let port = || prop_oneof![0x3c0_u16..0x3e0, 0x3b0_u16..0x3bc, stateful.clone()];
    let indexed = prop::sample::select(&[0x3c4_u16, 0x3ce, 0x3d4][..]);
    let window = || prop_oneof![0_u32..0x2_0000, 0x1_8000_u32..0x1_9000];
    let small = prop_oneof![
        any::<u16>(),
        0_u16..70,
        prop::sample::select(&[8_u16, 15, 24, 0x41, 0xc1, 0x61][..])
    ];
    prop_oneof![
        2 => port().prop_map(Operation::In),
        3 => (port(), any::<u8>()).prop_map(|(port, value)| Operation::Out(port, value)),
        3 => (indexed, 0_u8..0x1a, any::<u8>())
            .prop_map(|(port, index, value)| Operation::Register(port, index, value)),
        1 => (any::<u8>(), any::<u8>()).prop_map(|(index, value)| Operation::Attribute(index, value)),
        1 => (0_u16..12, small).prop_map(|(index, value)| Operation::Dispi(index, value)),
        1 => (window(), 0_usize..4).prop_map(|(offset, width)| Operation::Load(offset, width)),
        4 => (window(), 0_usize..4, any::<u64>())
            .prop_map(|(offset, width, value)| Operation::Store(offset, width, value)),
        1 => (window(), window(), 0_u32..300)
            .prop_map(|(from, to, count)| Operation::Copy(from, to, count)),
        1 => (prop_oneof![any::<u32>(), 0_u32..MINIMUM_BYTES], any::<u64>())
            .prop_map(|(offset, value)| Operation::Linear(offset, value)),
        1 => (0_u64..0x1000, 0_usize..4, any::<u64>())
            .prop_map(|(offset, width, value)| Operation::Page(offset, width, value)),
        1 => (0_usize..ALL.len()).prop_map(Operation::Mode),
        1 => Just(Operation::Look),
    ]
}

/// Does it, and returns what the guest saw.
pub(super) fn perform(machine: &mut Machine, operation: &Operation) -> u64 {
    match *operation {
        Operation::In(port) => return machine.inb(port).into(),
        Operation::Out(port, value) => machine.outb(port, value),
        Operation::Register(port, index, value) => {
            // Else random traces protect themselves soon.
            machine.outw(0x3d4, 0x11, 0);
            machine.outw(port, index, value);
        }
        Operation::Attribute(index, value) => machine.set_attribute(index, value),
        Operation::Dispi(index, value) => {
            machine.dispi(index, value);
            return machine.dispi_read(index).into();
        }
        Operation::Load(offset, width) => return machine.read(10, offset.into(), WIDTHS[width]),
        Operation::Store(offset, width, value) => {
            machine.write(10, offset.into(), WIDTHS[width], value);
        }
        Operation::Copy(from, to, count) => {
            let copy = WindowCopy {
                from: from.into(),
                to: to.into(),
                count: count.into(),
                width: Width::Byte,
            };
            assert!(machine.adapter.bar_copy(10, copy));
        }
        Operation::Linear(offset, value) => {
            machine.write(0, offset.into(), Width::Qword, value);
            return machine.read(0, offset.into(), Width::Qword);
        }
        Operation::Page(offset, width, value) => {
            machine.write(2, offset, WIDTHS[width], value);
            return machine.read(2, offset, WIDTHS[width]);
        }
        Operation::Mode(mode) => machine.set_mode(ALL[mode]),
        Operation::Look => {}
    }
    0
}

/// All that a viewer can see, cheaply: some lines, and the text.
type Seen = (Vec<u32>, Option<TextScreen>);

fn look(machine: &mut Machine) -> Seen {
    let (_, changed) = machine.update(Stamp::NEVER);
    let size = machine.adapter.vga().size();
    assert!(size.width <= 4608 && size.height <= 4096);
    assert_eq!(changed, [size.whole()]);
    let mut pixels = Vec::new();
    for y in [0, size.height / 2, size.height - 1] {
        pixels.extend(machine.row(y));
    }
    (pixels, machine.adapter.vga().text())
}

fn machine() -> Machine {
    Machine::new(MINIMUM_BYTES)
}

/// A machine is saved and restored as its adapter.
impl Lifecycle for Machine {
    fn kind(&self) -> &'static str {
        self.adapter.kind()
    }
    fn reset(&mut self) {
        self.adapter.reset();
    }
    fn save(&self) -> Vec<u8> {
        self.adapter.save()
    }
    fn restore(&mut self, saved: &[u8]) -> Result<(), hvm::device::RestoreError> {
        self.adapter.restore(saved)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_restored_adapter_goes_on_alike(
        operations in prop::collection::vec(operation(), 0..80),
        cut in 0_usize..80,
    ) {
        let step = |machine: &mut Machine, operation: &Operation| {
            let read = perform(machine, operation);
            let seen = matches!(operation, Operation::Look).then(|| look(machine));
            (read, seen)
        };
        twins(machine, &operations, cut, step);
    }
}

#[test]
fn reset_blanks_the_screen() {
    let mut machine = machine();
    machine.set_mode(ALL[0]);
    machine.adapter.reset();
    assert_eq!(machine.adapter.vga().text(), None);
    assert_eq!(machine.inb(0x3cc), 0);
}

#[test]
fn memory_of_another_size_is_refused() {
    let saved = machine().save();
    let mut other = adapter(2 * MINIMUM_BYTES);
    assert!(other.restore(&saved).is_err());
}
