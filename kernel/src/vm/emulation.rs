//! Guest code that the CPU cannot run, and the emulator does: real mode, and what lies between it and protected mode, on VT-x without
//! unrestricted guest (decision 61).
//!
//! A bounded number of steps at a time, so that mail, host interrupts, services and timers have their turn as they have between two exits.
//! The same for single things that the CPU leaves to software whole: hardware task switches.
//!
//! Whatever happens to the vCPU meanwhile (`Local::attention`) ends them early, and so does a moment at which a waiting interrupt can enter.

use super::bus::LocalBus;
use super::exits::TRIPLE_FAULT;
use super::local::Debug;
use super::processor::{Next, Processor};
use crate::service::control::{CONTROL, add, count};
use alloc::format;
use hvm::emulate::{self, Delivery, Hint, Nmis, Pause, Run};
use hvm::event::{Event, Interruptible, Shadow, Window};
use hvm::regs::Registers;
use hvm::vcpu::Vcpu;

/// Steps in a row: some hundred thousand instructions of ours.
const STEPS: u32 = 256;

/// Who executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Executor {
    /// The CPU, until it cannot.
    Cpu,
    /// The emulator, until the CPU can.
    Emulator,
}

/// Whether an interrupt waits for the guest to let it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Interrupt,
}

impl<V: Vcpu> Processor<V> {
    /// The CPU cannot go on.
    #[cold]
    pub(super) fn start_emulating(&mut self) -> Next {
        self.executor = Executor::Emulator;
        self.local.attention = true;
        Next::Enter
    }

    /// Has the emulator go on for a while.
    #[cold]
    pub(super) fn emulate_on(&mut self) -> Next {
        self.recall();
        let waiting = match self.deliver_by_emulator() {
            Ok(waiting) => waiting,
            Err(stop) => return stop,
        };
        self.local.attention = false;
        self.show_debug_registers();
        let shadow = self.cpu.shadow();
        let mut bus = LocalBus {
            local: &mut self.local,
            device_page: None,
        };
        let run = emulate::run(
            &mut self.cpu,
            &mut bus,
            &mut self.cache,
            STEPS,
            shadow,
            |cpu: &V, bus: &LocalBus<'_>, shadow| {
                let opens = waiting == Waiting::Interrupt && lets_in(cpu, shadow);
                opens || bus.local.attention || bus.local.trapped || cpu.executes()
            },
        );
        self.local.vectors.put_back();
        self.put_back_debug_registers();
        self.local.attention = true;
        let next = match run {
            Ok(run) => self.conclude(run),
            Err(unsupported) => self.stop(format!("{unsupported}")),
        };
        if self.cpu.executes() {
            self.executor = Executor::Cpu;
            self.follow_control_registers();
        }
        match next {
            Next::Enter => {
                self.admit();
                self.interrupted()
            }
            other => other,
        }
    }

    /// What the CPU has left to software whole, a task switch for one: the delivery of an event, which starts anew, or the instruction at RIP.
    #[cold]
    pub(super) fn take_over(&mut self) -> Next {
        count(&CONTROL.counters.other);
        self.show_debug_registers();
        let next = if self.local.events.is_delivering() {
            self.recall();
            self.deliver_by_emulator()
                .map_or_else(|stop| stop, |_| Next::Enter)
        } else {
            self.emulate(Hint::None)
        };
        self.put_back_debug_registers();
        self.local.attention = true;
        self.follow_control_registers();
        // A fault of the new task's finds segment registers that no CPU would take.
        match next {
            Next::Enter if !self.cpu.executes() => self.start_emulating(),
            other => other,
        }
    }

    /// Lets the emulator see the registers that only the vCPU knows.
    fn show_debug_registers(&mut self) {
        self.local.debug = Some(Debug {
            status: self.cpu.dr6(),
            control: self.cpu.dr7(),
        });
    }

    fn put_back_debug_registers(&mut self) {
        if let Some(debug) = self.local.debug.take() {
            self.cpu.set_dr6(debug.status);
            self.cpu.set_dr7(debug.control);
        }
    }

    /// What [`Processor::deliver`] does, without the CPU's help.
    fn deliver_by_emulator(&mut self) -> Result<Waiting, Next> {
        let plan = self.plan();
        if let Some(event) = plan.inject {
            let mut bus = LocalBus {
                local: &mut self.local,
                device_page: None,
            };
            match emulate::deliver(&mut self.cpu, &mut bus, event) {
                Ok(Delivery::Entered) => {}
                Ok(Delivery::Shutdown) => return Err(self.stop(TRIPLE_FAULT.into())),
                Err(unsupported) => return Err(self.stop(format!("{unsupported}"))),
            }
            self.cpu.set_shadow(Shadow::None);
            if event == Event::Nmi {
                self.cpu.block_nmis();
            }
        }
        Ok(match plan.window {
            Some(Window::Interrupt | Window::NmiOrInterrupt) => Waiting::Interrupt,
            _ => Waiting::Nothing,
        })
    }

    /// The emulator has come back.
    fn conclude(&mut self, run: Run) -> Next {
        add(&CONTROL.counters.emulated, u64::from(run.steps));
        self.cpu.set_shadow(run.shadow);
        if run.nmis == Nmis::Open {
            self.open_nmis();
        }
        self.take_priority();
        if core::mem::take(&mut self.local.trapped)
            && let Some(next) = self.firmware_trap(self.cpu.rip())
        {
            return next;
        }
        match run.pause {
            Pause::Reached | Pause::Spent => Next::Enter,
            Pause::Halted => Next::Halt,
            Pause::Shutdown => self.stop(TRIPLE_FAULT.into()),
        }
    }
}

/// Whether an interrupt can enter now.
fn lets_in(cpu: &impl Registers, shadow: Shadow) -> bool {
    shadow == Shadow::None && Interruptible::from(cpu.rflags()) == Interruptible::Yes
}
