//! Which pages of guest RAM were written, and by whom: the guest's CPU, or the hypervisor for it.
//!
//! A [`Tracker`] is used on the vCPU's CPU, while the vCPU stands still. From [`Tracker::start`] on, each [`Tracker::collect`] tells
//! every page that was written since the one before it, or since the start, and no page is lost: what it tells may be read right away,
//! and what is written to it later is told next time. It may tell a page that was only looked at (CPUs treat their own walks of the
//! guest's page tables as writes), and tells larger pieces where no memory is left for tables of 4 KiB pages.
//! `docs/decisions/0019-dirty-tracking.md` says why there are three means, and how they are chosen.

use super::memory::NestedTables;
use crate::time;
use alloc::boxed::Box;
use alloc::vec::Vec;
use ept_npt::{Piece, WriteFault};
use guest_mem::{Attributes, DirtyLog, Gpa, GuestMemory, PAGE_BYTES};
use hvm::capability::{Features, Options};
use hvm::vcpu::{ModificationLog, Vcpu};

/// How writes of the guest's CPU are noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// The CPU lists the pages.
    ModificationLog,
    /// The CPU sets dirty bits; all are looked through.
    DirtyBits,
    /// The first write to each page faults.
    WriteProtection,
}

impl Means {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ModificationLog => "page-modification log",
            Self::DirtyBits => "dirty bits",
            Self::WriteProtection => "write protection",
        }
    }
}

/// The unit in which the guest's writes are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// Pages of 4 KiB.
    Page,
    /// Whatever the nested tables use: there was no memory to split it.
    Leaf,
}

/// What tracking asks of a vCPU, as [`Vcpu`] has it.
pub trait Watched {
    /// [`Vcpu::set_modification_log`].
    fn set_modification_log(&mut self, state: ModificationLog) -> bool;
    /// [`Vcpu::drain_modified`].
    fn drain_modified(&mut self, to: &mut dyn FnMut(Gpa));
    /// [`Vcpu::flush_tlb`].
    fn flush_tlb(&mut self);
}

impl<V: Vcpu> Watched for V {
    fn set_modification_log(&mut self, state: ModificationLog) -> bool {
        Vcpu::set_modification_log(self, state)
    }

    fn drain_modified(&mut self, to: &mut dyn FnMut(Gpa)) {
        Vcpu::drain_modified(self, to);
    }

    fn flush_tlb(&mut self) {
        Vcpu::flush_tlb(self);
    }
}

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// The guest's CPU.
    Guest,
    /// The hypervisor: its devices, its firmware services, its emulator.
    Hypervisor,
}

/// There is no memory for the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfMemory;

/// What is known while writes are tracked.
struct Round {
    means: Means,
    /// What the CPU listed, or faulted at, since the last collection.
    noticed: DirtyLog,
    /// When that was, or tracking started (host's TSC).
    since: u64,
}

/// What a collection was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// How writes were noticed.
    pub means: Means,
    /// How long they were: ticks of the host's TSC.
    pub ticks: u64,
}

/// The nested tables of a guest, and what they tell about writes.
pub struct Tracker {
    tables: Box<dyn NestedTables>,
    dirty_bits: bool,
    round: Option<Round>,
    /// What the tables show of each area of guest memory, and at which of its generations.
    shown: Vec<Attributes>,
    generation: Option<u32>,
}

impl Tracker {
    /// For the guest that runs on `tables`, on a CPU of which `features` may be used.
    pub fn new(tables: Box<dyn NestedTables>, features: &Features) -> Self {
        Self {
            tables,
            dirty_bits: features.options.contains(Options::NESTED_DIRTY_BITS),
            round: None,
            shown: Vec::new(),
            generation: None,
        }
    }

    /// Has the tables show the areas of guest memory as they are switched now. Before each entry into the guest that may come after a
    /// switch. True if they did not; then other vCPUs must flush as well.
    pub fn follow(&mut self, cpu: &mut impl Watched, memory: &GuestMemory) -> bool {
        // Before the look at the areas: what is switched later is seen next time.
        let generation = Some(memory.generation());
        if core::mem::replace(&mut self.generation, generation) == generation {
            return false;
        }
        self.shown.resize(memory.areas().len(), Attributes::DEVICE);
        for (area, shown) in memory.areas().iter().zip(&mut self.shown) {
            let attributes = area.attributes();
            if core::mem::replace(shown, attributes) == attributes {
                continue;
            }
            // Without memory for a table the area stays unmapped: every access exits then, and finds the same.
            let _ = self.tables.show(area);
            if let Some(round) = &self.round {
                for offset in (0..area.bytes).step_by(PAGE_BYTES as usize) {
                    let gpa = area.gpa.wrapping_add(offset);
                    match round.means {
                        Means::WriteProtection => self.tables.protect(gpa),
                        Means::ModificationLog | Means::DirtyBits => self.tables.clean(gpa),
                    };
                    // Other memory shows there now, which is as good as a write.
                    if let Some(log) = memory.dirty_log() {
                        log.mark(gpa.0 / PAGE_BYTES);
                    }
                }
            }
        }
        cpu.flush_tlb();
        true
    }

    /// The tables, to map and unmap single pages.
    pub fn tables(&mut self) -> &mut dyn NestedTables {
        &mut *self.tables
    }

    /// Starts tracking, or starts it anew: nothing counts as written.
    pub fn start(
        &mut self,
        cpu: &mut impl Watched,
        memory: &GuestMemory,
    ) -> Result<(Means, Grain), OutOfMemory> {
        self.stop(cpu);
        let noticed = DirtyLog::new(memory.end().0).ok_or(OutOfMemory)?;
        memory.dirty_log().ok_or(OutOfMemory)?.take(&mut |_| ());
        let grain = match self.tables.split() {
            Ok(()) => Grain::Page,
            Err(_) => Grain::Leaf,
        };
        let means = if cpu.set_modification_log(ModificationLog::On) {
            Means::ModificationLog
        } else if self.dirty_bits {
            Means::DirtyBits
        } else {
            Means::WriteProtection
        };
        match means {
            Means::ModificationLog | Means::DirtyBits => self.tables.clean_all(&mut |_| ()),
            Means::WriteProtection => self.tables.protect_all(),
        }
        cpu.flush_tlb();
        self.round = Some(Round {
            means,
            noticed,
            since: time::tsc(),
        });
        Ok((means, grain))
    }

    /// Tells what was written, and by whom; `None` if nothing is tracked. A piece may be told for both writers.
    pub fn collect(
        &mut self,
        cpu: &mut impl Watched,
        memory: &GuestMemory,
        told: &mut dyn FnMut(Writer, Piece),
    ) -> Option<Span> {
        self.drain(cpu);
        let round = self.round.as_mut()?;
        let tables = &mut self.tables;
        match round.means {
            Means::ModificationLog => round.noticed.take(&mut |page| {
                let piece = tables.clean(Gpa(page * PAGE_BYTES));
                piece
                    .into_iter()
                    .for_each(|piece| told(Writer::Guest, piece));
            }),
            Means::DirtyBits => tables.clean_all(&mut |piece| told(Writer::Guest, piece)),
            Means::WriteProtection => round.noticed.take(&mut |page| {
                let piece = tables.protect(Gpa(page * PAGE_BYTES));
                piece
                    .into_iter()
                    .for_each(|piece| told(Writer::Guest, piece));
            }),
        }
        cpu.flush_tlb();
        if let Some(log) = memory.dirty_log() {
            log.take(&mut |page| {
                let gpa = Gpa(page * PAGE_BYTES);
                let bytes = PAGE_BYTES;
                told(Writer::Hypervisor, Piece { gpa, bytes });
            });
        }
        let now = time::tsc();
        let ticks = now.wrapping_sub(core::mem::replace(&mut round.since, now));
        let means = round.means;
        Some(Span { means, ticks })
    }

    /// Ends tracking; the tables are as large pages as before. False if nothing was tracked.
    pub fn stop(&mut self, cpu: &mut impl Watched) -> bool {
        let Some(_) = self.round.take() else {
            return false;
        };
        cpu.set_modification_log(ModificationLog::Off);
        self.tables.join();
        cpu.flush_tlb();
        true
    }

    /// Takes the CPU's list, which makes room in it.
    pub fn drain(&mut self, cpu: &mut impl Watched) {
        if let Some(round) = &self.round {
            cpu.drain_modified(&mut |gpa| round.noticed.mark(gpa.0 / PAGE_BYTES));
        }
    }

    /// True if the CPUs list the pages that they modify.
    pub fn lists(&self) -> bool {
        self.round
            .as_ref()
            .is_some_and(|round| round.means == Means::ModificationLog)
    }

    /// True if a write fault may be due to tracking.
    pub fn protects(&self) -> bool {
        self.round
            .as_ref()
            .is_some_and(|round| round.means == Means::WriteProtection)
    }

    /// The guest's CPU faulted at a write; true if that was due to tracking, and the guest may try again.
    #[cold]
    pub fn write_fault(&mut self, cpu: &mut impl Watched, gpa: Gpa) -> bool {
        let Some(round) = &self.round else {
            return false;
        };
        match self.tables.admit(gpa) {
            WriteFault::First(piece) => {
                round.noticed.mark(piece.gpa.0 / PAGE_BYTES);
                true
            }
            WriteFault::Stale => {
                cpu.flush_tlb();
                true
            }
            WriteFault::Refused => false,
        }
    }
}

#[cfg(test)]
mod tests;
