//! The shadow beside an independent walker: a random stream of changes to the guest's tables, flushes, changes of mode and accesses, by
//! one vCPU and by several, each with a TLB. `SHADOW_STEPS` makes it longer, `SHADOW_SEED` another.

mod machine;
mod oracle;
mod random;
mod world;

use super::*;
use crate::memory_type::MemoryType;
use guest_mem::Gva;
use hvm::regs::{Cr0, Cr4, Efer, Rflags, State};
use hvm::walk::{Access, AccessKind, Privilege};
use machine::Machine;
use oracle::{Answer, Query};
use random::Random;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::vec::Vec;
use world::*;

const PHYSICAL_BITS: u8 = 40;
const RAM: u64 = 8 << 20;
const RAM_AT: u64 = 0x4000_0000;
/// Read-only, or not there at all.
const ROM: u64 = 12 << 20;
/// Pages that random entries name as tables.
const TABLES: u64 = 20;
const STORE_AT: u64 = 0x7_0000_0000;

#[derive(Clone, Copy, Debug, Default)]
struct Registers {
    cr3: u64,
    directories: [u64; 4],
    paged: bool,
    long: bool,
    pae: bool,
    pse: bool,
    nxe: bool,
    wp: bool,
    smep: bool,
    smap: bool,
    ac: bool,
}

impl Registers {
    fn state(&self) -> State {
        let mut state = State::reset();
        let on = |wanted: bool, bit: u64| if wanted { bit } else { 0 };
        state.cr0 = 1 | on(self.paged, Cr0::PG.bits()) | on(self.wp, Cr0::WP.bits());
        state.cr3 = self.cr3;
        state.cr4 = on(self.pae, Cr4::PAE.bits())
            | on(self.pse, Cr4::PSE.bits())
            | on(self.smep, Cr4::SMEP.bits())
            | on(self.smap, Cr4::SMAP.bits());
        state.efer = on(self.nxe, Efer::NXE.bits()) | on(self.long, (Efer::LME | Efer::LMA).bits());
        state.rflags = 2 | on(self.ac, Rflags::AC.bits());
        state
    }

    fn paging(&self) -> Paging {
        Paging::of(&self.state(), PHYSICAL_BITS)
    }
}

fn number(name: &str, default: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn run(vcpus: usize, tables: u32) -> Counters {
    let seed = number("SHADOW_SEED", 20_261_129);
    let steps = number("SHADOW_STEPS", 60_000);
    std::println!("seed {seed}, {steps} steps, {vcpus} vCPUs, {tables} tables");
    let mut all = Counters::default();
    // Worlds begin anew, or all entries would be what they have been for long.
    for world in 0..steps.div_ceil(3_000) {
        let seed = (seed + world).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut machine = Machine::new(seed, vcpus, tables);
        for _ in 0..steps.min(3_000) {
            machine.step();
        }
        let counters = machine.shadow.counters();
        all.fills += counters.fills;
        all.table_writes += counters.table_writes;
        all.protections += counters.protections;
        all.evictions += counters.evictions;
        all.peak_tables = all.peak_tables.max(counters.peak_tables);
    }
    std::println!("{all:?}");
    all
}

#[test]
fn one_vcpu_sees_what_the_walker_sees() {
    let counters = run(1, 400);
    assert!(counters.protections > 100 && counters.table_writes > 100);
}

#[test]
fn several_vcpus_see_what_the_walker_sees() {
    run(3, 400);
}

#[test]
fn so_they_do_when_tables_are_scarce() {
    let counters = run(3, 36);
    assert!(counters.evictions > 1000);
    assert!(counters.peak_tables <= 36);
}
