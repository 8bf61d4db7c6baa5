//! Walks for instruction fetches, remembered.
//!
//! A CPU without next-RIP needs the bytes at RIP on every exit. A remembered walk is as good as a new one: it is used
//! only while the registers that decide walks, and every entry that it read, are still the same, which costs one
//! comparison an entry. Nothing has to be flushed.

use super::witness::Witness;
use super::{Access, Mode, Paging, Privilege, translate};
use crate::event::Exception;
use crate::regs::Registers;
use guest_mem::{Gpa, GuestMemory, Gva};

/// A power of two.
const PAGES: usize = 8;

#[derive(Clone, Copy)]
struct Known {
    page: Gva,
    frame: Gpa,
    /// The entries, all with their accessed bits set.
    witness: Witness,
}

/// The last walks for fetches, by page.
pub struct FetchCache {
    known: [Option<Known>; PAGES],
}

impl FetchCache {
    /// Nothing remembered.
    pub const fn new() -> Self {
        Self {
            known: [None; PAGES],
        }
    }

    /// Translates a fetch at the current privilege level, as [`translate`] does; #GP(0) for an address that is not
    /// canonical.
    #[inline(always)]
    pub fn translate(
        &mut self,
        cpu: &impl Registers,
        physical_bits: u8,
        memory: &GuestMemory,
        gva: Gva,
    ) -> Result<Gpa, Exception> {
        match self.recall(cpu, memory, gva) {
            Some(gpa) => Ok(gpa),
            None => self.walk(cpu, physical_bits, memory, gva),
        }
    }

    #[inline(always)]
    fn recall(&self, cpu: &impl Registers, memory: &GuestMemory, gva: Gva) -> Option<Gpa> {
        let known = self.known[slot(gva)].as_ref()?;
        (known.page == gva.page_base() && known.witness.holds(cpu, memory))
            .then(|| known.frame.wrapping_add(gva.page_offset()))
    }

    /// As [`Self::translate`], if the walk is remembered, with what the answer depends on.
    pub(crate) fn testify(&self, gva: Gva) -> Option<(Gpa, Witness)> {
        let known = self.known[slot(gva)].as_ref()?;
        (known.page == gva.page_base()).then(|| {
            let gpa = known.frame.wrapping_add(gva.page_offset());
            (gpa, known.witness)
        })
    }

    /// Walks, and remembers how.
    #[cold]
    fn walk(
        &mut self,
        cpu: &impl Registers,
        physical_bits: u8,
        memory: &GuestMemory,
        gva: Gva,
    ) -> Result<Gpa, Exception> {
        let paging = Paging::of(cpu, physical_bits);
        if !paging.is_canonical(gva.0) {
            return Err(Exception::GENERAL_PROTECTION);
        }
        let access = Access::execute(Privilege::of_cpl(cpu.cpl()));
        let marked = translate(&paging, memory, gva, access)?;
        let mut witness = Witness::of(cpu, memory);
        // Once more, with the marks in place: what is remembered belongs together whatever the guest does meanwhile.
        let found = paging.walk(memory, gva, access, |at, entry| {
            witness.add(memory, at, entry)
        })?;
        // Legacy walks read other kinds of entries as well; they are not remembered.
        let is_plain = matches!(paging.mode, Mode::Off | Mode::Long { .. });
        if is_plain && !found.lacks_marks(access.kind) {
            self.known[slot(gva)] = Some(Known {
                page: gva.page_base(),
                frame: found.gpa.page_base(),
                witness,
            });
        }
        Ok(marked.gpa)
    }
}

/// Where a page's walk is remembered.
#[inline]
const fn slot(gva: Gva) -> usize {
    (gva.0 >> 12) as usize % PAGES
}

impl Default for FetchCache {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regs::{Efer, State};

    fn guest() -> (State, GuestMemory) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x10000)]);
        for (at, entry) in [
            (0x1000, 0x2003_u64),
            (0x2000, 0x3003),
            (0x3000, 0x4003),
            (0x4000, 0x5003),
        ] {
            memory.store(Gpa(at), &entry).unwrap();
        }
        let state = State {
            cr0: 0x8001_0011,
            cr3: 0x1000,
            cr4: 0x20,
            efer: (Efer::LME | Efer::LMA | Efer::NXE).bits(),
            ..State::reset()
        };
        (state, memory)
    }

    #[test]
    fn a_changed_entry_is_seen_at_every_level() {
        for at in [0x1000_u64, 0x2000, 0x3000, 0x4000] {
            let (state, memory) = guest();
            let mut cache = FetchCache::new();
            for _ in 0..2 {
                let found = cache.translate(&state, 40, &memory, Gva(0x123));
                assert_eq!(found, Ok(Gpa(0x5123)));
            }
            let entry: u64 = memory.load(Gpa(at)).unwrap();
            assert_ne!(entry & 0x20, 0, "marked accessed");
            memory.store(Gpa(at), &(entry & !1)).unwrap();
            assert!(cache.translate(&state, 40, &memory, Gva(0x123)).is_err());
            memory.store(Gpa(at), &entry).unwrap();
            assert!(cache.translate(&state, 40, &memory, Gva(0x123)).is_ok());
            memory.store(Gpa(at), &(entry & !0x20)).unwrap();
            assert!(cache.translate(&state, 40, &memory, Gva(0x123)).is_ok());
            assert_eq!(memory.load::<u64>(Gpa(at)), Ok(entry), "marked again");
        }
    }

    #[test]
    fn changed_registers_are_seen() {
        let (mut state, memory) = guest();
        let mut cache = FetchCache::new();
        assert_eq!(
            cache.translate(&state, 40, &memory, Gva(0)),
            Ok(Gpa(0x5000))
        );
        state.segments[2] = crate::regs::Segment::new(0, 0xf3, 0, 0);
        assert!(cache.translate(&state, 40, &memory, Gva(0)).is_err());
        state.segments[2] = crate::regs::Segment::new(0, 0x93, 0, 0);
        state.cr3 = 0x6000;
        assert!(cache.translate(&state, 40, &memory, Gva(0)).is_err());
        state.cr0 = 0x11;
        state.efer = 0;
        assert_eq!(cache.translate(&state, 40, &memory, Gva(0)), Ok(Gpa(0)));
        assert_eq!(
            cache.translate(&state, 40, &memory, Gva(0x8000)),
            Ok(Gpa(0x8000))
        );
        assert_eq!(cache.translate(&state, 40, &memory, Gva(4)), Ok(Gpa(4)));
    }
}
