//! The virtual machine: one guest from its bundle to its end.
//!
//! CPU 0 belongs to the services, and each vCPU has a CPU of its own as long as there are enough ([`placement`]); it sees no host
//! interrupt there but its own timer and kicks. Where there are fewer, vCPUs take turns on a CPU ([`seat`]), and on CPU 0 the services run
//! between guest slices.
//!
//! Nothing here knows the vendor but [`amd`] and [`intel`], which make the vCPU, each behind [`vendor::Vendor`].

#[cfg(feature = "svm")]
mod amd;
mod apic;
mod bus;
mod clock;
mod crash;
mod devices;
mod dirty;
mod disk;
mod emulation;
mod eoi;
mod exits;
mod firmware;
mod framebuffer;
mod gate;
mod host;
mod hyperv;
#[cfg(feature = "vmx")]
mod intel;
mod interrupts;
mod lifecycle;
mod line;
mod local;
mod machine;
mod mail;
mod mailbox;
mod media;
mod memory;
mod nic;
mod placement;
mod pool;
mod processor;
mod pv_clock;
mod rom;
mod schedule;
mod seat;
mod setup;
mod shadow;
mod timers;
mod user_firmware;
mod vendor;
mod wall;
mod written;

pub(crate) use host::Rdrand;

use crate::console::GuestEnds;
use crate::cpu::{events, percpu};
use crate::service::control::{CONTROL, GuestFacts};
use crate::service::executor::SERVICE_CPU;
use crate::{error, info, report, service, smp, time};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use boot::BootInfo;
use guest_mem::Gpa;
use hvm::capability::{Extension, Features, Technology};
use machine::{KEEPER, Machine};
use mailbox::Requests;
use processor::Duty;
use seat::Seat;
use spin::{Mutex, Once};
use vendor::Vendor;

/// The guest's machine, for the services to reach its first vCPU.
static MACHINE: Once<&'static Machine> = Once::new();

/// Brings the first vCPU out of the guest to look for requests and input: what the services call. Its CPU is interrupted in any case,
/// for it may wait outside [`mailbox`]'s order while the guest stands still.
pub fn kick() {
    kick_for(Requests::POLL);
}

/// The same for the network cards alone.
pub fn kick_network() {
    kick_for(Requests::NETWORK);
}

fn kick_for(requests: Requests) {
    if let Some(machine) = MACHINE.get() {
        let keeper = &machine.mailboxes[KEEPER];
        keeper.leave(requests);
        ring(keeper.cpu_index());
    }
}

/// Copies out of guest memory, if there is a guest and this is RAM of its.
pub fn read_memory(gpa: Gpa, into: &mut [u8]) -> bool {
    MACHINE
        .get()
        .is_some_and(|machine| machine.memory.read(gpa, into).is_ok())
}

/// Interrupts a CPU: a guest that runs there is left, and sleep ends.
fn ring(cpu_index: usize) {
    match percpu::get(cpu_index) {
        Some(_) if percpu::index() == cpu_index => events::raise(events::Events::KICK),
        Some(_) => smp::kick(cpu_index),
        None => {}
    }
}

/// Runs the guest of the bundle, and the services beside it. To be called on the boot CPU, services started and interrupts on, if
/// [`crate::report`] finds `technology` usable on every CPU. `ends` are the guest's.
pub fn run(boot: &'static BootInfo, technology: Technology, ends: GuestEnds) -> ! {
    CONTROL.on_request(kick);
    let started = match technology {
        #[cfg(feature = "svm")]
        Technology::AmdV => start::<amd::Amd>(boot, ends),
        #[cfg(feature = "vmx")]
        Technology::VtX => start::<intel::Intel>(boot, ends),
        #[cfg(not(all(feature = "svm", feature = "vmx")))]
        left_out => Err(format!("{} is left out of this build", left_out.name())),
    };
    if let Err(reason) = started {
        error!("no guest: {reason}");
        service::offer_prompt();
    }
    service::run_forever(|| {
        let seat = SERVICE_SEAT.lock().take();
        if let Some(seat) = seat {
            seat();
        }
    })
}

/// What the service CPU does besides, if vCPUs are placed there.
static SERVICE_SEAT: Mutex<Option<Box<dyn FnOnce() + Send>>> = Mutex::new(None);

/// Has `work` run on a CPU that runs no vCPU yet.
fn run_on(cpu_index: usize, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    if cpu_index == SERVICE_CPU {
        *SERVICE_SEAT.lock() = Some(Box::new(work));
        ring(cpu_index);
        return Ok(());
    }
    smp::run_on(cpu_index, work).map_err(|refusal| refusal.to_string())
}

/// Turns the extension on everywhere, and starts the guest on the CPU of its first vCPU.
fn start<V: Vendor>(boot: &'static BootInfo, ends: GuestEnds) -> Result<(), String> {
    enable_everywhere::<V>()?;
    if time::judge_counters_again() {
        info!(
            "time-stamp counter, at a second look: {}",
            time::description()
        );
    }
    let plan = setup::read(boot)?;
    let first = plan.places[0];
    run_on(first, move || host::<V>(boot, plan, ends, duty(first)))
}

/// What that CPU does beside its vCPUs.
fn duty(cpu_index: usize) -> Duty {
    if cpu_index == SERVICE_CPU {
        Duty::GuestAndServices
    } else {
        Duty::GuestOnly
    }
}

/// Has the other CPUs that run vCPUs make theirs, with no other features than those `used`, and waits for them.
fn take_seats<V: Vendor>(machine: &'static Machine, used: Features) -> Result<(), String> {
    for &cpu_index in machine.gate.cpus() {
        run_on(cpu_index, move || {
            let duty = duty(cpu_index);
            let seat = features().and_then(|features| {
                // Those that are not to be used are not used anywhere.
                Seat::<V>::new(machine, cpu_index, duty, &features.common(used))
            });
            match seat {
                Ok(seat) => seat.follow(),
                Err(reason) => machine.gate.fail(format!("CPU {cpu_index}: {reason}")),
            }
        })?;
    }
    machine.gate.gather()
}

fn enable_everywhere<V: Vendor>() -> Result<(), String> {
    // SAFETY: the caller of `run` found the extension usable on every CPU; this comes to each once.
    let answers = smp::on_every_cpu(|| unsafe { V::enable() });
    for (index, answer) in answers.into_iter().enumerate() {
        match answer {
            Some(Ok(done)) => info!("CPU {index}: {done}"),
            Some(Err(reason)) => return Err(format!("CPU {index}: {reason}")),
            None => return Err(format!("CPU {index} did not answer")),
        }
    }
    Ok(())
}

/// What this CPU offers.
fn features() -> Result<Features, String> {
    match report::this_cpu().extension {
        Extension::Usable(features) => Ok(features),
        _ => Err("this CPU no longer offers what the report says".into()),
    }
}

/// Builds the guest and lives its life on this CPU; comes back only if there is no guest to run.
fn host<V: Vendor>(boot: &'static BootInfo, plan: setup::Plan, ends: GuestEnds, duty: Duty) {
    hvm::emulate::warm_up();
    let built = features().and_then(|features| setup::build::<V>(plan, ends, duty, &features));
    match built {
        Ok(guest) => {
            let vcpus = guest.machine.vcpus() as u32;
            MACHINE.call_once(|| guest.machine);
            CONTROL.describe(GuestFacts {
                name: guest.name.clone(),
                vcpus,
                memory_mib: guest.memory_mib,
                paging: guest.machine.paging,
            });
            info!(
                "guest `{}`: {} MiB, {vcpus} vCPU{}, {}",
                guest.name,
                guest.memory_mib,
                if vcpus == 1 { "" } else { "s" },
                match guest.machine.shadow {
                    Some(_) => guest.machine.paging,
                    None => "nested paging",
                }
            );
            lifecycle::live(guest, boot.entry_tsc, duty)
        }
        Err(reason) => {
            error!("no guest: {reason}");
            service::offer_prompt();
        }
    }
}
