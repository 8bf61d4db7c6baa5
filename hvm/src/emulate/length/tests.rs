use super::*;
use crate::regs::{Segment, SegmentName, State};
use proptest::prelude::*;

const ALL: [Instruction; 14] = [
    Instruction::Cpuid,
    Instruction::Hlt,
    Instruction::Rdmsr,
    Instruction::Wrmsr,
    Instruction::Hypercall,
    Instruction::Rdtsc,
    Instruction::Rdtscp,
    Instruction::Rdpmc,
    Instruction::Xsetbv,
    Instruction::Invd,
    Instruction::Wbinvd,
    Instruction::Pause,
    Instruction::Monitor,
    Instruction::Mwait,
];

/// 32-bit code with paging: linear 0 and 1000h are mapped to 4000h and 5000h, 2000h to nothing.
fn guest(bytes: &[u8], rip: u64) -> (State, GuestMemory) {
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x10000)]);
    memory.store(Gpa(0x1000), &0x2003_u32).unwrap();
    memory.store(Gpa(0x2000), &0x4003_u32).unwrap();
    memory.store(Gpa(0x2004), &0x5003_u32).unwrap();
    memory.write(Gpa(0x4000 + rip), bytes).unwrap();
    let mut state = State {
        cr0: 0x8000_0011,
        cr3: 0x1000,
        rip,
        ..State::reset()
    };
    state.segments[SegmentName::Cs as usize] = Segment::new(8, 0xc09b, u32::MAX, 0);
    (state, memory)
}

fn next(bytes: &[u8], rip: u64, instruction: Instruction) -> Result<u64, Lost> {
    let (state, memory) = guest(bytes, rip);
    next_rip(&state, 40, &memory, &mut DecodeCache::new(), instruction)
}

#[test]
fn every_plain_form_has_its_length() {
    for instruction in ALL {
        for form in forms(instruction) {
            let length = form.0.len() as u64;
            assert_eq!(next(form.0, 0x10, instruction), Ok(0x10 + length));
        }
    }
}

#[test]
fn prefixes_count() {
    assert_eq!(next(&[0x66, 0x0f, 0xa2], 0, Instruction::Cpuid), Ok(3));
    let long = [0x2e, 0xf2, 0xf3, 0x67, 0x0f, 0x01, 0xd9];
    assert_eq!(next(&long, 0, Instruction::Hypercall), Ok(7));
    assert_eq!(next(&[0xf3, 0x66, 0x90], 0, Instruction::Pause), Ok(3));
}

#[test]
fn rex_is_a_prefix_in_64_bit_code_only() {
    let bytes = [0x48, 0x0f, 0xa2];
    assert_eq!(
        expect(&bytes, CodeMode::Bits64, Instruction::Cpuid),
        Match::Length(3)
    );
    assert_eq!(
        expect(&bytes, CodeMode::Bits32, Instruction::Cpuid),
        Match::Other
    );
}

#[test]
fn changed_bytes_and_locked_ones_are_not_skipped() {
    assert_eq!(
        next(&[0x0f, 0x0b, 0, 0], 0, Instruction::Cpuid),
        Err(Lost::Changed)
    );
    assert_eq!(
        next(&[0xf0, 0x0f, 0xa2, 0], 0, Instruction::Cpuid),
        Err(Lost::Changed)
    );
    assert_eq!(
        next(&[0x66, 0x90], 0, Instruction::Pause),
        Err(Lost::Changed)
    );
    assert_eq!(next(&[0x66; 20], 0, Instruction::Cpuid), Err(Lost::Changed));
}

#[test]
fn a_form_across_pages_is_read_in_both() {
    for at in 0xff8..0x1000 {
        let bytes = [0x66, 0xf2, 0x0f, 0xa2];
        assert_eq!(next(&bytes, at, Instruction::Cpuid), Ok(at + 4));
    }
}

#[test]
fn the_next_page_matters_only_when_the_instruction_reaches_it() {
    assert_eq!(next(&[0x0f, 0xa2], 0x1ffe, Instruction::Cpuid), Ok(0x2000));
    assert_eq!(next(&[0xf4], 0x1fff, Instruction::Hlt), Ok(0x2000));
    assert_eq!(
        next(&[0x0f], 0x1fff, Instruction::Cpuid),
        Err(Lost::Fault(Exception::page_fault(0, 0x2000)))
    );
    assert_eq!(
        next(&[0x90], 0x1fff, Instruction::Cpuid),
        Err(Lost::Changed)
    );
}

#[test]
fn real_mode_code_ends_at_its_limit() {
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x20000)]);
    memory.write(Gpa(0xfffe), &[0x0f, 0xa2]).unwrap();
    let mut state = State {
        rip: 0xfffe,
        ..State::reset()
    };
    state.segments[SegmentName::Cs as usize].base = 0;
    let next = |instruction| next_rip(&state, 40, &memory, &mut DecodeCache::new(), instruction);
    assert_eq!(next(Instruction::Cpuid), Ok(0x10000));
    assert_eq!(next(Instruction::Rdtscp), Err(Lost::Changed));
    memory.write(Gpa(0xfffe), &[0x0f, 0x01, 0xf9]).unwrap();
    assert_eq!(
        next(Instruction::Rdtscp),
        Err(Lost::Fault(Exception::plain(13)))
    );
}

#[test]
fn code_outside_ram_is_told() {
    let mut state = State::reset();
    state.segments[SegmentName::Cs as usize].base = 0x8000_0000;
    let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
    assert_eq!(
        next_rip(
            &state,
            40,
            &memory,
            &mut DecodeCache::new(),
            Instruction::Hlt
        ),
        Err(Lost::NotRam(Gpa(0x8000_fff0)))
    );
}

proptest! {
    #[test]
    fn any_bytes_at_any_place_give_an_answer(
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
        at in 0xfe0_u64..0x1000,
        instruction in proptest::sample::select(ALL.as_slice()),
    ) {
        if let Ok(rip) = next(&bytes, at, instruction) {
            prop_assert!(rip > at && rip <= at + 15);
        }
    }

    #[test]
    fn the_plain_comparison_agrees_with_the_loop(word in any::<u32>(), instruction in proptest::sample::select(ALL.as_slice())) {
        let plain = forms(instruction).iter().find(|form| form.starts(word));
        if let Some(form) = plain {
            let looped = expect(&word.to_le_bytes(), CodeMode::Bits32, instruction);
            prop_assert_eq!(looped, Match::Length(form.0.len() as u64));
        }
    }
}
