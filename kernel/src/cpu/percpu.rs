//! Data of one CPU, found through the GS base.
//!
//! GS belongs to the kernel at all times: after running a guest, whoever let the guest's GS base in (VMLOAD, WRMSR) puts the
//! host's back before it enables interrupts or calls anything here.

use super::descriptors::Tables;
use super::events::Pending;
use super::interrupts;
use crate::mem::stack::StackTops;
use alloc::boxed::Box;
use core::arch::asm;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use core::{cell::UnsafeCell, ptr};
use x86::msr::{IA32_GS_BASE, wrmsr};

/// How many CPUs are used at most; further ones stay off.
pub const MAX_CPUS: usize = 256;

/// What belongs to one CPU.
#[repr(C)]
pub struct PerCpu {
    this: AtomicPtr<PerCpu>,
    index: AtomicU32,
    apic_id: AtomicU32,
    pub(super) pending: Pending,
    interrupts: AtomicU64,
    tables: Tables,
    tops: UnsafeCell<StackTops>,
}

// SAFETY: everything but `tops` is atomic or `Sync`; `tops` is written before the record is published, never after.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    const fn new(tops: StackTops) -> Self {
        Self {
            this: AtomicPtr::new(ptr::null_mut()),
            index: AtomicU32::new(0),
            apic_id: AtomicU32::new(0),
            pending: Pending::new(),
            interrupts: AtomicU64::new(0),
            tables: Tables::new(),
            tops: UnsafeCell::new(tops),
        }
    }

    /// 0 for the boot CPU; the others count up without gaps.
    #[inline]
    pub fn index(&self) -> usize {
        self.index.load(Ordering::Relaxed) as usize
    }

    /// Its local APIC's id.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed)
    }

    /// How many interrupts it has handled.
    pub fn interrupt_count(&self) -> u64 {
        self.interrupts.load(Ordering::Relaxed)
    }

    pub(crate) fn count_interrupt(&self) {
        // Only this CPU writes it, so no locked addition is needed.
        self.interrupts
            .store(self.interrupt_count() + 1, Ordering::Relaxed);
    }

    pub(crate) fn set_apic_id(&self, id: u32) {
        self.apic_id.store(id, Ordering::Relaxed);
    }

    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Tops of its stacks.
    pub fn stacks(&self) -> StackTops {
        // SAFETY: not written once the record is published.
        unsafe { *self.tops.get() }
    }
}

static BOOT_CPU: PerCpu = PerCpu::new(StackTops {
    main: 0,
    double_fault: 0,
    nmi: 0,
    machine_check: 0,
});
static CPUS: [AtomicPtr<PerCpu>; MAX_CPUS] = [const { AtomicPtr::new(ptr::null_mut()) }; MAX_CPUS];
static COUNT: AtomicU32 = AtomicU32::new(0);

/// The CPU that runs this. Interrupts may be on: code never moves between CPUs.
#[inline]
pub fn current() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: GS points to this CPU's record from `install` on, which is the first thing that runs on a CPU; the record's
    // first field is its own address, and records live for ever.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, readonly));
        &*this
    }
}

/// As [`current`], for reports that may come from before or beyond the order of things.
pub fn try_current() -> Option<&'static PerCpu> {
    // SAFETY: reading the MSR has no effect.
    let base = unsafe { x86::msr::rdmsr(IA32_GS_BASE) };
    all().find(|cpu| ptr::from_ref(*cpu).addr() as u64 == base)
}

/// Index of the CPU that runs this.
#[inline]
pub fn index() -> usize {
    current().index()
}

/// How many CPUs run.
pub fn count() -> usize {
    COUNT.load(Ordering::Acquire) as usize
}

/// A CPU by index.
pub fn get(index: usize) -> Option<&'static PerCpu> {
    let pointer = CPUS.get(index)?.load(Ordering::Acquire);
    // SAFETY: a published record lives for ever.
    unsafe { pointer.as_ref() }
}

/// All running CPUs.
pub fn all() -> impl Iterator<Item = &'static PerCpu> {
    (0..count()).filter_map(get)
}

/// Makes the boot CPU's record and uses it.
pub(super) fn claim_boot_cpu(tops: StackTops) {
    // SAFETY: nobody knows the record yet.
    unsafe { *BOOT_CPU.tops.get() = tops };
    publish(&BOOT_CPU, 0);
    install(&BOOT_CPU);
}

/// Makes the record of a CPU that is about to be started.
pub(crate) fn prepare(index: usize, apic_id: u32, tops: StackTops) -> &'static PerCpu {
    let cpu = Box::leak(Box::new(PerCpu::new(tops)));
    cpu.index.store(index as u32, Ordering::Relaxed);
    cpu.set_apic_id(apic_id);
    cpu
}

/// Makes a record findable by index. In order of index.
pub(crate) fn publish(cpu: &'static PerCpu, index: usize) {
    cpu.index.store(index as u32, Ordering::Relaxed);
    CPUS[index].store(ptr::from_ref(cpu).cast_mut(), Ordering::Release);
    COUNT.store(index as u32 + 1, Ordering::Release);
}

/// Loads descriptor tables and the GS base of `cpu` on the CPU that runs this, interrupts being off.
pub(super) fn install(cpu: &'static PerCpu) {
    debug_assert!(!interrupts::enabled());
    cpu.this
        .store(ptr::from_ref(cpu).cast_mut(), Ordering::Relaxed);
    super::load_tables(cpu, &cpu.stacks());
    // SAFETY: the record lives for ever; the kernel uses GS for nothing else.
    unsafe { wrmsr(IA32_GS_BASE, ptr::from_ref(cpu).addr() as u64) };
}
