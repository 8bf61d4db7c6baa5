//! The virtual machine: one guest from its bundle to its end.
//!
//! On a machine with one CPU the guest's vCPU and the services share it: services run between guest slices. With two or
//! more, CPU 0 belongs to the services and CPU 1 to the vCPU, which then sees no host interrupt but its own timer and kicks.
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
mod exits;
mod firmware;
mod host;
#[cfg(feature = "vmx")]
mod intel;
mod interrupts;
mod lifecycle;
mod line;
mod local;
mod memory;
mod pool;
mod processor;
mod pv_clock;
mod rom;
mod setup;
mod user_firmware;
mod vendor;
mod wall;
mod written;

use crate::console::GuestEnds;
use crate::cpu::{events, percpu};
use crate::service::control::{CONTROL, GuestFacts};
use crate::{error, info, report, service, smp, time};
use alloc::format;
use alloc::string::String;
use boot::BootInfo;
use hvm::capability::{Extension, Features, Technology};
use hvm::vcpu::Hlt;
use processor::Duty;
use vendor::Vendor;

/// The CPU of the vCPU where there are several.
const GUEST_CPU: usize = 1;

/// Brings the vCPU out of the guest to look for requests and input: what the services call.
pub fn kick() {
    if percpu::count() > 1 {
        smp::kick(GUEST_CPU)
    } else {
        events::raise(events::Events::KICK)
    }
}

/// Runs the guest of the bundle, and the services beside it. To be called on the boot CPU, services started and interrupts on, if
/// [`crate::report`] finds `technology` with nested paging usable on every CPU. `ends` are the guest's.
pub fn run(boot: &'static BootInfo, technology: Technology, ends: GuestEnds) -> ! {
    CONTROL.on_request(kick);
    match technology {
        #[cfg(feature = "svm")]
        Technology::AmdV => start::<amd::Amd>(boot, ends),
        #[cfg(feature = "vmx")]
        Technology::VtX => start::<intel::Intel>(boot, ends),
        #[cfg(not(all(feature = "svm", feature = "vmx")))]
        left_out => error!("no guest: {} is left out of this build", left_out.name()),
    }
    service::run_forever()
}

/// Turns the extension on everywhere, and starts the guest on its CPU.
fn start<V: Vendor>(boot: &'static BootInfo, ends: GuestEnds) {
    if let Err(reason) = enable_everywhere::<V>() {
        error!("no guest: {reason}");
        service::offer_prompt();
        return;
    }
    if time::judge_counters_again() {
        info!(
            "time-stamp counter, at a second look: {}",
            time::description()
        );
    }
    if percpu::count() == 1 {
        host::<V>(boot, ends, Duty::GuestAndServices);
    } else if let Err(refusal) =
        smp::run_on(GUEST_CPU, move || host::<V>(boot, ends, Duty::GuestOnly))
    {
        error!("no guest: {refusal}");
    }
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
fn host<V: Vendor>(boot: &'static BootInfo, ends: GuestEnds, duty: Duty) {
    hvm::emulate::warm_up();
    let hlt = match duty {
        Duty::GuestOnly => Hlt::Native,
        Duty::GuestAndServices => Hlt::Intercepted,
    };
    match features().and_then(|features| setup::build::<V>(boot, ends, duty, hlt, &features)) {
        Ok(guest) => {
            CONTROL.describe(GuestFacts {
                name: guest.name.clone(),
                vcpus: 1,
                memory_mib: guest.memory_mib,
                paging: V::NESTED_PAGING,
            });
            info!(
                "guest `{}`: {} MiB, 1 vCPU, nested paging",
                guest.name, guest.memory_mib
            );
            lifecycle::live(guest, boot.entry_tsc, duty)
        }
        Err(reason) => {
            error!("no guest: {reason}");
            service::offer_prompt();
        }
    }
}
