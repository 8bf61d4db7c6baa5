//! Starting CPUs: INIT, SIPI, SIPI. (Intel SDM vol. 3, 9.4.4.1; MultiProcessor Specification 1.4, B.4.)

use super::role;
use super::trampoline::Trampoline;
use crate::apic::local::{self, Mode};
use crate::cpu::{self, MAX_CPUS, PerCpu, percpu};
use crate::mem::paging::{self, OutOfFrames};
use crate::mem::stack;
use crate::{time, warn};
use core::sync::atomic::{AtomicU32, Ordering};

/// From INIT to the first SIPI.
const AFTER_INIT_NS: u64 = 10_000_000;
/// From the first SIPI to the second, if the CPU has not come by then.
const AFTER_SIPI_NS: u64 = 200_000;
/// After the second SIPI the CPU is given up. Far more than any needs; emulated ones may not have run at all yet.
const PATIENCE_NS: u64 = 200_000_000;
/// Ids from here on need x2APIC mode; FFh means everyone.
const XAPIC_IDS: u32 = 0xff;

/// Index of the last CPU that has arrived; 0 is the boot CPU.
static ARRIVED: AtomicU32 = AtomicU32::new(0);

/// Starts every CPU of the list but this one, and gives how many did not come. One that does not come is reported and
/// stays off.
pub(crate) fn start_all(apic_ids: &[u32]) -> usize {
    let own = local::id();
    let others = || apic_ids.iter().copied().filter(|&id| id != own);
    let wanted = others().count();
    if wanted == 0 {
        return 0;
    }
    match start(others) {
        Ok(started) => wanted - started,
        Err(OutOfFrames) => {
            warn!("{wanted} more CPUs stay off: no free memory below 1 MiB to start them from");
            wanted
        }
    }
}

fn start<I: Iterator<Item = u32>>(others: impl Fn() -> I) -> Result<usize, OutOfFrames> {
    let mut trampoline = Trampoline::new()?;
    let usable = || {
        others()
            .filter(|&id| local::mode() == Mode::X2Apic || id < XAPIC_IDS)
            .take(MAX_CPUS - 1)
    };
    usable().for_each(local::send_init);
    time::sleep(AFTER_INIT_NS);
    let mut started = 0;
    for apic_id in usable() {
        match start_one(&mut trampoline, apic_id) {
            Ok(true) => started += 1,
            Ok(false) => warn!("CPU with APIC id {apic_id} did not start; going on without it"),
            Err(OutOfFrames) => {
                warn!("CPU with APIC id {apic_id} stays off: no memory for its stacks")
            }
        }
    }
    trampoline.free();
    Ok(started)
}

fn start_one(trampoline: &mut Trampoline, apic_id: u32) -> Result<bool, OutOfFrames> {
    let index = percpu::count();
    let stacks = stack::alloc_for_cpu()?;
    let record = percpu::prepare(index, apic_id, stacks);
    trampoline.aim(
        arrive,
        core::ptr::from_ref(record).expose_provenance() as u64,
        stacks.main,
    );
    let arrived = || ARRIVED.load(Ordering::Acquire) == index as u32;
    for patience_ns in [AFTER_SIPI_NS, PATIENCE_NS] {
        local::send_startup(apic_id, trampoline.page());
        if time::poll_for(patience_ns, arrived) {
            percpu::publish(record, index);
            return Ok(true);
        }
    }
    // Back to waiting for a start, so that it cannot wake up later with the next CPU's stack.
    local::send_init(apic_id);
    Ok(false)
}

/// Where the trampoline ends: 64-bit mode, own stack, interrupts off.
extern "C" fn arrive(record: u64) -> ! {
    let record: *const PerCpu = core::ptr::with_exposed_provenance(record as usize);
    // SAFETY: the boot CPU made the record for this CPU and leaked it; the kernel's tables map all that runs here.
    unsafe {
        x86::controlregs::cr3_write(paging::root().0);
        cpu::init_started_cpu(&*record);
    }
    local::init_this_cpu();
    time::init_this_cpu();
    time::knob::move_counter(cpu::index());
    ARRIVED.store(cpu::index() as u32, Ordering::Release);
    role::park()
}
