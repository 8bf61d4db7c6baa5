//! Walks that tell the entries they used: what shadow paging builds its tables from.

use super::{
    ACCESSED, ATTEMPTS, Access, AccessKind, Broken, DIRTY, Mode, PDPTE_RESERVED, PRESENT,
    PageFault, PageSize, Paging, Translation,
};
use crate::regs::{Cr0, Cr4, Efer};
use guest_mem::{Gpa, GuestMemory, Gva};

/// The formats of a guest's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tables {
    /// None: linear addresses are physical.
    Unpaged,
    /// Two levels of 4-byte entries.
    Bits32,
    /// Two levels of 8-byte entries behind four pointers, which the CPU loads with CR3.
    Pae,
    /// Four levels of 8-byte entries.
    Long,
}

/// The page-directory-pointer entries of a PAE guest as they were when CR3 was loaded (SDM vol. 3A, 4.4.1).
pub type Directories = [u64; 4];

/// A walk that found a page, with the entries behind the directory pointers that it went through, the last one last. All of them have
/// the marks that the access makes.
#[derive(Clone, Copy, Debug)]
pub struct Trace {
    /// What was found.
    pub found: Translation,
    used: [(Gpa, u64); Self::LEVELS],
    count: usize,
}

impl Trace {
    const LEVELS: usize = 5;

    /// The entries, from the top.
    #[inline]
    pub fn entries(&self) -> impl Iterator<Item = u64> {
        self.used.iter().take(self.count).map(|&(_, entry)| entry)
    }
}

impl Paging {
    /// The format of the tables.
    pub const fn tables(&self) -> Tables {
        match self.mode {
            Mode::Off => Tables::Unpaged,
            Mode::Bits32 => Tables::Bits32,
            Mode::Pae => Tables::Pae,
            Mode::Long { .. } => Tables::Long,
        }
    }

    /// CR3.
    pub const fn cr3(&self) -> u64 {
        self.cr3
    }

    /// Large pages of two-level tables mean something.
    pub const fn has_page_size_extension(&self) -> bool {
        self.cr4.contains(Cr4::PSE)
    }

    /// The bit that forbids fetches means something.
    pub const fn has_no_execute(&self) -> bool {
        self.efer.contains(Efer::NXE)
    }

    /// Writes below CPL 3 go to read-only pages as well, and nothing that is CPL 3's is kept from there.
    pub const fn lets_supervisor_write_all(&self) -> bool {
        let guards = Cr4::SMEP.union(Cr4::SMAP);
        !self.cr0.contains(Cr0::WP) && !self.cr4.intersects(guards)
    }

    /// The four pointers as CR3's load finds them.
    pub fn directories(&self, memory: &GuestMemory) -> Directories {
        // Outside RAM nobody answers.
        self.pae_table()
            .and_then(|table| memory.load(table).ok())
            .unwrap_or([u64::MAX; 4])
    }

    /// The page directory that one of the four pointers names, if it is as it should be.
    pub fn directory_of(&self, pointer: u64) -> Option<Gpa> {
        (pointer & (self.reserved | PDPTE_RESERVED | PRESENT) == PRESENT)
            .then_some(Gpa(pointer & super::ADDRESS))
    }

    /// True if an access gets through entries with these rights: the bits W and U if all of them have it, NX if any has.
    #[inline]
    pub fn permits_rights(&self, rights: u64, access: Access) -> bool {
        let found = Translation {
            gpa: Gpa(0),
            size: PageSize::Kib4,
            rights,
        };
        self.permits(&found, access)
    }

    fn descend_from(
        &self,
        directories: &Directories,
        memory: &GuestMemory,
        gva: Gva,
        visit: impl FnMut(Gpa, u64),
    ) -> Result<Translation, Broken> {
        match self.mode {
            Mode::Off => Ok(Translation::unpaged(gva)),
            Mode::Bits32 => self.descend_32(memory, gva, visit),
            Mode::Pae => {
                let pointer = directories[(gva.0 >> 30) as usize % 4];
                let table = self.directory_of(pointer);
                let table = table.ok_or_else(|| Broken::of(pointer))?;
                self.descend(memory, gva, table.0, 2, visit)
            }
            Mode::Long { levels } => {
                self.descend(memory, gva, self.cr3 & super::ADDRESS, levels, visit)
            }
        }
    }

    /// Translates one linear address as [`super::translate`] does, by pointers that were loaded before. Unlike there, entries are told.
    pub fn trace(
        &self,
        directories: &Directories,
        memory: &GuestMemory,
        gva: Gva,
        access: Access,
    ) -> Result<Trace, PageFault> {
        for _ in 0..ATTEMPTS {
            let mut used = [(Gpa(0), 0); Trace::LEVELS];
            let mut count = 0;
            let found = self.descend_from(directories, memory, gva, |at, entry| {
                if let Some(slot) = used.get_mut(count) {
                    *slot = (at, entry);
                    count += 1;
                }
            });
            let found = match found {
                Ok(found) if self.mode == Mode::Off || self.permits(&found, access) => found,
                Ok(_) => return Err(self.fault(gva, access, 1)),
                Err(broken) => return Err(self.broken(gva, access, broken)),
            };
            let marked = !found.lacks_marks(access.kind)
                || self.mark_all(
                    memory,
                    used.get_mut(..count).unwrap_or_default(),
                    access.kind,
                );
            if marked {
                return Ok(Trace { found, used, count });
            }
        }
        // As in `mark`.
        Err(self.fault(gva, access, 1))
    }

    #[cold]
    fn mark_all(&self, memory: &GuestMemory, used: &mut [(Gpa, u64)], kind: AccessKind) -> bool {
        let last = used.len().saturating_sub(1);
        used.iter_mut().enumerate().all(|(index, used)| {
            let marks = match kind {
                AccessKind::Write if index == last => ACCESSED | DIRTY,
                _ => ACCESSED,
            };
            let done = self.mark_entry(memory, *used, marks);
            used.1 |= marks;
            done
        })
    }
}
