//! Any accesses and frames in any order, and cards that are saved among them.

use super::*;

#[test]
fn a_saved_card_goes_on_and_foreign_states_are_refused() {
    let mut machine = Machine::new(Revision::C);
    machine.start(0x0a);
    machine.arrive(&frame(MAC, 60));
    let state = machine.card.save();
    let mut other = Machine::new(Revision::C);
    other.card.restore(&state).unwrap();
    assert_eq!(other.card.save(), state);
    other.memory = machine.memory;
    assert_eq!(other.acknowledge(), Interrupt::RECEIVED);
    other.arrive(&frame(MAC, 60));
    assert_eq!(other.read(0x3a, Width::Word), 2 * 68);
    let mut newer = Machine::new(Revision::CPlus);
    let before = newer.card.save();
    let cut = &before[..before.len() - 1];
    for bad in [&state[..], cut, &[]] {
        assert!(newer.card.restore(bad).is_err());
        assert_eq!(newer.card.save(), before);
    }
}

/// One thing that a driver or the wire may do.
#[derive(Clone, Debug)]
enum Step {
    Write(u64, Width, u64),
    Read(u64, Width),
    Memory(u32, Vec<u8>),
    Frame(usize),
    Time(u64),
    Config(u8, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let width = || {
        prop::sample::select(alloc::vec![
            Width::Byte,
            Width::Word,
            Width::Dword,
            Width::Qword
        ])
    };
    let offset = || {
        prop_oneof![
            0_u64..256,
            Just(0x37),
            Just(0xd9),
            Just(0xe0),
            Just(0x10),
            any::<u64>()
        ]
    };
    let value = || {
        prop_oneof![
            Just(0x0c),
            Just(0x40),
            Just(0x63),
            0_u64..0x2000,
            Just(u64::from(TRANSMIT_RING)),
            Just(u64::from(RECEIVE_RING)),
            any::<u64>()
        ]
    };
    prop_oneof![
        8 => (offset(), width(), value()).prop_map(|(offset, width, value)| Step::Write(offset, width, value)),
        2 => (offset(), width()).prop_map(|(offset, width)| Step::Read(offset, width)),
        3 => (prop_oneof![TRANSMIT_RING..TRANSMIT_RING + 64, RECEIVE_RING..RECEIVE_RING + 64], prop::collection::vec(any::<u8>(), 1..64))
            .prop_map(|(at, bytes)| Step::Memory(at, bytes)),
        2 => (0_usize..2000).prop_map(Step::Frame),
        1 => (0_u64..1 << 40).prop_map(Step::Time),
        1 => (0_u8..64, any::<u32>()).prop_map(|(at, value)| Step::Config(4 * at, value)),
    ]
}

fn play(machine: &mut Machine, step: &Step) -> u64 {
    match step {
        Step::Write(offset, width, value) => machine.write(*offset, *width, *value),
        Step::Read(offset, width) => return machine.read(*offset, *width),
        Step::Memory(at, bytes) => machine.memory.write(Gpa(u64::from(*at)), bytes).unwrap(),
        Step::Frame(bytes) => machine.arrive(&frame(MAC, *bytes)),
        Step::Time(ns) => machine.now_ns += ns,
        Step::Config(at, value) => machine.configure(*at, Width::Dword, *value),
    }
    0
}

proptest! {
    /// Whatever a driver does, the card lives, and a driver that resets it gets a working one.
    #[test]
    fn traces_do_no_harm(steps in prop::collection::vec(step(), 0..200), plus: bool) {
        let revision = if plus { Revision::CPlus } else { Revision::C };
        let mut machine = Machine::new(revision);
        if plus {
            machine.start_cplus();
        } else {
            machine.start(0x0a);
        }
        for step in &steps {
            play(&mut machine, step);
        }
        machine.configure(0x44, Width::Word, 0);
        machine.configure(offset::COMMAND, Width::Word, 7);
        let leftover = core::mem::take(&mut machine.cable.wire().to_card);
        drop(leftover);
        machine.write(0x37, Width::Byte, 0x10);
        machine.frames();
        machine.write(0x50, Width::Byte, 0);
        machine.start(0x0b);
        machine.write(0xe0, Width::Word, 0);
        machine.arrive(&frame(MAC, 60));
        prop_assert!(machine.acknowledge().contains(Interrupt::RECEIVED));
        prop_assert_eq!(machine.dword(RING) >> 16, 64);
    }

    /// A card that takes over a state in the middle answers as the first would.
    #[test]
    fn a_twin_answers_alike(steps in prop::collection::vec(step(), 0..60), cut in 0_usize..60, plus: bool) {
        let revision = if plus { Revision::CPlus } else { Revision::C };
        let mut machine = Machine::new(revision);
        let cut = cut.min(steps.len());
        for step in &steps[..cut] {
            play(&mut machine, step);
        }
        // Frames on their way are not part of the state.
        machine.card.chip.held = None;
        machine.card.chip.waiting = None;
        machine.cable.wire().to_card.clear();
        let mut twin = Machine::new(revision);
        let mut memory = alloc::vec![0; RAM_BYTES as usize];
        machine.memory.read(Gpa(0), &mut memory).unwrap();
        twin.memory.write(Gpa(0), &memory).unwrap();
        twin.now_ns = machine.now_ns;
        twin.card.restore(&machine.card.save()).unwrap();
        for step in &steps[cut..] {
            prop_assert_eq!(play(&mut twin, step), play(&mut machine, step));
        }
        prop_assert_eq!(twin.card.save(), machine.card.save());
    }
}
