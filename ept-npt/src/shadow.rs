//! Shadow paging: tables that the CPU walks instead of the guest's, where it cannot walk two kinds.
//!
//! Each table of the guest has a shadow, made of what its entries were when they were used. An entry appears when an access faults for
//! the lack of it, and never allows more than the guest's entry did at some moment since the guest last flushed its TLB: to the guest
//! the shadow *is* the TLB, a large one that survives loads of CR3. Guarantees to `kernel`:
//! - nothing is reachable through the tables but what [`Host::translate`] gives, with no more rights than it gives;
//! - a translation that the guest has flushed is not used any more once [`Shadow::activate`], [`Shadow::flush`] or
//!   [`Shadow::invalidate`] returns, and a CPU whose own TLB may know more than the tables is named ([`Shadow::must_flush`],
//!   [`Host::flush_others`]);
//! - accessed and dirty bits appear in the guest's tables as the CPU would set them;
//! - memory is what was given at first, and each call does a bounded amount of work, whatever the guest's tables say.
//!
//! A guest's table is **loose** while the guest may write it: then all its shadowed entries are compared at each flush. One that has not
//! changed for some flushes is write-protected instead, and costs nothing until the next write faults, which makes it loose again. No
//! write is ever emulated for it. Back links ([`links`]) find the ways by which a page can be written, and the entries that lead to a
//! table that has to go.
//!
//! Rights of entries above the last level are the guest's own, so that a shadow table depends on the guest's table alone and all that
//! have it in common share it. The CPU's CR0.WP is always set; for a guest without it, entries that it
//! writes all the same are the supervisor's or CPL 3's, by turns (`role::Side`).

mod budget;
mod entry;
mod fault;
mod links;
mod pool;
mod protect;
mod role;
mod sync;
#[cfg(test)]
mod tests;

pub use budget::Budget;
pub use fault::Verdict;
pub use links::Slot;

use crate::{Level, Mapping, Rights as MapRights};
use alloc::vec::Vec;
use guest_mem::{Gpa, GuestMemory, Gva, Hpa};
use hvm::walk::{Directories, Paging, Tables};
use links::{Head, Links};
use pool::{NO_TABLE, Table};
use role::{Kind, Role};

/// Memory for shadow tables: consecutive pages of 512 entries, zeroed at first. Entries are read and written whole.
pub trait Store {
    /// Where the first page is.
    fn base(&self) -> Hpa;
    /// Reads the entry with that number, counted through all pages.
    fn read(&self, slot: Slot) -> u64;
    /// Writes it.
    fn write(&mut self, slot: Slot, entry: u64);
}

/// The machine around the shadow.
pub trait Host {
    /// Guest memory, with [`GuestMemory::table_log`].
    fn memory(&self) -> &GuestMemory;
    /// What is behind a guest-physical address: RAM, or nothing that could be mapped.
    fn translate(&mut self, gpa: Gpa) -> Option<Mapping>;
    /// No other vCPU uses a translation any more that its TLB had before the call.
    fn flush_others(&mut self);
}

/// What the CPU's CR3 is to lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A table of the top level of four.
    Long(Hpa),
    /// Page-directory-pointer entries, for a CPU in PAE mode.
    Pae([u64; 4]),
}

/// What happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Faults that filled an entry.
    pub fills: u64,
    /// Writes to protected tables.
    pub table_writes: u64,
    /// Tables that were protected.
    pub protections: u64,
    /// Tables that had to go for others.
    pub evictions: u64,
    /// The most tables that there were at a time.
    pub peak_tables: u32,
}

/// A piece of 2 MiB of guest memory.
#[derive(Clone, Copy)]
struct LargeFrame {
    /// Entries that map all of it for writing.
    writable: Head,
    /// How many protected tables lie in it.
    protected: u16,
}

/// A piece of RAM that is contiguous on both sides.
#[derive(Clone, Copy)]
struct RamPiece {
    gpa: Gpa,
    hpa: Hpa,
    bytes: u64,
}

/// What a vCPU uses.
#[derive(Clone, Copy)]
struct Active {
    /// The table of the top level; or one for each quarter of 4 GiB.
    roots: [u32; 4],
    directories: Directories,
}

impl Active {
    const NONE: Self = Self {
        roots: [NO_TABLE; 4],
        directories: [0; 4],
    };
}

/// The shadow of the page tables of one guest, all vCPUs.
pub struct Shadow<S> {
    store: S,
    tables: Vec<Table>,
    buckets: Vec<u32>,
    free: Vec<u32>,
    /// Free, but TLBs may still know them.
    limbo: Vec<u32>,
    loose: Vec<u32>,
    links: Links,
    /// For each page of guest memory the last-level entries that map it for writing.
    frames: Vec<Head>,
    larges: Vec<LargeFrame>,
    /// The guest's RAM, the largest piece first.
    pieces: Vec<RamPiece>,
    active: Vec<Active>,
    /// Tables that the fault at hand has come through.
    path: [u32; 4],
    hand: u32,
    /// Address bits that the guest's CPU does not have.
    beyond: u64,
    /// The last answer of [`Host::translate`] that covers much.
    known: Option<(Gpa, Mapping)>,
    /// Entries allow less than other CPUs may remember.
    others_exceed: bool,
    /// The same of the CPU at work.
    own_exceeds: bool,
    counters: Counters,
}

impl<S: Store> Shadow<S> {
    /// An empty one for a guest with that memory, for so many vCPUs. `store` has as many pages as `budget` says.
    pub fn new(
        store: S,
        budget: &Budget,
        memory: &GuestMemory,
        vcpus: usize,
        physical_bits: u8,
    ) -> Self {
        let pages = budget.tables();
        let frames = memory.end().0.div_ceil(Level::Page.bytes()) as usize;
        let larges = memory.end().0.div_ceil(Level::Large.bytes()) as usize;
        let large = LargeFrame {
            writable: Head::EMPTY,
            protected: 0,
        };
        let regions = memory.regions().iter();
        let mut pieces: Vec<RamPiece> = regions
            .map(|region| RamPiece {
                gpa: region.gpa,
                hpa: region.hpa,
                bytes: region.bytes,
            })
            .collect();
        pieces.sort_by_key(|piece| core::cmp::Reverse(piece.bytes));
        Self {
            store,
            tables: (0..pages).map(|_| Table::FREE).collect(),
            buckets: alloc::vec![NO_TABLE; pages.next_power_of_two() as usize],
            free: (0..pages).rev().collect(),
            limbo: Vec::with_capacity(pages as usize),
            loose: Vec::with_capacity(pages as usize),
            links: Links::new(budget.links()),
            frames: alloc::vec![Head::EMPTY; frames],
            larges: alloc::vec![large; larges],
            pieces,
            active: alloc::vec![Active::NONE; vcpus],
            path: [NO_TABLE; 4],
            hand: 0,
            beyond: entry::ADDRESS & (u64::MAX << (physical_bits & 63)),
            known: None,
            others_exceed: false,
            own_exceeds: false,
            counters: Counters::default(),
        }
    }

    /// Has vCPU `cpu` use the guest's tables as its registers say now: after each write of CR3, and of what else decides on paging.
    /// Flushes as [`Self::flush`] does.
    pub fn activate(&mut self, cpu: usize, paging: &Paging, host: &mut impl Host) -> Root {
        self.sync(host);
        let directories = paging.directories(host.memory());
        let mut roots = [NO_TABLE; 4];
        match paging.tables() {
            Tables::Long => {
                let role = Role::root(Kind::Long, paging, 0);
                roots[0] = self.root(role, (paging.cr3() & entry::ADDRESS) >> 12, host);
            }
            tables => {
                for (part, root) in (0_u8..).zip(&mut roots) {
                    let at = match tables {
                        Tables::Bits32 => {
                            let role = Role::root(Kind::Bits32, paging, part);
                            Some((role, (paging.cr3() & 0xffff_f000) >> 12))
                        }
                        Tables::Pae => paging
                            .directory_of(directories[usize::from(part)])
                            .map(|table| (Role::root(Kind::Pae, paging, part), table.0 >> 12)),
                        _ => Some((Role::direct(2), u64::from(part) << 18)),
                    };
                    if let Some((role, frame)) = at {
                        *root = self.root(role, frame, host);
                    }
                }
            }
        }
        let old = self.active.get(cpu).copied();
        for table in roots {
            if let Some(table) = self.tables.get_mut(table as usize) {
                table.users += 1;
            }
        }
        for table in old.into_iter().flat_map(|old| old.roots) {
            if let Some(table) = self.tables.get_mut(table as usize) {
                table.users = table.users.saturating_sub(1);
            }
        }
        if let Some(active) = self.active.get_mut(cpu) {
            *active = Active { roots, directories };
        }
        self.path = [NO_TABLE; 4];
        match paging.tables() {
            Tables::Long => Root::Long(self.hpa(roots[0])),
            _ => Root::Pae(roots.map(|table| match table {
                NO_TABLE => 0,
                table => self.hpa(table).0 | entry::PRESENT,
            })),
        }
    }

    fn root(&mut self, role: Role, frame: u64, host: &mut impl Host) -> u32 {
        let table = self.obtain(role, frame, host).unwrap_or(NO_TABLE);
        // Those that were found before must not go for those that follow.
        if let Some(place) = self.path.iter_mut().find(|place| **place == NO_TABLE) {
            *place = table;
        }
        table
    }

    /// Where walks of an address start on a vCPU: it has one table of four levels, or one for each GiB, and then perhaps not for each.
    fn root_for(&self, cpu: usize, gva: Gva) -> u32 {
        let Some(Active { roots, .. }) = self.active.get(cpu) else {
            return NO_TABLE;
        };
        let first = self.tables.get(roots[0] as usize);
        let is_only = first.is_some_and(|table| table.role.is_some_and(|role| role.level == 4));
        match is_only {
            true => roots[0],
            false => roots[(gva.0 >> 30) as usize % 4],
        }
    }

    /// The guest has flushed the TLB of the vCPU at work, all of it.
    pub fn flush(&mut self, host: &mut impl Host) {
        self.sync(host);
    }

    /// What [`Host::translate`] gives has changed to less, or to something else. No vCPU goes by the old any more when this returns.
    pub fn clear(&mut self, host: &mut impl Host) {
        self.known = None;
        for table in 0..self.tables.len() as u32 {
            if self.tables[table as usize].is_free() {
                continue;
            }
            self.empty(table);
            if self.tables[table as usize].users == 0 {
                self.free_table(table, host);
            }
        }
        self.own_exceeds = true;
        self.others_exceed = true;
        self.settle(host);
    }

    /// True if the TLB of the vCPU at work may know more than the tables allow: it must be flushed before the guest is entered. To be
    /// asked after each call.
    #[inline]
    pub fn must_flush(&mut self) -> bool {
        core::mem::take(&mut self.own_exceeds)
    }

    /// How many tables there are now.
    #[inline]
    pub fn tables_in_use(&self) -> u32 {
        (self.tables.len() - self.free.len() - self.limbo.len()) as u32
    }

    /// What happened so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// After this no other vCPU's TLB knows what the tables no longer allow.
    fn settle(&mut self, host: &mut impl Host) {
        if core::mem::take(&mut self.others_exceed) {
            host.flush_others();
        }
    }

    fn exceed(&mut self) {
        self.others_exceed = true;
        self.own_exceeds = true;
    }

    #[inline]
    fn translate(&mut self, gpa: Gpa, host: &mut impl Host) -> Option<Mapping> {
        if let Some((base, mapping)) = self.known {
            let offset = gpa.0.wrapping_sub(base.0);
            if offset < mapping.level.bytes() {
                let hpa = mapping.hpa.wrapping_add(offset);
                return Some(Mapping { hpa, ..mapping });
            }
        }
        let found = host.translate(gpa)?;
        if found.level > Level::Page && found.rights == MapRights::ReadWriteExecute {
            let offset = gpa.0 & found.level.offset_mask();
            let hpa = Hpa(found.hpa.0 - offset);
            self.known = Some((Gpa(gpa.0 - offset), Mapping { hpa, ..found }));
        }
        Some(found)
    }

    /// The guest's page that a frame of its RAM is.
    #[inline]
    fn guest_frame(&self, hpa: Hpa) -> Option<usize> {
        let piece = self
            .pieces
            .iter()
            .find(|piece| hpa.0.wrapping_sub(piece.hpa.0) < piece.bytes)?;
        Some(((hpa.0 - piece.hpa.0 + piece.gpa.0) >> 12) as usize)
    }

    /// True if writes to that page of the guest's can be noticed.
    fn is_tracked(&self, frame: u64) -> bool {
        let gpa = frame << 12;
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| gpa.wrapping_sub(piece.gpa.0) < piece.bytes)
    }
}
