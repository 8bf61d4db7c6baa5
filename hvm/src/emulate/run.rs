//! Many instructions, and what comes between them: for code that the CPU cannot run itself.

use super::cache::Decoded;
use super::code::CodeMode;
use super::{
    Bus, DecodeCache, Execution, Hint, Nmis, Reason, Step, Stop, Trap, Unsupported, report, step,
};
use crate::event::{Event, Exception, Shadow};
use crate::regs::{DR6_BS, Registers, Rflags};

/// How often a delivery starts again because another CPU of the guest is in the way.
pub(super) const ATTEMPTS: usize = 16;
const NMI: u8 = 2;
const DEBUG: u8 = 1;

/// Why [`run`] has come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The state that was waited for is reached.
    Reached,
    /// The CPU halts until an interrupt.
    Halted,
    /// So many steps have been taken.
    Spent,
    /// A double fault could not be delivered.
    Shutdown,
}

/// What [`run`] leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Why it ended.
    pub pause: Pause,
    /// The interrupt shadow from now on.
    pub shadow: Shadow,
    /// How many steps were taken.
    pub steps: u32,
    /// What became of the blocking of NMIs.
    pub nmis: Nmis,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// RIP is at its handler, or at that of a fault which its delivery raised.
    Entered,
    /// It ended in a triple fault.
    Shutdown,
}

/// Emulates up to `steps` steps until `is_reached`, which is asked before each, with the shadow that the last one left; `shadow` is that
/// before the first. Exceptions and single steps go to the guest's handlers. Interrupts from elsewhere are the caller's, between two calls.
pub fn run<C: Registers, B: Bus>(
    cpu: &mut C,
    bus: &mut B,
    cache: &mut DecodeCache,
    steps: u32,
    shadow: Shadow,
    is_reached: impl Fn(&C, &B, Shadow) -> bool,
) -> Result<Run, Unsupported> {
    let mut run = Run {
        pause: Pause::Spent,
        shadow,
        steps: 0,
        nmis: Nmis::AsBefore,
    };
    while run.steps < steps {
        if is_reached(cpu, bus, run.shadow) {
            run.pause = Pause::Reached;
            break;
        }
        run.steps += 1;
        let (completion, halts) = match step(cpu, bus, cache, Hint::None, None)? {
            Step::Again => continue,
            Step::Done(completion) => (completion, false),
            Step::Halt(completion) => (completion, true),
            Step::Fault(exception) => {
                run.shadow = Shadow::None;
                if deliver(cpu, bus, Event::Exception(exception))? == Delivery::Shutdown {
                    run.pause = Pause::Shutdown;
                    break;
                }
                continue;
            }
        };
        run.shadow = completion.shadow;
        if completion.nmis == Nmis::Open {
            run.nmis = Nmis::Open;
        }
        if completion.trap == Trap::SingleStep {
            if single_step(cpu, bus)? == Delivery::Shutdown {
                run.pause = Pause::Shutdown;
                break;
            }
        } else if halts {
            run.pause = Pause::Halted;
            break;
        }
    }
    Ok(run)
}

fn single_step(cpu: &mut impl Registers, bus: &mut impl Bus) -> Result<Delivery, Unsupported> {
    let status = bus.read_debug(6);
    bus.write_debug(6, status | DR6_BS);
    deliver(cpu, bus, Event::Exception(Exception::plain(DEBUG)))
}

/// Delivers an event through the guest's interrupt table, as the CPU would (SDM vol. 3A, chapter 6): with what its faults become.
pub fn deliver(
    cpu: &mut impl Registers,
    bus: &mut impl Bus,
    event: Event,
) -> Result<Delivery, Unsupported> {
    let mut event = event;
    for _ in 0..ATTEMPTS {
        match enter(cpu, bus, event) {
            Ok(()) => return Ok(Delivery::Entered),
            Err(Stop::Again) => {}
            Err(Stop::Unsupported(reason)) => return Err(report(cpu, reason, &[])),
            Err(Stop::Fault(second)) => {
                let raised = match event {
                    Event::Exception(first) => external(second).after(first),
                    Event::SoftwareInterrupt { .. } => Ok(second),
                    _ => Ok(external(second)),
                };
                match raised {
                    Ok(raised) => event = Event::Exception(raised),
                    Err(_) => return Ok(Delivery::Shutdown),
                }
            }
        }
    }
    Err(report(cpu, Reason::Instruction, &[]))
}

/// The fault of a delivery that no instruction asked for: bit 0 of a selector's error code says so (SDM vol. 3A, 6.13).
fn external(mut fault: Exception) -> Exception {
    if matches!(fault.vector, 10..=13) {
        fault.error_code = fault.error_code.map(|code| code | 1);
    }
    fault
}

fn enter(cpu: &mut impl Registers, bus: &mut impl Bus, event: Event) -> Result<(), Stop> {
    let mode = CodeMode::of(cpu);
    let decoded = Decoded::none(mode);
    let (cpl, rip, rflags) = (cpu.cpl(), cpu.rip(), cpu.rflags());
    let mut execution = Execution {
        instruction: &decoded.instruction,
        decoded: &decoded,
        mode,
        cpl,
        hint: Hint::None,
        next: rip,
        cpu,
        bus,
    };
    match event {
        Event::Interrupt { vector } => execution.enter_handler(vector, rflags, None)?,
        Event::Nmi => execution.enter_handler(NMI, rflags, None)?,
        Event::SoftwareInterrupt { vector, length } => {
            execution.next = mode.advance(rip, u64::from(length));
            execution.enter_handler(vector, rflags, None)?;
        }
        Event::Exception(exception) => {
            let resume = if exception.is_fault() {
                Rflags::RF.bits()
            } else {
                0
            };
            if let Some(address) = exception.cr2 {
                execution.cpu.set_cr2(address);
            }
            execution.enter_handler(exception.vector, rflags | resume, exception.error_code)?;
        }
    }
    let next = execution.next;
    execution.cpu.set_rip(next);
    Ok(())
}
