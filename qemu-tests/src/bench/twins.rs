//! The same exits on AMD-V and on VT-x, both in Bochs, which counts instructions in its TSC.

use super::figures::{Figures, TWINS};
use super::{Bench, GUEST_MIB, HOST_MIB, micro};
use crate::bundle::Guest;
use crate::console::Console;
use crate::engine::{Engine, SVM_NPT_BOCHS, VMX_EPT_BOCHS};
use crate::machine::Machine;
use anyhow::{Result, anyhow};
use std::time::Duration;

/// For QEMU's emulation; Bochs has its multiple.
const LIMIT: Duration = Duration::from_secs(120);

/// Measures both, and what the second takes by the first.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let svm = run(bench, &SVM_NPT_BOCHS)?;
    let vmx = run(bench, &VMX_EPT_BOCHS)?;
    let mut figures = Figures::new();
    for twin in &TWINS {
        if let (Some(&svm), Some(&vmx)) = (svm.get(twin.exit), vmx.get(twin.exit)) {
            figures.extend([(twin.svm, svm), (twin.vmx, vmx), (twin.ratio, vmx / svm)]);
        }
    }
    Ok(figures)
}

/// The micro-benchmark guest under Monovisor.
fn run(bench: &Bench, engine: &'static dyn Engine) -> Result<Figures> {
    engine
        .availability()
        .map_err(|reason| anyhow!("{} does not work here: {reason}", engine.name()))?;
    let directory = bench.place(engine.name())?;
    let mut guest = Guest::new(bench.micro.clone());
    guest.memory_mib = GUEST_MIB;
    let mut machine = Machine::new(engine, engine.emulator().loader());
    machine.memory_mib = HOST_MIB;
    let launch = machine.launch(&super::monovisor(&guest, &directory)?, &directory)?;
    let said = Console::start(launch, &directory)?.expect("UB done", LIMIT)?;
    micro::read(&said)
}
