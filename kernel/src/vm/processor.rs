//! One virtual CPU, and the loop that runs it.

use super::clock::Timeline;
use super::crash::Crash;
use super::dirty::Tracker;
use super::firmware::Firmware;
use super::interrupts::{Pic, Sources};
use super::local::Local;
use crate::console::view;
use crate::cpu::events::{self, Events as HostEvents};
use crate::cpu::{interrupts, live};
use crate::service;
use crate::service::alarm;
use crate::service::control::{CONTROL, Request, count};
use crate::time;
use alloc::boxed::Box;
use alloc::string::String;
use guest_mem::GuestMemory;
use hvm::Instant;
use hvm::device::PowerEvent;
use hvm::emulate::DecodeCache;
use hvm::event::{Exception, Interruptible, Plan, Shadow, TripleFault, Window};
use hvm::regs::{DR6_BS, Rflags, State};
use hvm::vcpu::Vcpu;
use hvm::virtual_apic::Served;
use hvm::walk::Paging;
use pc::board::Board;
use spin::Mutex;

/// How soon an NMI is tried again where the CPU may have no window for it.
const SECOND_LOOK_NS: u64 = 5_000;

/// What all vCPUs of the guest share.
pub struct Machine {
    /// Guest RAM.
    pub memory: GuestMemory,
    /// The chipset and all devices. Only vCPUs take this lock; services talk to devices through queues.
    pub board: Mutex<Board>,
    /// Where captures of the screen go. Only vCPUs take this lock, before the board's.
    pub view: Mutex<view::GuestEnd>,
    /// What its clocks have in common.
    pub timeline: Timeline,
}

/// What the vCPU's processor has to do beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing: it belongs to the vCPU.
    GuestOnly,
    /// The services' tasks run between guest slices, on a machine with one CPU.
    GuestAndServices,
}

impl Duty {
    /// Runs what is ready.
    pub fn serve(self) {
        if self == Self::GuestAndServices {
            service::poll();
        }
    }

    /// True if an exit has given the services work.
    #[inline]
    pub fn has_services_to_run(self) -> bool {
        self == Self::GuestAndServices && service::pending()
    }
}

/// Why the loop ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The guest used its power hardware.
    Power(PowerEvent),
    /// The guest cannot go on.
    Crash(Box<Crash>),
    /// The services ask for something.
    Request(Request),
}

/// What to do after an exit.
pub(super) enum Next {
    /// Enter the guest again.
    Enter,
    /// Wait for an interrupt first.
    Halt,
    /// Stop with this reason.
    Stop(String),
}

/// A virtual CPU.
pub struct Processor<V> {
    pub(super) cpu: V,
    pub(super) local: Box<Local>,
    pub(super) cache: Box<DecodeCache>,
    /// The nested tables, and who wrote where.
    pub(super) tracker: Tracker,
    /// The guest's BIOS, if it boots through one.
    pub(super) firmware: Option<Box<Firmware>>,
    duty: Duty,
    pub(super) window: Option<Window>,
    armed: Option<Instant>,
}

impl<V: Vcpu> Processor<V> {
    /// A vCPU on `machine`, whose memory the tables of `tracker` map.
    pub fn new(
        cpu: V,
        machine: &'static Machine,
        tracker: Tracker,
        duty: Duty,
        firmware: Option<Box<Firmware>>,
    ) -> Self {
        Self {
            cpu,
            local: Local::new(machine),
            cache: Box::new(DecodeCache::new()),
            tracker,
            firmware,
            duty,
            window: None,
            armed: None,
        }
    }

    /// What it shares with the other vCPUs.
    pub fn machine(&self) -> &'static Machine {
        self.local.machine
    }

    /// Power-on or reset, with the registers that firmware hands over.
    pub fn reset(&mut self, start: &State) {
        self.local.reset();
        self.window = None;
        live::reset();
        self.cpu.reset();
        start.apply(&mut self.cpu);
        self.local.attention = true;
    }

    /// Answers viewers while the guest stands still.
    pub fn show(&mut self) {
        self.local.show();
    }

    /// Runs the guest until something other than an exit has to be done.
    pub fn run(&mut self) -> Outcome {
        // The last run may have been on another CPU, or before a pause.
        self.cpu.set_tsc_offset(self.local.clock.offset());
        self.cpu.hold_host_interrupts();
        let outcome = self.turn();
        self.recall();
        self.disarm();
        self.cpu.admit_host_interrupts();
        outcome
    }

    fn turn(&mut self) -> Outcome {
        self.attend();
        loop {
            if CONTROL.requested()
                && let Some(request) = CONTROL.take()
            {
                return Outcome::Request(request);
            }
            if self.duty.has_services_to_run() {
                self.admit();
            }
            // While something waits for a window, any exit may have been the end of what it waits for.
            if self.local.attention || self.window.is_some() {
                self.local.attention = false;
                if let Some(power) = self.local.power.take() {
                    return Outcome::Power(power);
                }
                self.follow_apic();
                self.tracker
                    .follow(&mut self.cpu, &self.local.machine.memory);
                match self.cpu.served_apic() {
                    Served::All(page) => self.hand_over(page),
                    Served::Priority | Served::Nothing => {
                        self.deliver();
                        self.rearm();
                    }
                }
            }
            let exit = self.cpu.run();
            if let Some(event) = self.cpu.interrupted_event() {
                self.local.events.interrupted(event);
                self.local.attention = true;
            }
            match self.handle(exit) {
                Next::Enter => {}
                Next::Halt => self.halt(),
                Next::Stop(reason) => return Outcome::Crash(Box::new(self.crash(reason))),
            }
        }
    }

    /// Decides what enters the guest, and where it stops next.
    #[inline]
    fn deliver(&mut self) {
        let priority = self.learn_priority();
        self.show_nmis();
        let local = &mut *self.local;
        let nothing = local.events.is_idle() && !local.interrupt_pending() && priority == 0;
        if nothing && self.window.is_none() {
            return;
        }
        let mut sources = Sources {
            lapic: &mut local.lapic,
            pic: Pic {
                board: &local.machine.board,
                output: &mut local.pic_output,
            },
        };
        let enabled = Interruptible::from(self.cpu.rflags());
        let plan = local.events.plan(enabled, self.cpu.shadow(), &mut sources);
        self.carry_out(plan);
    }

    /// Does what was decided.
    #[inline]
    pub(super) fn carry_out(&mut self, plan: Plan) {
        if let Some(event) = plan.inject {
            self.cpu.inject(event);
        }
        // Not every CPU has a window for an NMI that a shadow, or an event before it, holds back.
        let local = &mut *self.local;
        let held = plan.window.is_some_and(Window::has_nmi) && !local.events.nmi_blocked();
        if held || local.second_look.is_some() {
            local.second_look =
                held.then(|| Instant::from_ns(local.clock.now().ns + SECOND_LOOK_NS));
        }
        if plan.window != self.window {
            self.cpu.set_window(plan.window);
            self.window = plan.window;
        }
    }

    /// Tells the pending events that the guest's NMI handler has returned, where the CPU knows.
    #[inline]
    fn show_nmis(&mut self) {
        if self.local.events.nmi_blocked() && self.cpu.nmis_open() {
            self.local.events.nmi_done();
        }
    }

    /// The window that was asked for has opened, or is no longer what it was.
    pub(super) fn forget_window(&mut self) {
        self.cpu.set_window(None);
        self.window = None;
        self.local.attention = true;
    }

    /// Lets host interrupts in and does what they ask.
    pub(super) fn admit(&mut self) {
        self.cpu.admit_host_interrupts();
        self.duty.serve();
        self.cpu.hold_host_interrupts();
        self.attend();
    }

    /// Timers that are due, input for devices.
    fn attend(&mut self) {
        self.local.attention = true;
        let pending = events::take();
        if pending.contains(HostEvents::TIMER) {
            self.armed = None;
            alarm::look();
        }
        if pending.contains(HostEvents::KICK) {
            self.local.show();
        }
        let local = &mut *self.local;
        local.pv_clock.refresh(&local.clock, &local.machine.memory);
        let now = self.local.clock.now();
        if self
            .local
            .lapic
            .deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            self.local.lapic.expire(now);
        }
        self.local.second_look = self.local.second_look.filter(|&at| at > now);
        let due = self
            .local
            .board_deadline
            .is_some_and(|deadline| deadline <= now);
        if due || pending.contains(HostEvents::KICK) {
            self.local.with_board(|board, context| board.poll(context));
        }
    }

    /// HLT: waits, without burning the CPU, until an event can enter the guest.
    #[cold]
    fn halt(&mut self) {
        count(&CONTROL.counters.halts);
        self.recall();
        self.show_nmis();
        // HLT has ended the shadow of an STI before it: what waited for that enters now, without a window's exit.
        self.local.attention = true;
        while !self.wakes() {
            self.rearm_host();
            self.cpu.admit_host_interrupts();
            self.duty.serve();
            if !CONTROL.requested() && !self.duty.has_services_to_run() {
                interrupts::wait();
            }
            self.cpu.hold_host_interrupts();
            self.attend();
        }
    }

    fn wakes(&self) -> bool {
        let enabled = Interruptible::from(self.cpu.rflags()) == Interruptible::Yes;
        enabled && self.local.interrupt_pending()
            || self.local.events.ends_halt()
            || self.local.power.is_some()
            || CONTROL.requested()
    }

    /// Has the guest left when its next timer is due: by the vCPU's own timer where there is one, else by the host's.
    #[inline]
    pub(super) fn rearm(&mut self) {
        let wanted = self.local.deadline();
        if wanted != self.armed {
            let host_tsc = wanted.map(|deadline| self.local.clock.host_tsc(deadline));
            if !self.cpu.set_deadline(host_tsc.map(time::counter_at)) {
                alarm::arm_for_guest(host_tsc);
            }
            self.armed = wanted;
        }
    }

    /// The same while the guest does not run, when only the host's timer counts.
    fn rearm_host(&mut self) {
        if self.cpu.set_deadline(None) {
            let wanted = self.local.deadline();
            alarm::arm_for_guest(wanted.map(|deadline| self.local.clock.host_tsc(deadline)));
            // Before the next entry the vCPU's own timer has to be told again.
            self.armed = None;
        } else {
            self.rearm();
        }
    }

    /// No timer is to come any more.
    fn disarm(&mut self) {
        alarm::arm_for_guest(None);
        self.cpu.set_deadline(None);
        self.armed = None;
    }

    /// The vCPU's own timer ended guest code.
    pub(super) fn deadline(&mut self) {
        self.cpu.set_deadline(None);
        self.armed = None;
        self.attend();
    }

    /// The guest's paging registers.
    #[inline]
    pub(super) fn paging(&self) -> Paging {
        Paging::of(&self.cpu, self.local.physical_bits)
    }

    /// An instruction was completed: RIP moves on, its shadow and RF end, and a single step traps (SDM vol. 3B, 18.3.1).
    #[inline]
    pub(super) fn complete(&mut self, next_rip: u64) -> Next {
        self.cpu.set_rip(next_rip);
        self.cpu.set_shadow(Shadow::None);
        let rflags = self.cpu.rflags();
        if rflags & (Rflags::TF | Rflags::RF).bits() != 0 {
            return self.complete_debugged(rflags);
        }
        Next::Enter
    }

    #[cold]
    fn complete_debugged(&mut self, rflags: u64) -> Next {
        self.cpu.set_rflags(rflags & !Rflags::RF.bits());
        if rflags & Rflags::TF.bits() != 0 {
            return self.single_step();
        }
        Next::Enter
    }

    #[cold]
    pub(super) fn single_step(&mut self) -> Next {
        self.cpu.set_dr6(self.cpu.dr6() | DR6_BS);
        self.raise(Exception::plain(1))
    }

    /// Raises an exception at RIP.
    #[cold]
    pub(super) fn raise(&mut self, exception: Exception) -> Next {
        match self.local.raise(exception) {
            Ok(()) => Next::Enter,
            Err(TripleFault) => Next::Stop(super::exits::TRIPLE_FAULT.into()),
        }
    }

    #[cold]
    fn crash(&self, reason: String) -> Crash {
        let memory = &self.local.machine.memory;
        Crash {
            reason,
            state: State::capture(&self.cpu),
            bytes: super::crash::code(&self.cpu, &self.paging(), memory),
        }
    }
}
