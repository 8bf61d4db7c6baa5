//! The guest's own page tables: linear to guest-physical, with the faults and the marks that the CPU would make.
//!
//! Guarantees to the emulator, to exit handlers without next-RIP and to shadow paging: rights, reserved bits, error
//! codes and accessed/dirty marks are those of SDM vol. 3A chapter 4 (APM vol. 2 chapter 5) for unpaged, 32-bit, PAE,
//! 4-level and 5-level guests; a walk reads at most five entries, and a guest that changes its tables meanwhile can
//! neither hang it nor make it use an entry that it did not check. Nothing is written when the marks are already there.
//!
//! Not modelled: protection keys, and the PDPTE registers: PAE entries are read and checked at each walk, as AMD CPUs
//! do under nested paging (APM vol. 2, 15.25.10). 1 GiB pages are always accepted.

use crate::event::Exception;
use crate::regs::{Cr0, Cr4, Efer, Registers, Rflags};
use guest_mem::{Gpa, GuestMemory, Gva};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
/// Page size; the PAT bit in a last-level entry.
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
/// Address bits of an entry, before the CPU's physical width is applied.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// What a PAE page-directory-pointer entry must keep clear besides the address bits (SDM vol. 3A, table 4-8). Bit 5 is reserved,
/// too, but QEMU's walks set it, as the accessed bit of the other levels, in entries that the guest wrote correctly.
const PDPTE_RESERVED: u64 = 0xfff0_0000_0000_01c6;
/// Bits 62:52 mean something only in long mode.
const PAE_RESERVED: u64 = 0x7ff0_0000_0000_0000;

/// What [`Translation`] keeps of a 4-byte entry.
const RIGHTS_32: u64 = WRITABLE | USER | ACCESSED | DIRTY | GLOBAL;

/// How often a walk starts again because the guest changed an entry between the read and the mark.
const ATTEMPTS: usize = 16;

/// What the access does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// Data read.
    Read,
    /// Data write, or a read that a write of the same operand follows.
    Write,
    /// Instruction fetch.
    Execute,
}

/// In whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// At CPL 3.
    User,
    /// Below CPL 3; EFLAGS.AC lifts SMAP.
    Supervisor,
    /// By the CPU itself, at any CPL: descriptor tables, TSS. EFLAGS.AC does not lift SMAP.
    Implicit,
}

impl Privilege {
    /// Of an instruction's own operands at that privilege level.
    #[inline]
    pub const fn of_cpl(cpl: u8) -> Self {
        if cpl == 3 {
            Self::User
        } else {
            Self::Supervisor
        }
    }
}

/// An access as the page tables judge it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What.
    pub kind: AccessKind,
    /// In whose name.
    pub privilege: Privilege,
}

impl Access {
    /// A data read.
    pub const fn read(privilege: Privilege) -> Self {
        Self {
            kind: AccessKind::Read,
            privilege,
        }
    }

    /// A data write.
    pub const fn write(privilege: Privilege) -> Self {
        Self {
            kind: AccessKind::Write,
            privilege,
        }
    }

    /// An instruction fetch.
    pub const fn execute(privilege: Privilege) -> Self {
        Self {
            kind: AccessKind::Execute,
            privilege,
        }
    }
}

/// #PF (vector 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault {
    /// For CR2.
    pub address: Gva,
    /// As pushed: P, W/R, U/S, RSVD, I/D.
    pub error_code: u32,
}

impl From<PageFault> for Exception {
    fn from(fault: PageFault) -> Self {
        Self::page_fault(fault.error_code, fault.address.0)
    }
}

/// Where the guest's own tables map a page in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum PageSize {
    Kib4 = 12,
    Mib2 = 21,
    Mib4 = 22,
    Gib1 = 30,
}

impl PageSize {
    /// Length in bytes.
    #[inline]
    pub const fn bytes(self) -> u64 {
        1 << self as u8
    }
}

/// A successful walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The byte asked for.
    pub gpa: Gpa,
    /// How much around it is mapped by the same entry.
    pub size: PageSize,
    /// W, U and A of all entries, D and G of the last, NX of any.
    rights: u64,
}

impl Translation {
    const fn unpaged(gva: Gva) -> Self {
        Self {
            gpa: Gpa(gva.0 & 0xffff_ffff),
            size: PageSize::Kib4,
            rights: WRITABLE | USER | ACCESSED | DIRTY,
        }
    }

    /// Every level allows writes.
    pub const fn is_writable(&self) -> bool {
        self.rights & WRITABLE != 0
    }

    /// Every level allows CPL 3.
    pub const fn is_user(&self) -> bool {
        self.rights & USER != 0
    }

    /// No level forbids fetches.
    pub const fn is_executable(&self) -> bool {
        self.rights & NO_EXECUTE == 0
    }

    /// The page is marked dirty.
    pub const fn is_dirty(&self) -> bool {
        self.rights & DIRTY != 0
    }

    /// The page stays in the TLB across MOV CR3 where CR4.PGE is set.
    pub const fn is_global(&self) -> bool {
        self.rights & GLOBAL != 0
    }

    #[inline]
    fn lacks_marks(&self, kind: AccessKind) -> bool {
        let marks = match kind {
            AccessKind::Write => ACCESSED | DIRTY,
            _ => ACCESSED,
        };
        self.rights & marks != marks
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Off,
    Bits32,
    Pae,
    Long { levels: u8 },
}

/// The registers that decide a walk, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Paging {
    mode: Mode,
    cr0: Cr0,
    cr3: u64,
    cr4: Cr4,
    efer: Efer,
    rflags: Rflags,
    /// Bits that no entry may have set.
    reserved: u64,
    /// How many high bits of a linear address only repeat the one below; 0 outside long mode.
    unused_bits: u8,
}

impl Paging {
    /// Reads the registers. `physical_bits` is MAXPHYADDR as the guest's CPUID tells it (32 to 52).
    #[inline]
    pub fn of(cpu: &(impl Registers + ?Sized), physical_bits: u8) -> Self {
        let cr0 = Cr0::from_bits_retain(cpu.cr0());
        let cr4 = Cr4::from_bits_retain(cpu.cr4());
        let efer = Efer::from_bits_retain(cpu.efer());
        let mut reserved = ADDRESS & (u64::MAX << (physical_bits & 63));
        if !efer.contains(Efer::NXE) {
            reserved |= NO_EXECUTE;
        }
        let mut unused_bits = 0;
        let mode = if !cr0.contains(Cr0::PG) {
            Mode::Off
        } else if efer.contains(Efer::LMA) {
            let levels = if cr4.contains(Cr4::LA57) { 5 } else { 4 };
            unused_bits = 52 - 9 * levels;
            Mode::Long { levels }
        } else if cr4.contains(Cr4::PAE) {
            reserved |= PAE_RESERVED;
            Mode::Pae
        } else {
            Mode::Bits32
        };
        Self {
            mode,
            cr0,
            cr3: cpu.cr3(),
            cr4,
            efer,
            rflags: Rflags::from_bits_retain(cpu.rflags()),
            reserved,
            unused_bits,
        }
    }

    /// Whether the CPU would load the four page-directory-pointer entries of PAE paging: where a bit that is reserved is set in one that is
    /// present, the write of the register that asks for it is #GP(0) (SDM vol. 3A, 4.4.1). True of other paging.
    pub fn takes_pointers(&self, memory: &GuestMemory) -> bool {
        let Some(table) = self.pae_table() else {
            return true;
        };
        let entries = memory.load::<[u64; 4]>(table).unwrap_or([u64::MAX; 4]);
        let reserved = self.reserved | PDPTE_RESERVED;
        entries
            .iter()
            .all(|entry| entry & PRESENT == 0 || entry & reserved == 0)
    }

    /// Where the four page-directory-pointer entries of a PAE guest are: 32-byte aligned, below 4 GiB (SDM vol. 3A, table 4-7).
    pub const fn pae_table(&self) -> Option<Gpa> {
        match self.mode {
            Mode::Pae => Some(Gpa(self.cr3 & 0xffff_ffe0)),
            _ => None,
        }
    }

    /// True if the tables can translate the address: always below long mode, where it has 32 bits.
    #[inline]
    pub const fn is_canonical(&self, linear: u64) -> bool {
        ((linear << self.unused_bits) as i64 >> self.unused_bits) as u64 == linear
    }

    /// The address as the CPU's adder leaves it: 32 bits outside long mode.
    #[inline]
    pub const fn wrap(&self, linear: Gva) -> Gva {
        match self.mode {
            Mode::Long { .. } => linear,
            _ => Gva(linear.0 & 0xffff_ffff),
        }
    }

    #[cold]
    fn fault(&self, gva: Gva, access: Access, found: u32) -> PageFault {
        let mut error_code = found;
        if access.kind == AccessKind::Write {
            error_code |= 1 << 1;
        }
        if access.privilege == Privilege::User {
            error_code |= 1 << 2;
        }
        let tells_fetches = self.cr4.contains(Cr4::SMEP)
            || self.cr4.contains(Cr4::PAE) && self.efer.contains(Efer::NXE);
        if access.kind == AccessKind::Execute && tells_fetches {
            error_code |= 1 << 4;
        }
        PageFault {
            address: gva,
            error_code,
        }
    }

    #[cold]
    fn broken(&self, gva: Gva, access: Access, broken: Broken) -> PageFault {
        match broken {
            Broken::NotPresent => self.fault(gva, access, 0),
            Broken::Reserved => self.fault(gva, access, 1 | 1 << 3),
        }
    }

    /// SDM vol. 3A, 4.6.1.
    #[inline]
    fn permits(&self, found: &Translation, access: Access) -> bool {
        let user_page = found.is_user();
        let writable = found.is_writable();
        if access.privilege == Privilege::User {
            return user_page
                && match access.kind {
                    AccessKind::Read => true,
                    AccessKind::Write => writable,
                    AccessKind::Execute => found.is_executable(),
                };
        }
        if access.kind == AccessKind::Execute {
            return found.is_executable() && !(user_page && self.cr4.contains(Cr4::SMEP));
        }
        let lifted = access.privilege == Privilege::Supervisor && self.rflags.contains(Rflags::AC);
        if user_page && self.cr4.contains(Cr4::SMAP) && !lifted {
            return false;
        }
        access.kind == AccessKind::Read || writable || !self.cr0.contains(Cr0::WP)
    }

    /// One walk without side effects; `visit` is told each entry that carries an accessed bit.
    #[inline(always)]
    fn walk(
        &self,
        memory: &GuestMemory,
        gva: Gva,
        access: Access,
        visit: impl FnMut(Gpa, u64),
    ) -> Result<Translation, PageFault> {
        let found = match self.mode {
            Mode::Off => return Ok(Translation::unpaged(gva)),
            Mode::Long { levels } => self.descend(memory, gva, self.cr3 & ADDRESS, levels, visit),
            Mode::Pae | Mode::Bits32 => self.walk_legacy(memory, gva, visit),
        };
        match found {
            Ok(found) if self.permits(&found, access) => Ok(found),
            Ok(_) => Err(self.fault(gva, access, 1)),
            Err(broken) => Err(self.broken(gva, access, broken)),
        }
    }

    /// Outside long mode, out of line to keep the rest small.
    #[inline(never)]
    fn walk_legacy(
        &self,
        memory: &GuestMemory,
        gva: Gva,
        visit: impl FnMut(Gpa, u64),
    ) -> Result<Translation, Broken> {
        if self.mode == Mode::Pae {
            let table = self.directory(memory, gva)?;
            self.descend(memory, gva, table, 2, visit)
        } else {
            self.descend_32(memory, gva, visit)
        }
    }

    /// Levels with 8-byte entries, `levels` of them, the first being `table`.
    #[inline(always)]
    fn descend(
        &self,
        memory: &GuestMemory,
        gva: Gva,
        mut table: u64,
        levels: u8,
        mut visit: impl FnMut(Gpa, u64),
    ) -> Result<Translation, Broken> {
        let mut shift = 12 + 9 * u32::from(levels);
        let mut all = u64::MAX;
        let mut any = 0;
        loop {
            shift -= 9;
            // The index, times eight.
            let at = Gpa(table | gva.0 >> (shift - 3) & 0xff8);
            // A table outside RAM reads as an open bus.
            let entry = memory.load::<u64>(at).unwrap_or(u64::MAX);
            if entry & (self.reserved | PRESENT) != PRESENT {
                return Err(Broken::of(entry));
            }
            all &= entry;
            any |= entry;
            visit(at, entry);
            if shift > 12 && entry & LARGE == 0 {
                table = entry & ADDRESS;
                continue;
            }
            let rights =
                all & (WRITABLE | USER | ACCESSED) | entry & (DIRTY | GLOBAL) | any & NO_EXECUTE;
            if shift == 12 {
                return Ok(Translation {
                    gpa: Gpa(entry & ADDRESS | gva.page_offset()),
                    size: PageSize::Kib4,
                    rights,
                });
            }
            return large_page(entry, gva, shift, rights);
        }
    }

    /// The page directory that a PAE guest's pointer table names.
    #[inline]
    fn directory(&self, memory: &GuestMemory, gva: Gva) -> Result<u64, Broken> {
        let at = Gpa((self.cr3 & 0xffff_ffe0) + ((gva.0 >> 30) & 3) * 8);
        let entry = memory.load::<u64>(at).unwrap_or(u64::MAX);
        if entry & (self.reserved | PDPTE_RESERVED | PRESENT) == PRESENT {
            Ok(entry & ADDRESS)
        } else {
            Err(Broken::of(entry))
        }
    }

    /// Two levels with 4-byte entries (SDM vol. 3A, 4.3).
    #[inline]
    fn descend_32(
        &self,
        memory: &GuestMemory,
        gva: Gva,
        mut visit: impl FnMut(Gpa, u64),
    ) -> Result<Translation, Broken> {
        let at = Gpa((self.cr3 & 0xffff_f000) + ((gva.0 >> 22) & 1023) * 4);
        let upper = u64::from(memory.load::<u32>(at).unwrap_or(u32::MAX));
        if upper & PRESENT == 0 {
            return Err(Broken::NotPresent);
        }
        visit(at, upper);
        if upper & LARGE != 0 && self.cr4.contains(Cr4::PSE) {
            // PSE-36: bits 20:13 are address bits 39:32.
            let base = upper & 0xffc0_0000 | (upper & 0x1f_e000) << 19;
            if upper & (1 << 21) != 0 || base & self.reserved != 0 {
                return Err(Broken::Reserved);
            }
            return Ok(Translation {
                gpa: Gpa(base | gva.0 & 0x3f_ffff),
                size: PageSize::Mib4,
                rights: upper & RIGHTS_32,
            });
        }
        let at = Gpa((upper & 0xffff_f000) + ((gva.0 >> 12) & 1023) * 4);
        let entry = u64::from(memory.load::<u32>(at).unwrap_or(u32::MAX));
        if entry & PRESENT == 0 {
            return Err(Broken::NotPresent);
        }
        visit(at, entry);
        Ok(Translation {
            gpa: Gpa(entry & 0xffff_f000 | gva.0 & 0xfff),
            size: PageSize::Kib4,
            rights: (upper | DIRTY | GLOBAL) & entry & RIGHTS_32,
        })
    }

    /// Walks again and marks the entries used, each only if it still is what the walk read.
    #[cold]
    fn mark(
        &self,
        memory: &GuestMemory,
        gva: Gva,
        access: Access,
    ) -> Result<Translation, PageFault> {
        for _ in 0..ATTEMPTS {
            let mut used = [(Gpa(0), 0); 5];
            let mut count = 0;
            let found = self.walk(memory, gva, access, |at, entry| {
                if let Some(slot) = used.get_mut(count) {
                    *slot = (at, entry);
                    count += 1;
                }
            })?;
            let unchanged = used.iter().take(count).enumerate().all(|(index, entry)| {
                let is_last = index + 1 == count;
                let marks = match access.kind {
                    AccessKind::Write if is_last => ACCESSED | DIRTY,
                    _ => ACCESSED,
                };
                self.mark_entry(memory, *entry, marks)
            });
            if unchanged {
                return Ok(found);
            }
        }
        // A guest that rewrites the entry all the time gets what a stale TLB entry would give it: a spurious fault.
        Err(self.fault(gva, access, 1))
    }

    fn mark_entry(&self, memory: &GuestMemory, (at, entry): (Gpa, u64), marks: u64) -> bool {
        let marked = entry | marks;
        if marked == entry {
            return true;
        }
        match self.mode {
            Mode::Bits32 => memory
                .set_marks_u32(at, entry as u32, marked as u32)
                .is_ok_and(|found| found.is_ok()),
            _ => memory
                .set_marks_u64(at, entry, marked)
                .is_ok_and(|found| found.is_ok()),
        }
    }
}

/// Why the descent ended.
#[derive(Clone, Copy)]
enum Broken {
    NotPresent,
    Reserved,
}

impl Broken {
    /// By an entry that is not as it should be.
    #[cold]
    fn of(entry: u64) -> Self {
        if entry & PRESENT == 0 {
            Self::NotPresent
        } else {
            Self::Reserved
        }
    }
}

/// The end of a descent above the last level.
#[inline]
fn large_page(entry: u64, gva: Gva, shift: u32, rights: u64) -> Result<Translation, Broken> {
    let size = match shift {
        21 => PageSize::Mib2,
        30 => PageSize::Gib1,
        _ => return Err(Broken::Reserved),
    };
    let offset = size.bytes() - 1;
    // Below the base of a large page only bit 12, PAT, may be set.
    if entry & ADDRESS & offset & !0x1fff != 0 {
        return Err(Broken::Reserved);
    }
    Ok(Translation {
        gpa: Gpa(entry & ADDRESS & !offset | gva.0 & offset),
        size,
        rights,
    })
}

/// Translates one linear address and marks what it used, as the CPU would.
///
/// The address is taken as it is: canonical and segment checks come before. Costs about 20 instructions a level when
/// the accessed and dirty bits are already set.
#[inline]
pub fn translate(
    paging: &Paging,
    memory: &GuestMemory,
    gva: Gva,
    access: Access,
) -> Result<Translation, PageFault> {
    let found = paging.walk(memory, gva, access, |_, _| ())?;
    if found.lacks_marks(access.kind) {
        return paging.mark(memory, gva, access);
    }
    Ok(found)
}

/// As [`translate`], but marks nothing: for prompts, reports and dumps.
pub fn peek(
    paging: &Paging,
    memory: &GuestMemory,
    gva: Gva,
    access: Access,
) -> Result<Translation, PageFault> {
    paging.walk(memory, gva, access, |_, _| ())
}

mod fetch_cache;
#[cfg(test)]
mod tests;
mod trace;
mod witness;

pub use fetch_cache::FetchCache;
pub use trace::{Directories, Tables, Trace};
pub(crate) use witness::Witness;
