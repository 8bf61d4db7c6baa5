//! The vCPUs of one CPU of the host.
//!
//! A vCPU that has its CPU for itself runs and sleeps by itself ([`Processor::run`]). Where several share one, this takes turns among
//! those that can run ([`Schedule`]): each leaves the guest when its slice is over, when it halts, and whenever an interrupt comes for
//! the CPU, which may have woken another.

use super::gate::Order;
use super::machine::{KEEPER, Machine};
use super::processor::{Company, Duty, Leave, Outcome, Processor};
use super::schedule::{SLICE_NS, Schedule};
use super::vendor::Vendor;
use crate::cpu::interrupts;
use crate::cpu::live::Saved;
use crate::service::alarm;
use crate::time;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use hvm::Instant;
use hvm::capability::Features;
use hvm::regs::State;
use hvm::vcpu::{Hlt, PauseFilter, Vcpu};

/// A vCPU, and what the CPU holds of it while others run.
struct Occupant<C> {
    processor: Processor<C>,
    /// None for one that is alone: it never leaves.
    saved: Option<Saved>,
}

/// The seat.
pub struct Seat<V: Vendor> {
    occupants: Vec<Occupant<V::Cpu>>,
    schedule: Schedule,
    /// Whose state the CPU holds.
    current: usize,
    duty: Duty,
    machine: &'static Machine,
}

/// Why the seat's run ended.
pub enum Ending {
    /// For this reason.
    Outcome(Outcome),
    /// Because another seat's did.
    Stop,
}

impl<V: Vendor> Seat<V> {
    /// Makes the vCPUs that are placed on CPU `cpu_index`, which runs this and offers `features`. The error is for people.
    pub fn new(
        machine: &'static Machine,
        cpu_index: usize,
        duty: Duty,
        features: &Features,
    ) -> Result<Self, String> {
        let indices: Vec<usize> = (0..machine.vcpus())
            .filter(|&index| machine.mailboxes[index].cpu_index() == cpu_index)
            .collect();
        let company = match indices.len() {
            1 => Company::Alone,
            _ => Company::Shared,
        };
        let hlt = hlt(duty, company);
        let mut occupants = Vec::new();
        for &index in &indices {
            // SAFETY: the extension is on, on every CPU, and `features` are of this one, which alone runs the vCPU.
            let mut cpu = unsafe { V::vcpu(features, hlt) }?;
            cpu.set_nested_root(machine.root);
            if index == KEEPER
                && let Some((gpa, page)) = cpu.identity_page()
            {
                let mapped = machine.tracker.lock().tables().map_page(gpa, page);
                mapped.map_err(|_| "no host memory left for a guest without paging")?;
            }
            if !cpu.set_tsc_scale(machine.timeline.scale()) {
                return Err(format!(
                    "`tsc_mhz`: this CPU, whose TSC runs at {} MHz, cannot show its guest another rate, or not this one; leave the key out",
                    time::tsc_hz() / 1_000_000
                ));
            }
            let mut occupant = Occupant {
                processor: Processor::new(cpu, machine, index, duty, company),
                saved: None,
            };
            if company == Company::Shared {
                // Where the CPU cannot tell, slices end what spins.
                occupant.processor.cpu.set_pause_filter(PauseFilter::On);
                let room = Saved::new(V::live_msrs());
                occupant.saved = Some(room.ok_or("no host memory left for the vCPUs' registers")?);
                // The next one is made with its own control block current.
                occupant.depart();
            }
            occupants.push(occupant);
        }
        let current = occupants.len() - 1;
        if company == Company::Shared {
            occupants[current].arrive();
        }
        Ok(Self {
            schedule: Schedule::new(occupants.len()),
            occupants,
            current,
            duty,
            machine,
        })
    }

    /// Resets its vCPUs; `start` is for the first vCPU of all.
    pub fn reset(&mut self, start: Option<&State>) {
        for at in 0..self.occupants.len() {
            self.turn_to(at);
            let processor = &mut self.occupants[at].processor;
            let first = processor.index() == KEEPER;
            processor.reset(start.filter(|_| first));
        }
    }

    /// Runs until the run is over.
    pub fn run(&mut self) -> Ending {
        for at in 0..self.occupants.len() {
            self.turn_to(at);
            self.occupants[at].processor.resume();
        }
        loop {
            alarm::take_events();
            let Some(next) = self.choose() else {
                self.sleep();
                continue;
            };
            self.turn_to(next);
            let limit = self.limit();
            let processor = &mut self.occupants[next].processor;
            let since = processor.now();
            let leave = processor.run(limit);
            let ns = processor.now().ns.saturating_sub(since.ns);
            self.schedule.charge(next, ns);
            match leave {
                Leave::Outcome(outcome) => return Ending::Outcome(outcome),
                Leave::Stop => return Ending::Stop,
                Leave::Spin => self.schedule.pass(next),
                Leave::Yield | Leave::Idle => {}
            }
        }
    }

    /// Another seat than the first: follows it for ever.
    pub fn follow(mut self) -> ! {
        let gate = &self.machine.gate;
        loop {
            if gate.park(self.duty) == Order::Reset {
                self.reset(None);
                gate.renewed();
            }
            if let Ending::Outcome(outcome) = self.run() {
                gate.end(outcome, &self.machine.mailboxes[KEEPER]);
            }
        }
    }

    /// The vCPU that the CPU holds.
    pub fn current(&mut self) -> &mut Processor<V::Cpu> {
        &mut self.occupants[self.current].processor
    }

    fn choose(&mut self) -> Option<usize> {
        if self.occupants.len() == 1 {
            return Some(0);
        }
        let occupants = &self.occupants;
        self.schedule
            .choose(self.current, |at| occupants[at].processor.is_ready())
    }

    /// When the vCPU whose turn it is has to let others look: at the end of its slice if one of them can run, or when that may change. One
    /// whose timer is due can run already; a limit that is past would end each entry at once.
    fn limit(&self) -> Option<Instant> {
        if self.occupants.len() == 1 {
            return None;
        }
        let now = self.occupants[self.current].processor.now();
        let slice_end = Instant::from_ns(now.ns + SLICE_NS);
        let slice = self.schedule.contended(self.current).then_some(slice_end);
        let others = self.occupants.iter().enumerate();
        others
            .filter(|(at, _)| *at != self.current)
            .filter_map(|(_, other)| other.processor.deadline_on_cpu())
            .map(|deadline| if deadline > now { deadline } else { slice_end })
            .chain(slice)
            .min()
    }

    /// Makes the CPU hold the state of another vCPU.
    fn turn_to(&mut self, next: usize) {
        if next == self.current {
            return;
        }
        self.occupants[self.current].depart();
        self.occupants[next].arrive();
        self.current = next;
    }

    /// No vCPU can run: waits until one may.
    fn sleep(&mut self) {
        self.duty.serve();
        let first = self
            .occupants
            .iter()
            .filter_map(|occupant| occupant.processor.deadline_on_cpu())
            .min();
        alarm::arm_for_guest(first.map(|deadline| self.current().host_tsc(deadline)));
        let ready = self
            .occupants
            .iter()
            .any(|occupant| occupant.processor.is_ready());
        if !ready && !self.duty.has_services_to_run() {
            interrupts::wait();
        }
    }
}

impl<C: Vcpu> Occupant<C> {
    fn depart(&mut self) {
        if let Some(saved) = &mut self.saved {
            saved.save();
        }
        self.processor.cpu.depart();
    }

    fn arrive(&mut self) {
        self.processor.cpu.arrive();
        if let Some(saved) = &self.saved {
            saved.restore();
        }
    }
}

/// The guest's HLT halts the CPU itself where nobody else needs that.
pub fn hlt(duty: Duty, company: Company) -> Hlt {
    match (duty, company) {
        (Duty::GuestOnly, Company::Alone) => Hlt::Native,
        _ => Hlt::Intercepted,
    }
}
