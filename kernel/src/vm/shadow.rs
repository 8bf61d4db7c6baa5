//! Shadow paging: memory for its tables, and what the vCPUs' exits have to do with them ([`ept_npt::shadow`] has the rules).

use super::machine::Machine;
use super::processor::{Next, Processor};
use crate::info;
use crate::mem::{PAGE_BYTES, frames, phys_to_virt};
use crate::service::control::{CONTROL, count};
use alloc::format;
use alloc::string::{String, ToString};
use appliance::config::{Config, Paging as Wanted};
use core::sync::atomic::Ordering;
use ept_npt::Mapping;
use ept_npt::shadow::{Budget, Host, Root, Shadow, Slot, Store, Verdict};
use guest_mem::{Gpa, GuestMemory, Gva, Hpa};
use hvm::capability::{Features, NestedPaging, Options};
use hvm::emulate::Hint;
use hvm::exit;
use hvm::regs::{Cr4, Registers, Rflags};
use hvm::vcpu::{ShadowRoot, Vcpu};
use hvm::walk::{Access, AccessKind, Paging, Privilege};
use spin::Mutex;

/// CR3 has 32 bits outside long mode.
const LEGACY_LIMIT: u64 = 1 << 32;
/// Four pointers for each vCPU.
const POINTERS_BYTES: u64 = 32;

/// Bits of a page fault's error code (SDM vol. 3A, 4.7).
const PRESENT: u32 = 1;
const WRITE: u32 = 1 << 1;
const USER: u32 = 1 << 2;
const FETCH: u32 = 1 << 4;

/// The features that a guest with this configuration is to use: without nested paging if it is to have shadow paging. The error is for
/// people.
pub fn choose(features: &Features, config: &Config) -> Result<Features, String> {
    let mut chosen = *features;
    match (config.paging, features.nested_paging) {
        (Wanted::Nested, NestedPaging::Absent) => Err(
            "monovisor.toml: `paging = \"nested\"`: this CPU has no nested paging; leave the key out, and the guest gets shadow paging"
                .into(),
        ),
        (Wanted::Shadow, _) | (_, NestedPaging::Absent) => {
            chosen.nested_paging = NestedPaging::Absent;
            chosen.options -= Options::NESTED_DIRTY_BITS;
            Ok(chosen)
        }
        (Wanted::Auto | Wanted::Nested, _) => Ok(chosen),
    }
}

/// Why it is so, for people.
const fn reason(config: &Config) -> &'static str {
    match config.paging {
        Wanted::Shadow => "because `paging = \"shadow\"`",
        Wanted::Auto | Wanted::Nested => "because this CPU has no nested paging",
    }
}

/// Consecutive pages of host memory, for good.
struct Pages {
    base: Hpa,
    entries: u32,
}

impl Pages {
    fn entry(&self, slot: Slot) -> *mut u64 {
        let slot = slot.min(self.entries - 1) as usize;
        // SAFETY: the entry lies in the pages.
        unsafe { phys_to_virt(self.base).cast::<u64>().add(slot) }
    }
}

impl Store for Pages {
    fn base(&self) -> Hpa {
        self.base
    }

    #[inline]
    fn read(&self, slot: Slot) -> u64 {
        // SAFETY: the pages were taken from the frame allocator for good; besides us only the CPU's walks touch them, which set
        // bits in entries, and a volatile access tolerates that.
        unsafe { self.entry(slot).read_volatile() }
    }

    #[inline]
    fn write(&mut self, slot: Slot, entry: u64) {
        // SAFETY: as in `read`; the entry is stored whole.
        unsafe { self.entry(slot).write_volatile(entry) }
    }
}

/// The shadow of a guest's tables, as all vCPUs share it.
pub struct ShadowPaging {
    tables: Mutex<Shadow<Pages>>,
    /// The pointers that CPUs in PAE mode start from.
    pointers: Hpa,
}

/// The machine around the shadow, for a vCPU that holds its lock.
struct Around {
    machine: &'static Machine,
    index: usize,
}

impl Host for Around {
    fn memory(&self) -> &GuestMemory {
        &self.machine.memory
    }

    fn translate(&mut self, gpa: Gpa) -> Option<Mapping> {
        self.machine.tracker.lock().tables().translate(gpa)
    }

    fn flush_others(&mut self) {
        self.machine.flush_others(self.index);
    }
}

impl ShadowPaging {
    /// Takes memory for the tables of a guest: as much as the configuration says, or the least. The error is for people.
    pub fn build(config: &Config, memory: &GuestMemory) -> Result<Self, String> {
        let vcpus = config.vcpus as usize;
        let physical_bits = hvm::cpuid::physical_bits(&super::host::cpuid);
        let memory_mib = memory.bytes() >> 20;
        let least_mib = Budget::least_mib(memory_mib, vcpus);
        let budget_mib = config.shadow_memory_mib.unwrap_or(least_mib);
        let budget = Budget::divide(budget_mib, memory, vcpus).ok_or_else(|| {
            format!(
                "monovisor.toml: `shadow_memory = {budget_mib}`: shadow paging of {memory_mib} MiB and {vcpus} vCPU{} needs at least {least_mib}",
                if vcpus == 1 { "" } else { "s" }
            )
        })?;
        let no_memory = || format!("no host memory left for {budget_mib} MiB of shadow tables");
        memory.table_log().ok_or_else(no_memory)?;
        CONTROL
            .shadow_tables
            .room
            .store(budget.tables(), Ordering::Relaxed);
        let pages = frames::alloc_zeroed(u64::from(budget.tables()) * PAGE_BYTES);
        let store = Pages {
            base: Hpa(pages.ok_or_else(no_memory)?.base),
            entries: budget.tables() * 512,
        };
        let pointers = frames::alloc_below(vcpus as u64 * POINTERS_BYTES, PAGE_BYTES, LEGACY_LIMIT);
        info!(
            "monovisor: shadow paging, {}, with {budget_mib} MiB for tables",
            reason(config)
        );
        Ok(Self {
            tables: Mutex::new(Shadow::new(store, &budget, memory, vcpus, physical_bits)),
            pointers: Hpa(pointers.ok_or_else(no_memory)?.base),
        })
    }

    /// What is left for the guest of so many MiB, if that is to be all that it can have.
    pub fn leaves_mib(available_mib: u64, config: &Config) -> u64 {
        let least_mib = Budget::least_mib(available_mib, config.vcpus as usize);
        let taken_mib = config.shadow_memory_mib.unwrap_or(least_mib);
        available_mib.saturating_sub(taken_mib.next_multiple_of(2))
    }

    /// What the CPU is to walk for vCPU `index`.
    fn activate(&self, around: &mut Around, paging: &Paging) -> ShadowRoot {
        let mut tables = self.tables.lock();
        let root = tables.activate(around.index, paging, around);
        let told = &CONTROL.shadow_tables;
        told.used.store(tables.tables_in_use(), Ordering::Relaxed);
        let peak = tables.counters().peak_tables;
        told.peak.store(peak, Ordering::Relaxed);
        drop(tables);
        match root {
            Root::Long(table) => ShadowRoot::Long(table),
            Root::Pae(pointers) => {
                let at = self
                    .pointers
                    .wrapping_add(around.index as u64 * POINTERS_BYTES);
                // SAFETY: the vCPU's place in memory that was taken for all of them for good; its CPU, which reads it at entries,
                // executes this.
                unsafe {
                    phys_to_virt(at).cast::<[u64; 4]>().write_volatile(pointers);
                }
                ShadowRoot::Pae(at)
            }
        }
    }
}

impl Machine {
    /// INVLPG by vCPU `index`.
    #[cold]
    pub fn invalidate_page(&'static self, index: usize, gva: Gva) {
        if let Some(shadow) = &self.shadow {
            let mut around = Around {
                machine: self,
                index,
            };
            shadow.tables.lock().invalidate(gva, &mut around);
        }
    }

    /// What is behind guest-physical addresses has changed to less, or to something else, by vCPU `index`, which flushes its own TLB.
    #[cold]
    pub fn clear_shadow(&'static self, index: usize) {
        if let Some(shadow) = &self.shadow {
            let mut around = Around {
                machine: self,
                index,
            };
            shadow.tables.lock().clear(&mut around);
        }
    }
}

impl<V: Vcpu> Processor<V> {
    /// Where the registers that decide on paging are new, so is what the CPU walks.
    #[cold]
    pub(super) fn follow_paging(&mut self) {
        let machine = self.machine();
        if let Some(shadow) = &machine.shadow
            && self.cpu.needs_shadow_root()
        {
            let paging = self.paging();
            let index = self.index();
            let root = shadow.activate(&mut Around { machine, index }, &paging);
            self.cpu.set_shadow_root(root);
        }
    }

    /// INVLPG.
    #[cold]
    pub(super) fn invalidate_page(&mut self) -> Next {
        count(&CONTROL.counters.other);
        let next = self.emulate(Hint::None);
        self.cpu.flush_tlb();
        next
    }

    /// A page fault on shadow tables: the guest's, a device's, or one that only fills them.
    #[cold]
    pub(super) fn page_fault(&mut self, gva: Gva, error_code: u32) -> Next {
        let machine = self.machine();
        let Some(shadow) = &machine.shadow else {
            return self.stop("a page fault exits, and there are no shadow tables".to_string());
        };
        let paging = self.paging();
        let index = self.index();
        let access = access(error_code, self.cpu.cpl(), self.cpu.rflags());
        let mut around = Around { machine, index };
        let mut tables = shadow.tables.lock();
        if may_be_implicit(error_code, &self.cpu) && tables.lets_write(index, gva) {
            drop(tables);
            return self.settle();
        }
        let verdict = tables.fault(index, &paging, gva, access, &mut around);
        let must_flush = tables.must_flush();
        drop(tables);
        if must_flush {
            self.cpu.flush_tlb();
        }
        match verdict {
            Verdict::Again => {
                count(&CONTROL.counters.shadow);
                Next::Enter
            }
            Verdict::Fault(fault) => {
                count(&CONTROL.counters.shadow);
                self.raise(fault.into())
            }
            Verdict::Outside(gpa) => {
                let access = match access.kind {
                    AccessKind::Read => exit::Access::Read,
                    AccessKind::Write => exit::Access::Write,
                    AccessKind::Execute => exit::Access::Fetch,
                };
                self.nested_fault(gpa, access, false)
            }
            Verdict::Emulate => {
                count(&CONTROL.counters.other);
                self.emulate(Hint::None)
            }
        }
    }

    /// The CPU faults at a write that the shadow lets it make: either another vCPU has only now made it so, or it is a write of the CPU's
    /// own. The emulator tells them apart; what it does not cover makes no such writes, and is tried again.
    #[cold]
    fn settle(&mut self) -> Next {
        if self.local.events.is_delivering() {
            return self.take_over();
        }
        count(&CONTROL.counters.other);
        match self.step(Hint::None) {
            Err(_) => Next::Enter,
            step => self.stepped(step),
        }
    }
}

/// Whether a fault may be at a write of the CPU's own to a page of CPL 3, which SMAP forbids though RFLAGS.AC is set; nothing tells it
/// from an instruction's write to what is read-only in the shadow.
fn may_be_implicit(error_code: u32, cpu: &impl Registers) -> bool {
    const TOLD: u32 = PRESENT | WRITE | USER | FETCH;
    error_code & TOLD == PRESENT | WRITE
        && cpu.cpl() != 3
        && cpu.rflags() & Rflags::AC.bits() != 0
        && cpu.cr4() & Cr4::SMAP.bits() != 0
}

/// What the guest did, by the fault's code. The CPU's own accesses, to descriptor tables and the like, are in nobody's name, at CPL 3 too.
/// At lower levels nothing tells them, but for one thing: where RFLAGS.AC lifts SMAP, a read of a page that is there faults only if it is
/// one of them (SDM vol. 3A, 4.6.1).
const fn access(error_code: u32, cpl: u8, rflags: u64) -> Access {
    let is_lifted = rflags & Rflags::AC.bits() != 0;
    let privilege = if error_code & USER != 0 {
        Privilege::User
    } else if cpl == 3 || is_lifted && error_code & (PRESENT | WRITE | FETCH) == PRESENT {
        Privilege::Implicit
    } else {
        Privilege::Supervisor
    };
    if error_code & FETCH != 0 {
        Access::execute(privilege)
    } else if error_code & WRITE != 0 {
        Access::write(privilege)
    } else {
        Access::read(privilege)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::regs::State;

    #[test]
    fn only_writes_past_smap_may_be_the_cpus_own() {
        let mut state = State::reset();
        state.cr4 = Cr4::SMAP.bits();
        state.rflags = Rflags::AC.bits();
        assert!(may_be_implicit(0x3, &state));
        for told in [0x1, 0x2, 0x7, 0x13] {
            assert!(!may_be_implicit(told, &state), "{told:#x}");
        }
        state.rflags = 0;
        assert!(!may_be_implicit(0x3, &state));
        state.rflags = Rflags::AC.bits();
        state.cr4 = 0;
        assert!(!may_be_implicit(0x3, &state));
    }

    #[test]
    fn error_codes_tell_the_access() {
        const AC: u64 = 1 << 18;
        assert_eq!(access(0x6, 3, 0), Access::write(Privilege::User));
        assert_eq!(access(0x15, 3, AC), Access::execute(Privilege::User));
        assert_eq!(access(0x1, 0, 0), Access::read(Privilege::Supervisor));
        assert_eq!(access(0x2, 3, 0), Access::write(Privilege::Implicit));
        assert_eq!(access(0x1, 0, AC), Access::read(Privilege::Implicit));
        assert_eq!(access(0x0, 0, AC), Access::read(Privilege::Supervisor));
        assert_eq!(access(0x3, 0, AC), Access::write(Privilege::Supervisor));
    }
}
