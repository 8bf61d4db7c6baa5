//! Arbitrary traffic: nothing panics, everything ends, and a saved function goes on alike.

use super::machine::*;
use super::medium::{Medium, Pace};
use crate::ide::{ChannelName, Drive, Position, Register};
use alloc::vec;
use alloc::vec::Vec;
use guest_mem::Gpa;
use hvm::Width;
use hvm::device::Lifecycle;
use hvm::pci::Function;
use proptest::prelude::*;

const WIDTHS: [Width; 3] = [Width::Byte, Width::Word, Width::Dword];

#[derive(Clone, Debug)]
enum Operation {
    Channel(bool),
    Read(usize, usize),
    Write(usize, u8),
    Data(Vec<u8>),
    Take(usize),
    Command(u8),
    /// A packet, its features and limit.
    Packet(Vec<u8>, u8, u16),
    MasterWrite(u64, usize, u32),
    MasterRead(u64, usize),
    Table(Vec<(u32, u32)>),
    Start(bool),
    Config(u8, u32),
    Finish,
    Poll,
    Eject,
    Change(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    let small = prop_oneof![0_u8..8, any::<u8>()];
    let opcode = prop::sample::select(
        [
            0x20_u8, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0xa0, 0xa1, 0xc4, 0xc5, 0xc6,
            0xc8, 0xca, 0xe7, 0xec, 0xef, 0x08, 0x90, 0x91,
        ]
        .as_slice(),
    );
    let packet_opcode = prop::sample::select(
        [
            0x00_u8, 0x03, 0x12, 0x15, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x28, 0x28, 0x43, 0x46, 0x4a,
            0x51, 0x52, 0x55, 0x5a, 0xa8, 0xb9, 0xbd, 0xbe, 0xbe,
        ]
        .as_slice(),
    );
    let packet =
        (packet_opcode, prop::collection::vec(small.clone(), 11)).prop_map(|(opcode, mut rest)| {
            rest.insert(0, opcode);
            rest
        });
    let address = prop_oneof![0_u32..0x6_0000, any::<u32>()];
    let count = prop_oneof![Just(512_u32), Just(2048), 0_u32..0x1_0000];
    prop_oneof![
        1 => any::<bool>().prop_map(Operation::Channel),
        3 => (0..9_usize, 0..3_usize).prop_map(|(register, width)| Operation::Read(register, width)),
        4 => (0..9_usize, small).prop_map(|(register, value)| Operation::Write(register, value)),
        2 => prop::collection::vec(any::<u8>(), 0..2000).prop_map(Operation::Data),
        4 => (0..6000_usize).prop_map(Operation::Take),
        5 => opcode.prop_map(Operation::Command),
        1 => any::<u8>().prop_map(Operation::Command),
        4 => (packet, 0_u8..2, any::<u16>()).prop_map(|(packet, features, limit)| {
            Operation::Packet(packet, features, limit)
        }),
        1 => (0_u64..16, 0..3_usize, any::<u32>())
            .prop_map(|(offset, width, value)| Operation::MasterWrite(offset, width, value)),
        1 => (0_u64..16, 0..3_usize).prop_map(|(offset, width)| Operation::MasterRead(offset, width)),
        3 => prop::collection::vec((address, count), 1..6).prop_map(Operation::Table),
        4 => any::<bool>().prop_map(Operation::Start),
        1 => (any::<u8>(), any::<u32>()).prop_map(|(offset, value)| Operation::Config(offset & 0xfc, value)),
        3 => Just(Operation::Finish),
        2 => Just(Operation::Poll),
        1 => Just(Operation::Eject),
        1 => any::<bool>().prop_map(Operation::Change),
    ]
}

/// A disk and a CD-ROM on each channel, so that selection matters.
fn machine(pace: Pace) -> Machine {
    let disk = Medium::new(300 * 512);
    let disc = Medium::read_only(300 * 512);
    disk.set_pace(pace);
    disc.set_pace(pace);
    let drives = [
        Some(Drive::disk(disk.boxed(), "a")),
        Some(Drive::cdrom(Some(disc.boxed()), "b")),
        Some(Drive::cdrom(None, "c")),
        None,
    ];
    Machine::with_drives(drives, disk, disc)
}

/// Carries one operation out; returns all that can be seen.
fn step(machine: &mut Machine, operation: &Operation) -> (Vec<u8>, bool, bool) {
    let mut seen = Vec::new();
    match *operation {
        Operation::Channel(secondary) => {
            machine.channel = if secondary { SECONDARY } else { PRIMARY };
        }
        Operation::Read(register, width) => {
            let channel = machine.channel;
            let value = machine.with(|ide, context| {
                ide.read(channel, Register::ALL[register], WIDTHS[width], context)
            });
            seen.extend(value.to_le_bytes());
        }
        Operation::Write(register, value) => machine.write(Register::ALL[register], value),
        Operation::Data(ref bytes) => machine.write_data(bytes),
        Operation::Take(bytes) => seen = machine.read_data(bytes),
        Operation::Command(opcode) => machine.command(opcode),
        Operation::Packet(ref packet, features, limit) => {
            let [low, high] = limit.to_le_bytes();
            machine.write(Register::Error, features);
            machine.write(Register::Mid, low);
            machine.write(Register::High, high);
            machine.command(0xa0);
            machine.write_data(packet);
        }
        Operation::MasterWrite(offset, width, value) => {
            machine.master_write(offset, WIDTHS[width], value);
        }
        Operation::MasterRead(offset, width) => {
            let value =
                machine.with(|ide, context| ide.bar_read(4, offset, WIDTHS[width], context));
            seen.extend(value.to_le_bytes());
        }
        Operation::Table(ref pieces) => machine.set_table(pieces),
        Operation::Start(to_memory) => {
            machine.stop();
            if to_memory {
                machine.start_to_memory();
            } else {
                machine.start_from_memory();
            }
        }
        Operation::Config(offset, value) => machine.with(|ide, context| {
            ide.config_write(offset, Width::Dword, value, context);
        }),
        Operation::Finish => {
            let disk = machine.disk.finish();
            let disc = machine.disc.finish();
            machine.poll();
            seen.push(u8::from(disk || disc));
        }
        Operation::Poll => machine.poll(),
        Operation::Eject => machine.ide.press_eject(PRIMARY, Position::Second),
        Operation::Change(present) => {
            let medium = present.then(|| machine.disc.boxed());
            machine.ide.change_medium(PRIMARY, Position::Second, medium);
        }
    }
    let level = |name: ChannelName| machine.ide.interrupt(name);
    (seen, level(PRIMARY), level(SECONDARY))
}

/// Gives all of a machine's requests their answers.
fn drain(machine: &mut Machine) {
    while machine.disk.finish() | machine.disc.finish() {
        machine.poll();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_traffic_is_harmless_and_resets_to_a_working_drive(
        operations in prop::collection::vec(operation(), 0..120),
        slow in any::<bool>(),
    ) {
        let mut machine = machine(if slow { Pace::Later } else { Pace::AtOnce });
        for operation in &operations {
            step(&mut machine, operation);
            let bytes = machine.disk.0.lock().unwrap().bytes.len();
            prop_assert_eq!(bytes, 300 * 512);
        }
        drain(&mut machine);
        machine.disk.set_pace(Pace::AtOnce);
        machine.ide.reset();
        machine.channel = PRIMARY;
        machine.set_extent(299, 1);
        machine.command(0x20);
        prop_assert_eq!(machine.read_data(512), machine.disk.contents(299, 512));
        prop_assert_eq!(machine.status(), READY);
    }

    #[test]
    fn a_saved_function_goes_on_alike(
        operations in prop::collection::vec(operation(), 0..120),
        cut in 0_usize..120,
    ) {
        let cut = cut.min(operations.len());
        let mut original = machine(Pace::AtOnce);
        for operation in &operations[..cut] {
            step(&mut original, operation);
        }
        let memory = original.memory(0, RAM_BYTES as usize);
        let saved = original.ide.save();
        let (disk, disc) = (&original.disk, &original.disc);
        let sizes = (disk.contents(0, 300 * 512), disc.contents(0, 300 * 512));
        let after: Vec<_> = operations[cut..]
            .iter()
            .map(|operation| step(&mut original, operation))
            .collect();
        let end = (original.ide.save(), original.memory(0, RAM_BYTES as usize));

        let mut twin = machine(Pace::AtOnce);
        // A medium that was taken out is taken out here too.
        let out = operations[..cut].iter().rev().find_map(|operation| match operation {
            Operation::Change(present) => Some(!present),
            _ => None,
        });
        if out == Some(true) {
            twin.ide.change_medium(PRIMARY, Position::Second, None);
        }
        twin.disk.0.lock().unwrap().bytes = sizes.0;
        twin.disc.0.lock().unwrap().bytes = sizes.1;
        twin.memory.write(Gpa(0), &memory).unwrap();
        twin.ide.pause();
        twin.ide.restore(&saved).unwrap();
        prop_assert_eq!(twin.ide.save(), saved);
        twin.ide.resume();
        twin.channel = operations[..cut].iter().rev().find_map(|operation| match operation {
            Operation::Channel(secondary) => Some(if *secondary { SECONDARY } else { PRIMARY }),
            _ => None,
        }).unwrap_or(PRIMARY);
        for (operation, seen) in operations[cut..].iter().zip(after) {
            prop_assert_eq!(step(&mut twin, operation), seen);
        }
        prop_assert_eq!((twin.ide.save(), twin.memory(0, RAM_BYTES as usize)), end);
    }
}
