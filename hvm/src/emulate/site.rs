//! Places in the guest's code that exit again and again: where the next instruction starts, remembered with everything that
//! the answer depends on, and checked at each use.

use super::code::CodeMode;
use super::length::{Match, expect};
use crate::exit::Instruction;
use crate::regs::{Attributes, Registers, Segment, SegmentName};
use crate::walk::{FetchCache, Witness};
use guest_mem::{Gpa, GuestMemory, Gva};

/// A power of two.
const SITES: usize = 16;

#[derive(Clone, Copy)]
struct Site {
    rip: u64,
    next_rip: u64,
    instruction: Instruction,
    /// The code segment, which decides mode, linear address and limit.
    code: Segment,
    /// The page tables and the instruction itself.
    witness: Witness,
}

impl Site {
    /// RIP behind the instruction, if the code segment is the same and the witness `holds`.
    #[inline(always)]
    fn next_rip(&self, cpu: &impl Registers, holds: impl FnOnce(&Witness) -> bool) -> Option<u64> {
        let code = cpu.segment(SegmentName::Cs);
        (self.code.attributes == code.attributes
            // With EFER, which is among what the witness compares, L makes it 64-bit code, whose base and limit are void.
            && (code.attributes.contains(Attributes::L)
                || self.code.base == code.base && self.code.limit == code.limit)
            && holds(&self.witness))
        .then_some(self.next_rip)
    }
}

/// The last places, by address.
pub(super) struct Sites {
    known: [Option<Site>; SITES],
}

impl Sites {
    pub const fn new() -> Self {
        Self {
            known: [None; SITES],
        }
    }

    /// RIP after `instruction`, if that is at RIP as it was before. Out of line and without a call but in the place of a return, so that it
    /// gets by with registers.
    #[inline(never)]
    pub fn recall(
        &self,
        cpu: &impl Registers,
        memory: &GuestMemory,
        instruction: Instruction,
    ) -> Option<u64> {
        let site = self.at(cpu.rip(), instruction)?;
        if !site.witness.is_of(cpu) {
            return self.recall_elsewhere(cpu, memory, instruction);
        }
        site.next_rip(cpu, |witness| witness.holds_behind(cpu, memory))
    }

    /// What is known of `instruction` at `rip`.
    #[inline(always)]
    fn at(&self, rip: u64, instruction: Instruction) -> Option<&Site> {
        let site = self.known[slot(rip)].as_ref();
        site.filter(|site| site.instruction == instruction && site.rip == rip)
    }

    /// The same in another address space.
    #[cold]
    #[inline(never)]
    fn recall_elsewhere(
        &self,
        cpu: &impl Registers,
        memory: &GuestMemory,
        instruction: Instruction,
    ) -> Option<u64> {
        let site = self.at(cpu.rip(), instruction)?;
        site.next_rip(cpu, |witness| witness.holds(cpu, memory))
    }

    /// Remembers an answer, if it can be checked later. `linear` is RIP's linear address.
    #[cold]
    pub fn remember(
        &mut self,
        cpu: &impl Registers,
        memory: &GuestMemory,
        pages: &FetchCache,
        linear: Gva,
        instruction: Instruction,
    ) {
        let rip = cpu.rip();
        let mode = CodeMode::of(cpu);
        self.known[slot(rip)] =
            witnessed(memory, pages, linear, mode, instruction).map(|(length, witness)| Site {
                rip,
                next_rip: mode.advance(rip, length),
                instruction,
                code: cpu.segment(SegmentName::Cs),
                witness,
            });
    }
}

#[inline]
const fn slot(rip: u64) -> usize {
    (rip ^ rip >> 4) as usize % SITES
}

/// The length of `instruction` at RIP, by words of memory that go on the record. `None` if it does not lie in two
/// words of one page whose walk is on record.
fn witnessed(
    memory: &GuestMemory,
    pages: &FetchCache,
    linear: Gva,
    mode: CodeMode,
    instruction: Instruction,
) -> Option<(u64, Witness)> {
    let (gpa, mut witness) = pages.testify(linear)?;
    let skipped = (gpa.0 % 8) as usize;
    let mut bytes = [0; 16];
    for read in [8, 16] {
        let at = Gpa((gpa.0 & !7) + read as u64 - 8);
        if at.page_base() != gpa.page_base() {
            return None;
        }
        let word: u64 = memory.load(at).ok()?;
        bytes
            .get_mut(read - 8..read)?
            .copy_from_slice(&word.to_le_bytes());
        witness.add(memory, at, word);
        match expect(bytes.get(skipped..read)?, mode, instruction) {
            Match::Length(length) => return Some((length, witness)),
            Match::Other => return None,
            Match::TooShort => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regs::State;
    use crate::walk::FetchCache;

    fn guest() -> (State, GuestMemory) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x10000)]);
        for (at, entry) in [
            (0x1000, 0x2027_u64),
            (0x2000, 0x3027),
            (0x3000, 0x4027),
            (0x4000, 0x5067),
        ] {
            memory.store(Gpa(at), &entry).unwrap();
        }
        let mut state = State {
            cr0: 0x8001_0011,
            cr3: 0x1000,
            cr4: 0x20,
            efer: 0xd00,
            ..State::reset()
        };
        state.segments[SegmentName::Cs as usize] = Segment::new(8, 0xa09b, u32::MAX, 0);
        (state, memory)
    }

    fn known(state: &State, memory: &GuestMemory) -> Sites {
        let mut pages = FetchCache::new();
        let mut sites = Sites::new();
        pages.translate(state, 40, memory, Gva(state.rip)).unwrap();
        sites.remember(state, memory, &pages, Gva(state.rip), Instruction::Cpuid);
        sites
    }

    #[test]
    fn prefixed_forms_and_forms_across_words_are_remembered() {
        for (rip, bytes) in [
            (0x10, &[0x0f, 0xa2][..]),
            (0x16, &[0x0f, 0xa2]),
            (0x17, &[0x0f, 0xa2]),
            (0x15, &[0x66, 0x0f, 0xa2]),
            (
                0x16,
                &[0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x0f, 0xa2],
            ),
        ] {
            let (mut state, memory) = guest();
            state.rip = rip;
            memory.write(Gpa(0x5000 + rip), bytes).unwrap();
            let sites = known(&state, &memory);
            let found = sites.recall(&state, &memory, Instruction::Cpuid);
            assert_eq!(found, Some(rip + bytes.len() as u64));
        }
    }

    #[test]
    fn an_answer_dies_with_what_it_depends_on() {
        let (mut state, memory) = guest();
        state.rip = 0x17;
        memory.write(Gpa(0x5017), &[0x66, 0x0f, 0xa2]).unwrap();
        let sites = known(&state, &memory);
        let holds = |state: &State| sites.recall(state, &memory, Instruction::Cpuid).is_some();
        assert!(holds(&state));
        assert_eq!(sites.recall(&state, &memory, Instruction::Hlt), None);
        let changes: [fn(&mut State); 7] = [
            |state| state.rip += 0x100,
            |state| state.cr0 ^= 1 << 16,
            |state| state.cr3 += 0x1000,
            |state| state.cr4 ^= 1 << 20,
            |state| state.efer ^= 1 << 11,
            |state| state.segments[SegmentName::Ss as usize] = Segment::new(0, 0xf3, 0, 0),
            |state| state.segments[SegmentName::Cs as usize] = Segment::new(0, 0xc09b, 0, 0),
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let mut changed = state.clone();
            change(&mut changed);
            assert!(!holds(&changed), "{index}");
        }
        for at in [0x1000, 0x2000, 0x3000, 0x4000, 0x5010, 0x5018] {
            let word: u64 = memory.load(Gpa(at)).unwrap();
            memory.store(Gpa(at), &(word ^ 1 << 8)).unwrap();
            assert!(!holds(&state), "{at:#x}");
            memory.store(Gpa(at), &word).unwrap();
            assert!(holds(&state));
        }
    }

    #[test]
    fn another_address_space_with_the_same_code_gives_the_same_answer() {
        let (mut state, memory) = guest();
        memory.write(Gpa(0x5000), &[0x0f, 0xa2]).unwrap();
        state.rip = 0;
        let sites = known(&state, &memory);
        state.cr3 = 0x6000;
        assert_eq!(sites.recall(&state, &memory, Instruction::Cpuid), None);
        memory.store(Gpa(0x6000), &0x2027_u64).unwrap();
        assert_eq!(sites.recall(&state, &memory, Instruction::Cpuid), Some(2));
        memory.store(Gpa(0x3000), &0x4007_u64).unwrap();
        assert_eq!(sites.recall(&state, &memory, Instruction::Cpuid), None);
    }

    #[test]
    fn other_bytes_and_the_end_of_a_page_are_not_remembered() {
        for (rip, bytes) in [(0x10, [0x0f, 0x0b]), (0xfff, [0x0f, 0xa2])] {
            let (mut state, memory) = guest();
            state.rip = rip;
            memory.write(Gpa(0x5000 + rip), &bytes).unwrap();
            let sites = known(&state, &memory);
            assert_eq!(sites.recall(&state, &memory, Instruction::Cpuid), None);
        }
    }
}
