//! An access that the shadow does not allow: the guest's fault, the device's access, or an entry that is missing.

use super::entry;
use super::entry::{Path, Rights};
use super::pool::NO_TABLE;
use super::role::{Kind, Meaning, Role, Side};
use super::{Host, Shadow, Store};
use crate::{Level, Rights as MapRights};
use guest_mem::{Gpa, Gva};
use hvm::walk::{Access, AccessKind, PageFault, Paging, Privilege, Tables};

/// Pages that are filled with the one asked for, if the guest has used them before. A power of two.
const AROUND: usize = 2;

/// What a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// None: the access may be tried again.
    Again,
    /// The guest's.
    Fault(PageFault),
    /// An access to what is not mapped, or not for writes.
    Outside(Gpa),
    /// A write that the guest may make because its CR0.WP is clear, to a page that is read-only by its tables.
    Emulate,
}

impl<S: Store> Shadow<S> {
    /// The vCPU `cpu` faulted at an access.
    pub fn fault(
        &mut self,
        cpu: usize,
        paging: &Paging,
        gva: Gva,
        access: Access,
        host: &mut impl Host,
    ) -> Verdict {
        if self.fill_last(cpu, paging, gva, access, host).is_some() {
            return Verdict::Again;
        }
        let Some(active) = self.active.get(cpu) else {
            return Verdict::Again;
        };
        let trace = match paging.trace(&active.directories, host.memory(), gva, access) {
            Ok(trace) => trace,
            Err(fault) => return Verdict::Fault(fault),
        };
        let gpa = trace.found.gpa;
        let writes = access.kind == AccessKind::Write;
        let Some(mapping) = self.translate(gpa, host) else {
            return Verdict::Outside(gpa);
        };
        if writes && mapping.rights != MapRights::ReadWriteExecute {
            return Verdict::Outside(gpa);
        }
        let is_only_supervisors =
            writes && access.privilege != Privilege::User && !trace.found.is_writable();
        if is_only_supervisors && !paging.lets_supervisor_write_all() {
            return Verdict::Emulate;
        }
        if writes && self.is_protected(gpa.0 >> 12, host) {
            self.loosen(gpa.0 >> 12, host);
        }
        self.counters.fills += 1;
        self.path = [NO_TABLE; 4];
        let table = self.root_for(cpu, gva);
        match paging.tables() {
            Tables::Unpaged => self.fill_direct(table, gva.0 & 0xffff_ffff, host),
            _ => self.fill(table, (gva, side(access)), trace.entries(), host),
        };
        self.path = [NO_TABLE; 4];
        Verdict::Again
    }

    /// True if the CPU finds a page at `gva` that the supervisor may write.
    pub fn lets_write(&self, cpu: usize, gva: Gva) -> bool {
        const WANTED: u64 = entry::PRESENT | entry::WRITE;
        let mut table = self.root_for(cpu, gva);
        let role = self.tables.get(table as usize).and_then(|table| table.role);
        let top = role.map_or(0, |role| role.level);
        for level in (1..=top).rev() {
            let entry = self.read(table, Role::direct(level).index(gva.0));
            if entry & WANTED != WANTED {
                return false;
            }
            if level == 1 || entry & entry::PAGE_SIZE != 0 {
                return true;
            }
            table = self.table_at(entry);
        }
        false
    }

    /// Enters a page where nothing but its entry is missing: the guest has it marked, and the CPU finds its table. What leads there is as
    /// good as what a CPU remembers of its walks (SDM vol. 3A, 4.10.3). `None` if it takes more.
    #[inline]
    fn fill_last(
        &mut self,
        cpu: usize,
        paging: &Paging,
        gva: Gva,
        access: Access,
        host: &mut impl Host,
    ) -> Option<()> {
        let mut table = self.root_for(cpu, gva);
        let mut level = self.tables.get(table as usize)?.role?.level;
        let mut path = Path::new();
        while level > 1 {
            let entry = self.read(table, Role::direct(level).index(gva.0));
            if entry & (entry::PRESENT | entry::PAGE_SIZE) != entry::PRESENT {
                return None;
            }
            path.add(entry);
            table = self.table_at(entry);
            level -= 1;
        }
        let last = self.tables.get(table as usize)?;
        let (role, frame) = (last.role?, last.frame);
        if !matches!(role.kind, Kind::Long | Kind::Pae) {
            return None;
        }
        let index = role.index(gva.0);
        let entry = role.load(host.memory(), frame, index);
        let reserved = role.reserved(self.beyond);
        let side = side(access);
        let Meaning::Page { gpa, rights } = role.meaning(index, entry, reserved, side) else {
            return None;
        };
        path.add(entry);
        let together = path.rights();
        if !paging.permits_rights(together.bits(), access) {
            return None;
        }
        if access.kind == AccessKind::Write {
            let mapping = self.translate(gpa, host)?;
            let is_ram = mapping.rights == MapRights::ReadWriteExecute;
            let is_writable = together.is_writable() && rights.is_writable();
            if !is_ram || !is_writable || self.is_protected(gpa.0 >> 12, host) {
                return None;
            }
        }
        self.fill_page(table, index, (gpa, rights), host)?;
        self.fill_around((table, role, reserved), index, host);
        self.counters.fills += 1;
        Some(())
    }

    /// Enters what the walk found, from the top. `None` if it is no longer so, or there is no table left at this moment.
    fn fill(
        &mut self,
        root: u32,
        (gva, side): (Gva, Side),
        entries: impl Iterator<Item = u64>,
        host: &mut impl Host,
    ) -> Option<()> {
        let mut table = root;
        // It is the same at all levels.
        let reserved = self.tables.get(root as usize)?.role?.reserved(self.beyond);
        for (entry, depth) in entries.zip(0..) {
            let role = self.tables.get(table as usize)?.role?;
            *self.path.get_mut(depth)? = table;
            let index = role.index(gva.0);
            if let Some(child) = self.led((table, role), index, (entry, side)) {
                table = child;
                continue;
            }
            match role.meaning(index, entry, reserved, side) {
                Meaning::Table {
                    frame,
                    role,
                    rights,
                } => {
                    table = self.follow(table, index, (role, frame, rights), host)?;
                }
                Meaning::Page { gpa, rights } => {
                    self.fill_page(table, index, (gpa, rights), host)?;
                    self.fill_around((table, role, reserved), index, host);
                    return Some(());
                }
                Meaning::Large { gpa, rights } => {
                    if role.level == 2 && self.fill_large(table, index, (gpa, rights), host) {
                        return Some(());
                    }
                    let below = Role::direct(role.level - 1);
                    let direct = self.follow(table, index, (below, gpa.0 >> 12, rights), host)?;
                    let offset = gva.0 & ((1 << (12 + 9 * u32::from(below.level))) - 1);
                    return self.fill_direct(direct, gpa.0 | offset, host);
                }
                Meaning::Absent => return None,
            }
        }
        None
    }

    /// The table behind an entry of a guest's wide table, if it leads where the guest's entry does already: most do.
    #[inline]
    fn led(
        &self,
        (table, role): (u32, Role),
        index: usize,
        (guests, side): (u64, Side),
    ) -> Option<u32> {
        let old = self.read(table, index);
        let links = (old | guests) & entry::PAGE_SIZE == 0 && old & entry::PRESENT != 0;
        if role.level == 1
            || role.kind == Kind::Bits32
            || !links
            || Rights::of(old) != role.rights(guests, side)
        {
            return None;
        }
        let child = self.table_at(old);
        let known = self.tables.get(child as usize)?;
        let frame = (guests & entry::ADDRESS) >> 12;
        (known.frame == frame && known.role == Some(role.below())).then_some(child)
    }

    /// The table behind an entry, which leads there from now on.
    fn follow(
        &mut self,
        table: u32,
        index: usize,
        (role, frame, rights): (Role, u64, Rights),
        host: &mut impl Host,
    ) -> Option<u32> {
        let old = self.read(table, index);
        let child = self.child(table, old).filter(|&child| {
            let child = &self.tables[child as usize];
            child.role == Some(role) && child.frame == frame
        });
        if let Some(child) = child
            && Rights::of(old) == rights
        {
            return Some(child);
        }
        let child = match child {
            Some(child) => child,
            None => self.obtain(role, frame, host)?,
        };
        self.lead(table, index, child, rights);
        Some(child)
    }

    #[inline]
    fn fill_page(
        &mut self,
        table: u32,
        index: usize,
        (gpa, rights): (Gpa, Rights),
        host: &mut impl Host,
    ) -> Option<()> {
        let mapping = self.translate(gpa, host)?;
        let writable = rights.is_writable()
            && mapping.rights == MapRights::ReadWriteExecute
            && !self.is_protected(gpa.0 >> 12, host);
        let rights = if writable { rights } else { rights.read_only() };
        let new = entry::page(mapping.hpa, rights);
        // What is mapped in large pages is RAM, whose place needs no search.
        if mapping.level > Level::Page && self.read(table, index) == 0 {
            self.enter(table, index, new, gpa.0 >> 12);
        } else {
            self.map(table, index, new);
        }
        Some(())
    }

    /// Enters those neighbours that the guest has used before.
    #[inline]
    fn fill_around(
        &mut self,
        (table, role, reserved): (u32, Role, u64),
        index: usize,
        host: &mut impl Host,
    ) {
        let known = &self.tables[table as usize];
        let frame = known.frame;
        let first = index & !(AROUND - 1);
        let filled = known.filled[index / 64 % 8] >> (first % 64);
        for at in (0..AROUND).filter(|at| filled >> at & 1 == 0) {
            let index = first + at;
            let entry = role.load(host.memory(), frame, index);
            let meaning = role.meaning(index, entry, reserved, Side::User);
            if let Meaning::Page { gpa, rights } = meaning {
                self.fill_page(table, index, (gpa, rights), host);
            }
        }
    }

    /// Enters a page of 2 MiB; false if it must be split: what is behind it is in pieces, or holds a table.
    fn fill_large(
        &mut self,
        table: u32,
        index: usize,
        (gpa, rights): (Gpa, Rights),
        host: &mut impl Host,
    ) -> bool {
        let holds_tables = self
            .larges
            .get((gpa.0 >> 21) as usize)
            .is_none_or(|large| large.protected != 0);
        let mapping = self.translate(gpa, host).filter(|mapping| {
            mapping.level >= Level::Large && mapping.rights == MapRights::ReadWriteExecute
        });
        let Some(mapping) = mapping.filter(|_| !holds_tables) else {
            return false;
        };
        self.map(table, index, entry::large(mapping.hpa, rights));
        true
    }

    /// Enters a page of guest-physical memory into a direct table.
    fn fill_direct(&mut self, table: u32, gpa: u64, host: &mut impl Host) -> Option<()> {
        let role = self.tables.get(table as usize)?.role?;
        let index = role.index(gpa);
        if role.level == 1 {
            if self.tables[table as usize].count == 0 {
                // Those around will be used as well, and it is cheap to enter them all at once.
                let base = gpa & !Level::Large.offset_mask();
                for index in 0..512 {
                    let gpa = Gpa(base | (index as u64) << 12);
                    self.fill_page(table, index, (gpa, Rights::ALL), host);
                }
            }
            return self.fill_page(table, index, (Gpa(gpa & !0xfff), Rights::ALL), host);
        }
        *self.path.iter_mut().find(|place| **place == NO_TABLE)? = table;
        let base = Gpa(gpa & !Level::Large.offset_mask());
        if self.fill_large(table, index, (base, Rights::ALL), host) {
            return Some(());
        }
        let below = (Role::direct(1), base.0 >> 12, Rights::ALL);
        let direct = self.follow(table, index, below, host)?;
        self.fill_direct(direct, gpa, host)
    }
}

/// Whom an entry that was missing is made for.
const fn side(access: Access) -> Side {
    match access.privilege {
        Privilege::User => Side::User,
        Privilege::Supervisor | Privilege::Implicit => Side::Supervisor,
    }
}
