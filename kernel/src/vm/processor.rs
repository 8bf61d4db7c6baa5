//! One virtual CPU, and the loop that runs it.

use super::crash::Crash;
use super::emulation::Executor;
use super::interrupts::{Pic, Sources};
use super::local::Local;
use super::machine::Machine;
use super::mailbox::Whereabouts;
use crate::cpu::events::{self, Events as HostEvents};
use crate::cpu::{interrupts, live, percpu};
use crate::service;
use crate::service::control::{CONTROL, Request, count};
use crate::smp;
use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::Ordering;
use hvm::device::PowerEvent;
use hvm::emulate::DecodeCache;
use hvm::event::{Event, Exception, Interruptible, Plan, Shadow, TripleFault, Window};
use hvm::regs::{DR6_BS, Rflags, State};
use hvm::vcpu::{ModificationLog, Vcpu};
use hvm::virtual_apic::Served;
use hvm::walk::Paging;
use hvm::{Gpa, Instant};

/// How soon an NMI is tried again where the CPU may have no window for it.
const SECOND_LOOK_NS: u64 = 5_000;

/// What a CPU that runs vCPUs has to do beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Nothing: it belongs to the vCPUs.
    GuestOnly,
    /// The services' tasks run between guest slices.
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
    /// Let others have a turn, if one of them can.
    Yield,
    /// The same, and rather now than later.
    Spin,
    /// Stop with this report, which is boxed so that the others fit into a register.
    Stop(Box<Crash>),
}

/// Who else runs where a vCPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// No other vCPU.
    Alone,
    /// Others: it comes back when it halts, and whenever one of them may have to run.
    Shared,
}

/// Why a vCPU left its CPU.
#[derive(Clone, Debug)]
pub enum Leave {
    /// The run is over.
    Outcome(Outcome),
    /// Another vCPU's run is over.
    Stop,
    /// Perhaps another's turn has come.
    Yield,
    /// It spins, and would rather have another run.
    Spin,
    /// It waits: for an interrupt, or to be started.
    Idle,
}

/// What a vCPU does (SDM vol. 3A, 9.4; vol. 3C, 25.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// It executes.
    Running,
    /// It executed HLT.
    Halted,
    /// It waits for a start-up message.
    WaitForStartUp,
}

/// Whether a vCPU that left its CPU has something to do there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posture {
    /// It may have.
    Ready,
    /// It had not, when it left.
    Idle,
}

/// A virtual CPU.
pub struct Processor<V> {
    pub(super) cpu: V,
    pub(super) local: Box<Local>,
    pub(super) cache: Box<DecodeCache>,
    duty: Duty,
    pub(super) company: Company,
    pub(super) activity: Activity,
    posture: Posture,
    pub(super) executor: Executor,
    pub(super) window: Option<Window>,
    pub(super) armed: Option<Instant>,
    /// When others on this CPU want their turn.
    pub(super) limit: Option<Instant>,
    /// The CPU lists the pages that this vCPU modifies.
    lists: bool,
    /// The generation of guest memory's areas that the nested tables are known to show.
    followed: u32,
    pub(super) has_access_page: bool,
}

impl<V: Vcpu> Processor<V> {
    /// The vCPU `index` of `machine`.
    pub fn new(
        cpu: V,
        machine: &'static Machine,
        index: usize,
        duty: Duty,
        company: Company,
    ) -> Self {
        Self {
            cpu,
            local: Local::new(machine, index),
            cache: Box::new(DecodeCache::new()),
            duty,
            company,
            activity: Activity::WaitForStartUp,
            posture: Posture::Ready,
            executor: Executor::Cpu,
            window: None,
            armed: None,
            limit: None,
            lists: false,
            followed: machine.memory.generation().wrapping_sub(1),
            has_access_page: false,
        }
    }

    /// What it shares with the other vCPUs.
    pub fn machine(&self) -> &'static Machine {
        self.local.machine
    }

    /// Power-on or reset: with the registers that firmware hands over, or, without, to wait for a start-up message.
    pub fn reset(&mut self, start: Option<&State>) {
        self.local.reset();
        self.window = None;
        live::reset();
        self.restart(start.unwrap_or(&State::reset()));
        self.posture = Posture::Ready;
        self.activity = match start {
            Some(_) => Activity::Running,
            None => Activity::WaitForStartUp,
        };
    }

    pub(super) fn restart(&mut self, state: &State) {
        self.cpu.reset();
        self.cpu.set_tsc_offset(self.local.clock.offset());
        state.apply(&mut self.cpu);
        self.follow_paging();
        self.cpu.flush_tlb();
        self.local.attention = true;
    }

    /// Answers viewers, if one waits. One vCPU does it at a time: the keeper, or while the guest stands still.
    pub fn show(&mut self) {
        let machine = self.machine();
        if !machine.view.lock().is_wanted() {
            return;
        }
        let withdrawn = machine
            .framebuffer
            .withdraw(machine.tracker.lock().tables());
        if let Some(withdrawn) = withdrawn {
            self.flush_all();
            withdrawn.tell(&machine.framebuffer);
        }
        self.local.show();
    }

    /// Which vCPU it is.
    pub fn index(&self) -> usize {
        self.local.index
    }

    /// Guest time.
    pub fn now(&self) -> Instant {
        self.local.clock.now()
    }

    /// The host's TSC at a guest time.
    pub fn host_tsc(&self, at: Instant) -> u64 {
        self.local.clock.host_tsc(at)
    }

    /// Whether it may have something to do. It need not be on its CPU. One that came back idle has looked at all that had come; what comes
    /// later comes by mail, or by its timer.
    pub fn is_ready(&self) -> bool {
        self.posture == Posture::Ready
            || !self.local.mailbox.is_empty()
            || self
                .deadline_on_cpu()
                .is_some_and(|deadline| deadline <= self.local.clock.now())
    }

    /// When its next timer is due.
    pub fn deadline_on_cpu(&self) -> Option<Instant> {
        self.local.deadline()
    }

    /// The machine was stopped: what others changed meanwhile is taken over when it runs next.
    pub fn resume(&mut self) {
        self.cpu.set_tsc_offset(self.local.clock.offset());
        self.cpu.flush_tlb();
        self.local.look_at_board();
        let lists = self.machine().watch.lists.load(Ordering::Acquire);
        if lists != self.lists {
            self.cpu.set_modification_log(if lists {
                ModificationLog::On
            } else {
                ModificationLog::Off
            });
            self.lists = lists;
        }
    }

    /// Has the nested tables show the areas of guest memory as they are switched now, on all vCPUs.
    #[cold]
    fn follow_areas(&mut self) {
        let machine = self.machine();
        self.followed = machine.memory.generation();
        let window = machine.board.lock().linear_framebuffer();
        let mut tracker = machine.tracker.lock();
        let moved = machine
            .framebuffer
            .follow(tracker.tables(), window, &machine.memory);
        let changed = tracker.follow(&mut self.cpu, &machine.memory);
        drop(tracker);
        if moved || changed {
            self.flush_all();
        }
    }

    /// The nested tables allow less than before, or something else: no vCPU goes by the old ones any more when this returns.
    #[cold]
    pub(super) fn flush_all(&mut self) {
        self.cpu.flush_tlb();
        self.machine().clear_shadow(self.local.index);
        self.machine().flush_others(self.local.index);
    }

    /// The guest accessed the framebuffer where nothing is mapped; true if it may try again.
    #[cold]
    pub(super) fn admit_to_framebuffer(&mut self, gpa: Gpa) -> bool {
        let machine = self.machine();
        let admitted = machine
            .framebuffer
            .admit(machine.tracker.lock().tables(), gpa);
        self.cpu.flush_tlb();
        admitted
    }

    /// Takes the CPU's list of modified pages, if it keeps one.
    #[cold]
    pub fn drain_modified(&mut self) {
        if self.lists {
            self.machine().tracker.lock().drain(&mut self.cpu);
        }
    }

    /// Runs the guest until something other than an exit has to be done, with the timer set for `limit` as well.
    pub fn run(&mut self, limit: Option<Instant>) -> Leave {
        self.limit = limit;
        self.armed = None;
        self.local.mailbox.come_back();
        self.cpu.hold_host_interrupts();
        let leave = self.turn();
        self.posture = match leave {
            Leave::Idle => Posture::Idle,
            _ => Posture::Ready,
        };
        self.recall();
        self.disarm();
        self.drain_modified();
        self.cpu.admit_host_interrupts();
        self.local.mailbox.be_away();
        leave
    }

    fn turn(&mut self) -> Leave {
        self.attend();
        loop {
            if self.is_called()
                && let Some(leave) = self.answer()
            {
                return leave;
            }
            // While something waits for a window, any exit may have been the end of what it waits for.
            let looks = self.local.attention || self.window.is_some();
            if looks {
                self.local.attention = false;
                self.local.collect_eoi();
                if let Some(power) = self.local.power.take() {
                    return Leave::Outcome(Outcome::Power(power));
                }
                if self.company == Company::Shared && events::peek().contains(HostEvents::KICK) {
                    // This vCPU, or somebody elsewhere, has rung for another one here.
                    return Leave::Yield;
                }
                if self.activity != Activity::Running && !self.wakes() {
                    if self.company == Company::Shared {
                        return Leave::Idle;
                    }
                    self.sleep();
                    continue;
                }
                self.follow_apic();
                if self.machine().memory.generation() != self.followed {
                    self.follow_areas();
                }
            }
            let next = if looks && self.executor == Executor::Emulator {
                self.emulate_on()
            } else if self.may_enter() {
                self.enter(looks)
            } else {
                continue;
            };
            match next {
                Next::Enter => {}
                Next::Halt => self.halt(),
                Next::Yield => return Leave::Yield,
                Next::Spin => return Leave::Spin,
                Next::Stop(crash) => return Leave::Outcome(Outcome::Crash(crash)),
            }
        }
    }

    /// True if there is mail, or work for the services.
    #[inline]
    fn is_called(&self) -> bool {
        !self.local.mailbox.is_empty() || self.duty.has_services_to_run()
    }

    /// Runs the services, and does what the mail asks for. What the one leads to is often work for the other; where that does not come to
    /// rest, the guest has its turn all the same, and is left at once.
    fn answer(&mut self) -> Option<Leave> {
        for _ in 0..2 {
            if self.duty.has_services_to_run() {
                self.admit();
            }
            if !self.local.mailbox.is_empty()
                && let Some(leave) = self.read_mail()
            {
                return Some(leave);
            }
            if !self.is_called() {
                return None;
            }
        }
        smp::kick(percpu::index());
        None
    }

    /// Runs guest code, and does what its exit asks for. Nothing but the guest comes next: an event that is taken from its source is not
    /// planned again.
    #[inline(always)]
    fn enter(&mut self, looks: bool) -> Next {
        if looks {
            match self.cpu.served_apic() {
                Served::All(page) => self.hand_over(page),
                Served::Priority | Served::Nothing => {
                    self.deliver();
                    self.rearm();
                }
            }
        }
        let exit = self.cpu.run();
        self.local.mailbox.come_back();
        if let Some(event) = self.cpu.interrupted_event() {
            self.local.events.interrupted(event);
            self.local.attention = true;
        }
        self.handle(exit)
    }

    /// Says that it enters the guest. A single vCPU's requests come from the services alone, which ring in any case.
    #[inline]
    fn may_enter(&self) -> bool {
        self.local.machine.vcpus() == 1 || self.local.mailbox.leave_to(Whereabouts::Guest)
    }

    /// Decides what enters the guest, and where it stops next.
    #[inline]
    fn deliver(&mut self) {
        self.learn_priority();
        self.show_nmis();
        let local = &mut *self.local;
        let nothing = local.events.is_idle() && !local.interrupt_requested();
        if nothing && self.window.is_none() {
            return;
        }
        let plan = self.plan();
        if let (Some(Event::Interrupt { vector }), None) = (plan.inject, plan.window) {
            self.local.spare_eoi(vector);
        }
        self.carry_out(plan);
    }

    /// Decides what enters the guest.
    #[inline]
    pub(super) fn plan(&mut self) -> Plan {
        let local = &mut *self.local;
        let mut sources = Sources {
            lapic: &mut local.lapic,
            pic: Pic {
                machine: local.machine,
                output: &mut local.pic_output,
            },
        };
        let enabled = Interruptible::from(self.cpu.rflags());
        local.events.plan(enabled, self.cpu.shadow(), &mut sources)
    }

    /// Does what was decided.
    #[inline]
    pub(super) fn carry_out(&mut self, plan: Plan) {
        if let Some(event) = plan.inject {
            if let Event::Exception(exception) = event
                && exception.is_fault()
            {
                // Neither vendor's entry sets it in the image (SDM vol. 3C, 27.6.1.1); one whose delivery was cut short has it already.
                let rflags = self.cpu.rflags();
                self.cpu.set_rflags(rflags | Rflags::RF.bits());
            }
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

    /// The emulator executed an IRET.
    #[cold]
    pub(super) fn open_nmis(&mut self) {
        self.cpu.open_nmis();
        self.local.events.nmi_done();
        self.local.attention = true;
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

    /// What the end of a host interrupt's exit is: others on this CPU may have to run now.
    #[inline]
    pub(super) fn interrupted(&mut self) -> Next {
        match self.company {
            Company::Alone => Next::Enter,
            Company::Shared => Next::Yield,
        }
    }

    /// The guest spins in a loop of PAUSE: what it waits for may be another vCPU's to give.
    #[cold]
    pub(super) fn spins(&mut self) -> Next {
        match self.company {
            Company::Alone => Next::Enter,
            Company::Shared => Next::Spin,
        }
    }

    /// HLT.
    #[cold]
    fn halt(&mut self) {
        count(&CONTROL.counters.halts);
        self.recall();
        self.show_nmis();
        // HLT has ended the shadow of an STI before it: what waited for that enters now, without a window's exit.
        self.local.attention = true;
        self.activity = Activity::Halted;
        self.local.tell_idle();
    }

    /// Waits on its own CPU, without burning it, until something may have changed.
    #[cold]
    fn sleep(&mut self) {
        self.recall();
        self.rearm_host();
        self.cpu.admit_host_interrupts();
        self.duty.serve();
        let mailbox = self.local.mailbox;
        if !self.duty.has_services_to_run() && mailbox.leave_to(Whereabouts::Away) {
            interrupts::wait();
        }
        mailbox.come_back();
        self.cpu.hold_host_interrupts();
        self.attend();
    }

    /// Whether what it waits for has come; then it runs.
    fn wakes(&mut self) -> bool {
        if self.activity == Activity::WaitForStartUp {
            return false;
        }
        let enabled = Interruptible::from(self.cpu.rflags()) == Interruptible::Yes;
        self.recall();
        let wakes = enabled && self.local.interrupt_pending() || self.local.events.ends_halt();
        if wakes {
            self.activity = Activity::Running;
        }
        wakes
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
            Err(TripleFault) => self.stop(super::exits::TRIPLE_FAULT.into()),
        }
    }

    /// The guest cannot go on.
    #[cold]
    pub(super) fn stop(&self, reason: String) -> Next {
        let memory = &self.local.machine.memory;
        Next::Stop(Box::new(Crash {
            reason,
            vcpu: self.local.index,
            vcpus: self.machine().vcpus(),
            state: State::capture(&self.cpu),
            bytes: super::crash::code(&self.cpu, &self.paging(), memory),
        }))
    }
}
