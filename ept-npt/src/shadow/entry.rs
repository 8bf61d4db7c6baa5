//! Entries of shadow tables: long-mode and PAE entries, which have the same bits (SDM vol. 3A, 4.4.2 and 4.5.4).

use guest_mem::Hpa;

pub const PRESENT: u64 = 1;
pub const WRITE: u64 = 1 << 1;
pub const USER: u64 = 1 << 2;
pub const ACCESSED: u64 = 1 << 5;
pub const DIRTY: u64 = 1 << 6;
pub const PAGE_SIZE: u64 = 1 << 7;
pub const NO_EXECUTE: u64 = 1 << 63;
pub const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What an entry allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights(u64);

impl Rights {
    const BITS: u64 = WRITE | USER | NO_EXECUTE;
    /// Everything: what remains is another entry's to say.
    pub const ALL: Self = Self(WRITE | USER);

    /// Of an entry, be it the guest's or ours: they have the same bits.
    pub const fn of(entry: u64) -> Self {
        Self(entry & Self::BITS)
    }

    /// The bits that say so.
    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn is_writable(self) -> bool {
        self.0 & WRITE != 0
    }

    pub const fn read_only(self) -> Self {
        Self(self.0 & !WRITE)
    }

    /// What the supervisor may do where nothing is read-only to it, and nobody else anything.
    pub const fn supervisors(self) -> Self {
        Self(self.0 & !USER | WRITE)
    }

    /// True if somebody who knows `self` may do what `new` forbids.
    pub const fn exceed(self, new: Self) -> bool {
        let lost = self.0 & !new.0 & WRITE | (self.0 ^ new.0) & USER;
        lost | new.0 & !self.0 & NO_EXECUTE != 0
    }
}

/// What the entries of a walk allow together.
pub struct Path {
    all: u64,
    any: u64,
}

impl Path {
    pub const fn new() -> Self {
        Self {
            all: u64::MAX,
            any: 0,
        }
    }

    pub const fn add(&mut self, entry: u64) {
        self.all &= entry;
        self.any |= entry;
    }

    /// The right to write and CPL 3's if all give it; no fetches if one forbids them.
    pub const fn rights(&self) -> Rights {
        Rights(self.all & (WRITE | USER) | self.any & NO_EXECUTE)
    }
}

/// An entry that maps a page of 4 KiB. The CPU need not set its marks: the guest's tables have them already.
pub const fn page(at: Hpa, rights: Rights) -> u64 {
    at.0 & ADDRESS | rights.0 | PRESENT | ACCESSED | DIRTY
}

/// An entry that maps a page of 2 MiB.
pub const fn large(at: Hpa, rights: Rights) -> u64 {
    page(at, rights) | PAGE_SIZE
}

/// An entry that points to the next table. The CPU marks it when it comes through.
pub const fn table(at: Hpa, rights: Rights) -> u64 {
    at.0 & ADDRESS | rights.0 | PRESENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_exceeded_by_what_is_no_longer_allowed() {
        let all = Rights::ALL;
        let kernel = Rights::of(WRITE);
        let data = Rights::of(WRITE | USER | NO_EXECUTE);
        assert!(all.exceed(all.read_only()) && !all.read_only().exceed(all));
        assert!(all.exceed(kernel) && kernel.exceed(all));
        assert!(all.exceed(data) && !data.exceed(all));
        assert!(!data.exceed(data));
    }
}
