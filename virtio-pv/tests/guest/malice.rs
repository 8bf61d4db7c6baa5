//! Drivers that break the rules: the device asks for a reset, and nothing else happens.

use crate::cable::{MAC, cable, card};
use crate::driver::{EVENT_INDEX, INDIRECT, Modern, Ring, VERSION_1};
use crate::machine::{Machine, RAM_BYTES};
use crate::medium::disk;
use crate::terminal::{Port, console};
use guest_mem::Gpa;
use hvm::Width;
use hvm::device::Lifecycle;
use proptest::prelude::*;
use virtio_pv::device::Device;
use virtio_pv::pci::TransportMode;
use virtio_pv::queue::RingFault;
use virtio_pv::ram::Access;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT_FLAG: u16 = 4;
const TABLE: u64 = 0x9_0000;

/// A descriptor: address, bytes, flags, next.
type Descriptor = (u64, u32, u16, u16);

/// Lays descriptors out in the ring and in an indirect table, offers `head`, and returns the fault.
fn fault_of(
    features: u64,
    ring_table: &[Descriptor],
    indirect_table: &[Descriptor],
    head: u16,
) -> Option<RingFault> {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
    let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | features, 1);
    let ring = &mut rings[0];
    for (table, descriptors) in [(ring.descriptors, ring_table), (TABLE, indirect_table)] {
        for (slot, &(address, bytes, flags, next)) in (0..).zip(descriptors) {
            let memory = &machine.memory;
            Ring::descriptor(memory, table, slot, address, bytes, flags, next);
        }
    }
    ring.make_available(&machine.memory, head);
    driver.kick(&mut machine, ring);
    let fault = machine.function.fault();
    assert_eq!(driver.status(&mut machine) & 64 != 0, fault.is_some());
    fault
}

#[test]
fn malformed_chains_are_told_apart() {
    let header = (0x7000, 16, NEXT, 1);
    let direct = |table: &[Descriptor]| fault_of(0, table, &[], 0);
    assert_eq!(direct(&[header, (0x7800, 1, WRITE, 0)]), None);
    let found = direct(&[header, (0x7800, 1, WRITE | NEXT, 256)]);
    let past_the_end = RingFault::DescriptorIndex {
        found: 256,
        entries: 256,
    };
    assert_eq!(found, Some(past_the_end));
    assert_eq!(fault_of(0, &[], &[], 256), Some(past_the_end));
    let found = direct(&[header, (0x7800, 1, NEXT, 0)]);
    assert_eq!(found, Some(RingFault::ChainTooLong));
    let found = direct(&[(0, 0, NEXT, 0)]);
    assert_eq!(
        found,
        Some(RingFault::ChainTooLong),
        "empty buffers count too"
    );
    let found = direct(&[header, (0x7800, 1, WRITE | NEXT, 2), (0x7000, 16, 0, 0)]);
    assert_eq!(found, Some(RingFault::Order));
    let found = direct(&[header, (u64::MAX, 2, WRITE, 0)]);
    assert_eq!(found, Some(RingFault::BufferWraps(u64::MAX)));
    let found = direct(&[(0x7000, 15, NEXT, 1), (0x7800, 1, WRITE, 0)]);
    assert!(matches!(found, Some(RingFault::Request(_))));
    let found = direct(&[(0x7000, 16, 0, 0)]);
    assert!(matches!(found, Some(RingFault::Request(_))));
    let found = direct(&[(RAM_BYTES, 16, NEXT, 1), (0x7800, 1, WRITE, 0)]);
    assert!(matches!(found, Some(RingFault::Unmapped(_))));
    let found = direct(&[header, (RAM_BYTES, 1, WRITE, 0)]);
    assert!(
        matches!(found, Some(RingFault::Unmapped(_))),
        "a status byte outside RAM"
    );
}

#[test]
fn malformed_indirect_tables_are_refused() {
    let good = [(0x7000, 16, NEXT, 1), (0x7800, 1, WRITE, 0)];
    let refer = |bytes, flags| [(TABLE, bytes, INDIRECT_FLAG | flags, 0)];
    let wrong = Some(RingFault::Indirect);
    assert_eq!(fault_of(INDIRECT, &refer(32, 0), &good, 0), None);
    assert_eq!(
        fault_of(INDIRECT, &refer(32, WRITE), &good, 0),
        None,
        "WRITE means nothing here"
    );
    assert_eq!(
        fault_of(0, &refer(32, 0), &good, 0),
        wrong,
        "not negotiated"
    );
    assert_eq!(fault_of(INDIRECT, &refer(32, NEXT), &good, 0), wrong);
    assert_eq!(fault_of(INDIRECT, &refer(0, 0), &good, 0), wrong);
    assert_eq!(fault_of(INDIRECT, &refer(24, 0), &good, 0), wrong);
    let nested = [(TABLE, 32, INDIRECT_FLAG, 0)];
    assert_eq!(fault_of(INDIRECT, &refer(16, 0), &nested, 0), wrong);
    let short = Some(RingFault::DescriptorIndex {
        found: 1,
        entries: 1,
    });
    assert_eq!(fault_of(INDIRECT, &refer(16, 0), &good, 0), short);
    let chained = [good[0], (TABLE, 16, INDIRECT_FLAG, 0)];
    assert_eq!(
        fault_of(INDIRECT, &chained, &good[1..], 0),
        None,
        "a chain may end in a table"
    );
}

#[test]
fn an_available_index_that_jumps_is_a_fault() {
    for features in [0, EVENT_INDEX] {
        let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
        let (driver, rings) = Modern::start(&mut machine, VERSION_1 | features, 1);
        machine
            .memory
            .store(Gpa(rings[0].available + 2), &257_u16)
            .unwrap();
        driver.kick(&mut machine, &rings[0]);
        let jumped = RingFault::AvailableIndex {
            found: 257,
            next: 0,
        };
        assert_eq!(machine.function.fault(), Some(jumped));
        assert!(machine.function_line());
        machine.poll();
        driver.kick(&mut machine, &rings[0]);
        assert_eq!(driver.read(&mut machine, Modern::ISR, 0, Width::Byte), 2);
    }
}

#[test]
fn a_ring_outside_ram_is_a_fault() {
    let mut machine = Machine::new(disk(Access::ReadWrite), TransportMode::Modern);
    let driver = Modern::probe(&machine);
    driver.negotiate(&mut machine, VERSION_1);
    driver.set_status(&mut machine, 15);
    for register in [32, 40, 48] {
        driver.write(
            &mut machine,
            Modern::COMMON,
            register,
            Width::Dword,
            0xf000_0000,
        );
    }
    driver.write(&mut machine, Modern::COMMON, 28, Width::Word, 1);
    machine.write(4, 0x3000, Width::Word, 0);
    assert!(matches!(
        machine.function.fault(),
        Some(RingFault::Unmapped(_))
    ));
}

/// One thing that a driver may do to the function.
#[derive(Clone, Debug)]
enum Step {
    Bar(usize, u64, Width, Option<u64>),
    Config(u8, Width, Option<u32>),
    Memory(u64, Vec<u8>),
    Poll,
    Pause,
    Resume,
    Reset,
}

fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(vec![Width::Byte, Width::Word, Width::Dword, Width::Qword])
}

/// Values that mean something somewhere.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..20,
        Just(64),
        Just(256),
        Just(0x1_0000),
        Just(0x1_0000 / 4096),
        Just(u64::MAX),
        any::<u64>(),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![
        0_u64..64,
        0x1000_u64..0x1008,
        0x2000_u64..0x2040,
        0x3000_u64..0x3010,
        any::<u64>(),
    ];
    prop_oneof![
        8 => (0_usize..6, offset, width(), prop::option::of(value()))
            .prop_map(|(bar, offset, width, value)| Step::Bar(bar, offset, width, value)),
        2 => (0_u8..64, 0_u32..3, prop::option::of(any::<u32>())).prop_map(|(dword, width, value)| {
            let width = Width::from_bytes(1 << width).unwrap();
            Step::Config(4 * dword, width, value)
        }),
        2 => (0_u64..0x1_4000, prop::collection::vec(0_u8..8, 1..32))
            .prop_map(|(at, bytes)| Step::Memory(at, bytes)),
        1 => Just(Step::Poll),
        1 => prop_oneof![Just(Step::Pause), Just(Step::Resume), Just(Step::Reset)],
    ]
}

fn play(machine: &mut Machine, step: Step) {
    match step {
        Step::Bar(bar, offset, width, None) => {
            let value = machine.read(bar, offset, width);
            assert_eq!(value, width.cut(value));
        }
        Step::Bar(bar, offset, width, Some(value)) => machine.write(bar, offset, width, value),
        Step::Config(offset, width, None) => {
            machine.config_read(offset, width);
        }
        Step::Config(offset, width, Some(value)) => machine.config_write(offset, width, value),
        Step::Memory(at, bytes) => machine.memory.write(Gpa(at), &bytes).unwrap(),
        Step::Poll => machine.poll(),
        Step::Pause => machine.function.pause(),
        Step::Resume => machine.function.resume(),
        Step::Reset => machine.function.reset(),
    }
}

/// Kinds of devices.
const KINDS: u8 = 3;

/// A device with something to do, and its number of queues: a disk, a console that has input and room, a network card that has frames.
fn device(kind: u8) -> (Box<dyn Device>, u16) {
    match kind {
        0 => (disk(Access::ReadWrite), 1),
        1 => {
            let port = Port::default();
            port.0.lock().unwrap().room = 5000;
            port.0.lock().unwrap().typed.extend([7; 5000]);
            (console(&port), 2)
        }
        _ => {
            let cable = cable();
            for bytes in [60, 1514, 9000] {
                let mut frame = vec![7; bytes];
                frame[..6].copy_from_slice(&MAC);
                cable.put(&frame);
            }
            (card(&cable), 5)
        }
    }
}

proptest! {
    #[test]
    fn register_traces_do_no_harm(steps in prop::collection::vec(step(), 0..200), kind in 0..KINDS) {
        let (device, queues) = device(kind);
        let mut machine = Machine::new(device, TransportMode::Transitional);
        for step in steps {
            play(&mut machine, step);
        }
        // Whatever came before, a driver that resets the function gets a working one.
        machine.function.resume();
        machine.config_write(4, Width::Word, 7);
        machine.memory.fill(Gpa(0), RAM_BYTES, 0).unwrap();
        let (driver, _) = Modern::start(&mut machine, VERSION_1, queues);
        prop_assert_eq!(driver.status(&mut machine), 15);
    }

    #[test]
    fn random_rings_do_no_harm(
        table in prop::collection::vec((0_u64..0x14_0000, 0_u32..0x3000, 0_u16..8, 0_u16..20), 16),
        indirect in prop::collection::vec((0_u64..0x14_0000, 0_u32..0x3000, 0_u16..8, 0_u16..20), 16),
        heads in prop::collection::vec(0_u16..20, 1..20),
        features in prop::sample::select(vec![0, INDIRECT, EVENT_INDEX, INDIRECT | EVENT_INDEX]),
        kind in 0..KINDS,
        which in 0_usize..8,
    ) {
        let (device, queues) = device(kind);
        let mut machine = Machine::new(device, TransportMode::Modern);
        let (driver, mut rings) = Modern::start(&mut machine, VERSION_1 | features, queues);
        let which = which % rings.len();
        let ring = &mut rings[which];
        for (base, descriptors) in [(ring.descriptors, &table), (TABLE, &indirect)] {
            for (slot, &(address, bytes, flags, next)) in (0..).zip(descriptors) {
                let refers = flags & INDIRECT_FLAG != 0;
                let (address, bytes) = if refers { (TABLE, bytes % 300) } else { (address, bytes) };
                Ring::descriptor(&machine.memory, base, slot, address, bytes, flags, next);
            }
        }
        for &head in &heads {
            ring.make_available(&machine.memory, head);
        }
        driver.kick(&mut machine, ring);
        machine.poll();
        let back = std::iter::from_fn(|| ring.pop(&machine.memory)).count();
        // A driver that has the device write into the ring itself finds there what it asked for.
        let entries = u64::from(ring.size);
        let rings = [(ring.available, 4 + 2 * entries), (ring.used, 4 + 8 * entries)];
        let over_ring = table.iter().chain(&indirect).any(|&(address, bytes, ..)| {
            let reaches = |(from, long)| address < from + long && from < address + u64::from(bytes);
            rings.into_iter().any(reaches)
        });
        prop_assert!(over_ring || back <= heads.len());
        let broken = machine.function.fault().is_some();
        prop_assert_eq!(driver.status(&mut machine), if broken { 15 | 64 } else { 15 });
    }
}
