//! The other CPUs: started at boot, parked until they are given a role.
//!
//! A parked CPU idles with interrupts on and handles kicks and device interrupts. A role is a function that runs on it with
//! interrupts on; when it returns, the CPU parks again.

mod role;
mod start;
mod trampoline;

pub use role::{NotFree, on_every_cpu, run_on};
pub(crate) use start::start_all;

use crate::apic::{local, vector};
use crate::cpu::percpu;

/// Interrupts another CPU: [`crate::cpu::Events::KICK`] is raised there, it leaves HLT, and a guest that runs there exits.
/// An index without a CPU is ignored.
#[inline]
pub fn kick(cpu_index: usize) {
    if let Some(cpu) = percpu::get(cpu_index) {
        local::send(cpu.apic_id(), vector::KICK);
    }
}
