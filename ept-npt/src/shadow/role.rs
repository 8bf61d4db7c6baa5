//! What a shadow table stands for: a table of the guest's, in a format, or a piece of guest-physical memory.

use super::entry::{ACCESSED, ADDRESS, DIRTY, NO_EXECUTE, PAGE_SIZE, PRESENT, Rights, USER};
use guest_mem::{Gpa, GuestMemory};
use hvm::walk::Paging;

/// Bits 62:52 mean something only in long mode (SDM vol. 3A, table 4-11).
const PAE_RESERVED: u64 = 0x7ff0_0000_0000_0000;

/// What is shadowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A table of a four-level guest.
    Long,
    /// A table of a PAE guest.
    Pae,
    /// A part of a two-level guest's table, whose entries are half as long.
    Bits32,
    /// Guest-physical memory itself, for large pages that must be split and for guests without paging.
    Direct,
}

/// The role of a shadow table. With the frame that it shadows it tells what each entry must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    pub kind: Kind,
    /// 1 for entries that map 4 KiB, to 4.
    pub level: u8,
    /// Which quarter (level 2) or half (level 1) of a [`Kind::Bits32`] table.
    part: u8,
    /// Which bits of the guest's entries mean something.
    valid: u8,
}

const NO_EXECUTE_IS_VALID: u8 = 1;
const PAGE_SIZE_IS_VALID: u8 = 2;
/// The guest's CR0.WP is clear, and so are CR4.SMEP and SMAP.
const SUPERVISOR_WRITES_ALL: u8 = 4;

/// Whom an entry is made for, where one cannot serve both: a page that is read-only and CPL 3's, and that the supervisor may write all the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// CPL 3, which may read it.
    User,
    /// Lower ones, which may write it; CPL 3 has no access meanwhile.
    Supervisor,
}

impl Side {
    /// Whom an entry of ours was made for.
    pub const fn of(entry: u64) -> Self {
        match entry & USER {
            0 => Self::Supervisor,
            _ => Self::User,
        }
    }
}

/// What an entry of a shadow table must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it faults, or has not been used.
    Absent,
    /// A page.
    Page { gpa: Gpa, rights: Rights },
    /// As much as this entry covers of a larger page.
    Large { gpa: Gpa, rights: Rights },
    /// The shadow of another table.
    Table {
        frame: u64,
        role: Role,
        rights: Rights,
    },
}

impl Role {
    /// Of guest-physical memory.
    pub const fn direct(level: u8) -> Self {
        Self {
            kind: Kind::Direct,
            level,
            part: 0,
            valid: 0,
        }
    }

    /// Of the tables that a walk starts from; `part` is the quarter of the address space that it covers, if one does not cover it all.
    pub fn root(kind: Kind, paging: &Paging, part: u8) -> Self {
        let valid = match kind {
            Kind::Direct => 0,
            Kind::Bits32 if paging.has_page_size_extension() => PAGE_SIZE_IS_VALID,
            Kind::Bits32 => 0,
            Kind::Long | Kind::Pae if paging.has_no_execute() => NO_EXECUTE_IS_VALID,
            Kind::Long | Kind::Pae => 0,
        };
        let valid = match kind != Kind::Direct && paging.lets_supervisor_write_all() {
            true => valid | SUPERVISOR_WRITES_ALL,
            false => valid,
        };
        Self {
            kind,
            level: if kind == Kind::Long { 4 } else { 2 },
            part: if kind == Kind::Bits32 { part } else { 0 },
            valid,
        }
    }

    /// Walks may start from it.
    pub const fn is_top(self) -> bool {
        match self.kind {
            Kind::Long => self.level == 4,
            Kind::Pae | Kind::Bits32 | Kind::Direct => self.level == 2,
        }
    }

    /// Pages that are read-only are the supervisor's to write.
    pub const fn lets_supervisor_write_all(self) -> bool {
        self.valid & SUPERVISOR_WRITES_ALL != 0
    }

    /// What our entry allows where the guest's is `entry`.
    #[inline]
    pub const fn rights(self, entry: u64, side: Side) -> Rights {
        let rights = Rights::of(entry);
        match side {
            Side::Supervisor if self.lets_supervisor_write_all() && !rights.is_writable() => {
                rights.supervisors()
            }
            _ => rights,
        }
    }

    /// The same of one that maps a page. Before the guest's entry is marked dirty no write gets through, so that we can mark it.
    #[inline]
    const fn page_rights(self, entry: u64, side: Side) -> Rights {
        let rights = self.rights(entry, side);
        match entry & DIRTY {
            0 => rights.read_only(),
            _ => rights,
        }
    }

    /// The role of the tables that entries lead to, but for those of [`Kind::Bits32`].
    pub const fn below(self) -> Self {
        Self {
            level: self.level - 1,
            ..self
        }
    }

    const fn shift(self) -> u32 {
        3 + 9 * self.level as u32
    }

    /// Which entry an address uses.
    #[inline]
    pub const fn index(self, address: u64) -> usize {
        (address >> self.shift() & 511) as usize
    }

    /// The guest's entry that entry `index` shadows, as it is now.
    #[inline]
    pub fn load(self, memory: &GuestMemory, frame: u64, index: usize) -> u64 {
        let table = frame << 12;
        let index = index as u64;
        // Outside RAM nobody answers.
        if self.kind == Kind::Bits32 {
            let entry = if self.level == 2 {
                u64::from(self.part) * 256 + index / 2
            } else {
                u64::from(self.part) * 512 + index
            };
            let entry = memory.load::<u32>(Gpa(table + entry * 4));
            u64::from(entry.unwrap_or(u32::MAX))
        } else {
            let entry = memory.load::<u64>(Gpa(table + index * 8));
            entry.unwrap_or(u64::MAX)
        }
    }

    /// The bits that no entry may have set, where the guest's CPU does not have the address bits `beyond`.
    #[inline]
    pub const fn reserved(self, beyond: u64) -> u64 {
        let no_execute = match self.valid & NO_EXECUTE_IS_VALID {
            0 => NO_EXECUTE,
            _ => 0,
        };
        match self.kind {
            Kind::Long => beyond | no_execute,
            Kind::Pae => beyond | no_execute | PAE_RESERVED,
            Kind::Bits32 | Kind::Direct => beyond,
        }
    }

    /// What entry `index` must be, for whom, where the guest's is `entry`. `reserved` is what [`Self::reserved`] says.
    #[inline]
    pub fn meaning(self, index: usize, entry: u64, reserved: u64, side: Side) -> Meaning {
        if entry & (PRESENT | ACCESSED) != PRESENT | ACCESSED {
            return Meaning::Absent;
        }
        match self.kind {
            Kind::Long | Kind::Pae if entry & reserved != 0 => Meaning::Absent,
            Kind::Long | Kind::Pae => self.meaning_64(index, entry, side),
            Kind::Bits32 => self.meaning_32(index, entry, reserved, side),
            Kind::Direct => Meaning::Absent,
        }
    }

    #[inline]
    fn meaning_64(self, index: usize, entry: u64, side: Side) -> Meaning {
        if self.level == 1 {
            let gpa = Gpa(entry & ADDRESS);
            let rights = self.page_rights(entry, side);
            return Meaning::Page { gpa, rights };
        }
        if entry & PAGE_SIZE == 0 {
            return self.table(index, entry & ADDRESS, self.rights(entry, side));
        }
        let offset = (1_u64 << self.shift()) - 1;
        // Below the base of a large page only bit 12, PAT, may be set.
        if self.level == 4 || entry & ADDRESS & offset & !0x1fff != 0 {
            return Meaning::Absent;
        }
        Meaning::Large {
            gpa: Gpa(entry & ADDRESS & !offset),
            rights: self.page_rights(entry, side),
        }
    }

    fn meaning_32(self, index: usize, entry: u64, beyond: u64, side: Side) -> Meaning {
        if self.level == 1 {
            return Meaning::Page {
                gpa: Gpa(entry & 0xffff_f000),
                rights: self.page_rights(entry, side),
            };
        }
        if entry & PAGE_SIZE == 0 || self.valid & PAGE_SIZE_IS_VALID == 0 {
            return self.table(index, entry & 0xffff_f000, self.rights(entry, side));
        }
        // PSE-36: bits 20:13 are address bits 39:32.
        let base = entry & 0xffc0_0000 | (entry & 0x1f_e000) << 19;
        if entry & 1 << 21 != 0 || base & beyond != 0 {
            return Meaning::Absent;
        }
        Meaning::Large {
            gpa: Gpa(base + ((index as u64 % 2) << 21)),
            rights: self.page_rights(entry, side),
        }
    }

    fn table(self, index: usize, at: u64, rights: Rights) -> Meaning {
        let mut role = self.below();
        if self.kind == Kind::Bits32 {
            role.part = (index % 2) as u8;
            role.valid &= SUPERVISOR_WRITES_ALL;
        }
        Meaning::Table {
            frame: at >> 12,
            role,
            rights,
        }
    }
}
