//! What the owner is told of the memory that the guest writes: `dirty` at the prompt. All vCPUs stand still meanwhile; the others do
//! their part when they go on (`Processor::follow_watch`), and each took its list when it stopped.

use super::dirty::{Grain, OutOfMemory, Writer};
use super::processor::Processor;
use crate::{info, time, warn};
use core::fmt;
use hvm::vcpu::Vcpu;

/// Bytes, shown as MiB with one decimal.
struct Mib(u64);

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10) >> 20;
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

/// `dirty on`.
pub fn start<V: Vcpu>(processor: &mut Processor<V>) {
    let machine = processor.machine();
    let mut tracker = machine.tracker.lock();
    let started = tracker.start(&mut processor.cpu, &machine.memory);
    machine.show_watch(&tracker);
    drop(tracker);
    machine.clear_shadow(processor.index());
    match started {
        Ok((means, grain)) => info!(
            "dirty: writes to the guest's memory are tracked by {}, in {}",
            means.name(),
            match grain {
                Grain::Page => "pages of 4 KiB",
                Grain::Leaf => "large pages: there is no host memory to split them",
            }
        ),
        Err(OutOfMemory) => {
            warn!("dirty: no host memory for the log; a guest with less `memory` would leave some");
        }
    }
}

/// `dirty`.
pub fn tell<V: Vcpu>(processor: &mut Processor<V>) {
    let machine = processor.machine();
    let (mut guest, mut hypervisor) = (0, 0);
    let mut tracker = machine.tracker.lock();
    let collected = tracker.collect(&mut processor.cpu, &machine.memory, &mut |writer, piece| {
        *match writer {
            Writer::Guest => &mut guest,
            Writer::Hypervisor => &mut hypervisor,
        } += piece.bytes;
    });
    drop(tracker);
    machine.clear_shadow(processor.index());
    match collected {
        Some(span) => {
            let tenths = time::tsc_to_ns(span.ticks) / 100_000_000;
            info!(
                "dirty: in {}.{} s the guest wrote {}, the hypervisor {} ({})",
                tenths / 10,
                tenths % 10,
                Mib(guest),
                Mib(hypervisor),
                span.means.name()
            );
        }
        None => info!("dirty: writes are not tracked; `dirty on` starts that"),
    }
}

/// `dirty off`.
pub fn stop<V: Vcpu>(processor: &mut Processor<V>) {
    let machine = processor.machine();
    let mut tracker = machine.tracker.lock();
    let stopped = tracker.stop(&mut processor.cpu);
    machine.show_watch(&tracker);
    drop(tracker);
    machine.clear_shadow(processor.index());
    match stopped {
        true => info!("dirty: writes are no longer tracked"),
        false => info!("dirty: writes are not tracked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_are_shown_in_tenths_of_a_mib() {
        assert_eq!(Mib(0).to_string(), "0.0 MiB");
        assert_eq!(Mib(4096 * 32).to_string(), "0.1 MiB");
        assert_eq!(Mib((33 << 20) + (1 << 19)).to_string(), "33.5 MiB");
    }
}
