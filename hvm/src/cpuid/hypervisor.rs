//! The leaves from 4000_0000h on: one interface every 100h, each with its signature and its last leaf.

use super::{Kvm, Leaf, Policy, Tsc};
use crate::hyperv::{self, Enlightenments};
use crate::{pv_eoi, pvclock};
use alloc::vec;
use alloc::vec::Vec;

/// The first interface.
pub const BASE: u32 = 0x4000_0000;
/// From one to the next.
const STRIDE: u32 = 0x100;
/// A guest finds rates here, in kHz, whatever else there is: VMware's convention, which KVM follows.
const TIMING_LEAF: u32 = 0x10;

/// The rates that a guest need not measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Of its time-stamp counter.
    pub tsc_khz: u32,
    /// Of the input of its local APIC's timer.
    pub apic_khz: u32,
}

/// The interfaces in their order.
#[derive(Clone, Debug)]
pub(super) struct Interfaces(Vec<Vec<Leaf>>);

impl Interfaces {
    /// Hyper-V's, if any of it is offered; KVM's; then our own. Guests that know several take the one that they like best, wherever it is:
    /// Windows looks for Hyper-V's at the first place only, Linux takes the highest that it knows.
    pub(super) fn new(policy: Policy) -> Self {
        let mut all: Vec<Vec<Leaf>> = Vec::new();
        let mut add =
            |make: &dyn Fn(u32) -> Vec<Leaf>| all.push(make(BASE + STRIDE * all.len() as u32));
        if !policy.hyperv.is_empty() {
            add(&|base| hyper_v(base, policy.hyperv));
        }
        if policy.kvm == Kvm::Shown {
            add(&|base| kvm(base, policy.timing, policy.tsc));
        }
        add(&own);
        Self(all)
    }

    /// The answer, if an interface has that leaf.
    pub(super) fn get(&self, leaf: u32) -> Option<&Leaf> {
        let index = leaf.checked_sub(BASE)?;
        let interface = self.0.get((index / STRIDE) as usize)?;
        interface.get((index % STRIDE) as usize)
    }
}

fn hyper_v(base: u32, offered: Enlightenments) -> Vec<Leaf> {
    let mut leaves = hyperv::leaves(offered);
    let last = base + leaves.len() as u32;
    leaves.insert(0, identity(last, hyperv::SIGNATURE));
    leaves
}

/// KVM's identity, clock and end of interrupt (Linux, Documentation/virt/kvm/x86/cpuid.rst).
fn kvm(base: u32, timing: Timing, tsc: Tsc) -> Vec<Leaf> {
    let stable = match tsc {
        Tsc::Invariant => pvclock::STABLE_FEATURE,
        Tsc::Unpromised => 0,
    };
    let mut leaves = vec![[0; 4]; TIMING_LEAF as usize + 1];
    leaves[0] = identity(base + TIMING_LEAF, *b"KVMKVMKVM\0\0\0");
    leaves[1] = [pvclock::FEATURES | pv_eoi::FEATURE | stable, 0, 0, 0];
    leaves[TIMING_LEAF as usize] = [timing.tsc_khz, timing.apic_khz, 0, 0];
    leaves
}

/// Ours: the version of what we tell of ourselves.
fn own(base: u32) -> Vec<Leaf> {
    vec![identity(base + 1, *b"Monovisor\0\0\0"), [1, 0, 0, 0]]
}

fn identity(last: u32, signature: [u8; 12]) -> Leaf {
    let word = |at: usize| {
        u32::from_le_bytes([
            signature[at],
            signature[at + 1],
            signature[at + 2],
            signature[at + 3],
        ])
    };
    [last, word(0), word(4), word(8)]
}
