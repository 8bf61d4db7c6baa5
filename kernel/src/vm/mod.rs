//! The virtual machine: one guest from its bundle to its end.
//!
//! On a machine with one CPU the guest's vCPU and the services share it: services run between guest slices. With two or
//! more, CPU 0 belongs to the services and CPU 1 to the vCPU, which then sees no host interrupt but its own timer and kicks.
//!
//! Nothing here knows the vendor but [`amd`], which makes the vCPU.

mod amd;
mod bus;
mod clock;
mod crash;
mod devices;
mod exits;
mod host;
mod interrupts;
mod lifecycle;
mod line;
mod local;
mod memory;
mod processor;
mod setup;
mod wall;

use crate::console::bytes::GuestEnd;
use crate::cpu::{events, percpu};
use crate::service::control::{CONTROL, GuestFacts};
use crate::{error, info, service, smp};
use alloc::string::String;
use boot::BootInfo;
use processor::Duty;
use svm_core::{Hlt, Svm};

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
/// [`crate::report`] finds AMD-V with nested paging usable. `end` is the guest's end of the console.
pub fn run(boot: &'static BootInfo, end: GuestEnd) -> ! {
    CONTROL.on_request(kick);
    if percpu::count() == 1 {
        host(boot, end, Duty::GuestAndServices);
    } else if let Err(refusal) = smp::run_on(GUEST_CPU, move || host(boot, end, Duty::GuestOnly)) {
        error!("no guest: {refusal}");
    }
    service::run_forever()
}

/// Builds the guest and lives its life on this CPU; comes back only if there is no guest to run.
fn host(boot: &'static BootInfo, end: GuestEnd, duty: Duty) {
    hvm::emulate::warm_up();
    let hlt = match duty {
        Duty::GuestOnly => Hlt::Native,
        Duty::GuestAndServices => Hlt::Intercepted,
    };
    let vcpu = || -> Result<Svm, String> {
        // SAFETY: the caller of `run` found AMD-V usable; this CPU runs the vCPU from here on.
        let vcpu = unsafe { amd::vcpu(hlt) };
        vcpu.ok_or_else(|| "no host memory left for the vCPU's control block".into())
    };
    match setup::build(boot, end, duty, vcpu) {
        Ok(guest) => {
            CONTROL.describe(GuestFacts {
                name: guest.name.clone(),
                vcpus: 1,
                memory_mib: guest.memory_mib,
                paging: "nested paging (NPT)",
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
