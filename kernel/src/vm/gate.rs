//! Where the vCPUs stop for one another: reset, pause, crash and power-off concern the whole machine, but each vCPU can only be stopped
//! on its own CPU.
//!
//! The **first seat** (the CPU with vCPU 0) leads. It opens the gate, runs, and closes the gate before it acts on what ended the run;
//! then all other seats are parked, and nothing of the guest runs anywhere. Whatever ends the run on another seat is left here, and vCPU 0
//! is stopped.

use super::mailbox::{Mailbox, Requests};
use super::processor::{Duty, Outcome};
use super::ring;
use crate::cpu::interrupts;
use crate::service::alarm;
use crate::time;
use alloc::boxed::Box;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use spin::Mutex;

/// How long seats may take to get ready at first.
const PATIENCE_NS: u64 = 5_000_000_000;

/// How the other seats go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As they stopped.
    Resume,
    /// After a reset of their vCPUs.
    Reset,
}

/// The gate.
pub struct Gate {
    /// The CPUs of the other seats.
    cpus: Box<[usize]>,
    /// How often it was opened.
    opened: AtomicU32,
    parked: AtomicU32,
    closing: AtomicBool,
    reset: AtomicBool,
    /// How many of the other seats have reset their vCPUs since the gate was opened for that.
    renewed: AtomicU32,
    /// What ended the run on another seat.
    ended: Mutex<Option<Outcome>>,
    /// Why another seat cannot be taken at all.
    failed: Mutex<Option<String>>,
}

impl Gate {
    /// A closed gate for other seats on these CPUs.
    pub fn new(cpus: Box<[usize]>) -> Self {
        Self {
            cpus,
            opened: AtomicU32::new(0),
            parked: AtomicU32::new(0),
            closing: AtomicBool::new(false),
            reset: AtomicBool::new(false),
            renewed: AtomicU32::new(0),
            ended: Mutex::new(None),
            failed: Mutex::new(None),
        }
    }

    /// The CPUs of the other seats.
    pub fn cpus(&self) -> &[usize] {
        &self.cpus
    }

    /// The first seat: waits until the others are there.
    pub fn gather(&self) -> Result<(), String> {
        let settled = || self.all_parked() || self.failed.lock().is_some();
        if !time::poll_for(PATIENCE_NS, settled) {
            return Err("a CPU that is to run vCPUs does not answer".into());
        }
        match self.failed.lock().take() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Another seat: it cannot be taken.
    pub fn fail(&self, reason: String) {
        *self.failed.lock() = Some(reason);
    }

    /// The first seat: lets the others go on, and waits until they have reset their vCPUs, if they are to.
    pub fn open(&self, order: Order) {
        self.reset.store(order == Order::Reset, Ordering::Relaxed);
        self.parked.store(0, Ordering::Relaxed);
        self.closing.store(false, Ordering::Relaxed);
        self.renewed.store(0, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Release);
        self.cpus.iter().for_each(|&cpu| ring(cpu));
        // A vCPU that is not reset yet would forget, with the rest, what the first one may send it at once.
        while order == Order::Reset && !self.all_renewed() {
            core::hint::spin_loop();
        }
    }

    /// Another seat: its vCPUs are reset.
    pub fn renewed(&self) {
        self.renewed.fetch_add(1, Ordering::Release);
    }

    fn all_renewed(&self) -> bool {
        self.renewed.load(Ordering::Acquire) as usize == self.cpus.len()
    }

    /// The first seat: stops the others and waits until none runs; gives what ended the run there.
    pub fn close(&self, mailboxes: &[Mailbox]) -> Option<Outcome> {
        self.closing.store(true, Ordering::SeqCst);
        for mailbox in mailboxes {
            if self.cpus.contains(&mailbox.cpu_index()) {
                mailbox.request(Requests::STOP);
            }
        }
        while !self.all_parked() {
            core::hint::spin_loop();
        }
        self.ended.lock().take()
    }

    /// Another seat: the run is over, for this reason. The first counts.
    pub fn end(&self, outcome: Outcome, keeper: &Mailbox) {
        self.ended.lock().get_or_insert(outcome);
        self.closing.store(true, Ordering::SeqCst);
        keeper.request(Requests::STOP);
    }

    /// Whether vCPUs are to stop: a request may be left over from a stop that is past.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Another seat: waits until the gate opens, and serves meanwhile if that is its duty.
    pub fn park(&self, duty: Duty) -> Order {
        let opened = self.opened.load(Ordering::Acquire);
        self.parked.fetch_add(1, Ordering::AcqRel);
        loop {
            // Events first: a ring that comes after this ends the sleep below.
            alarm::take_events();
            if self.opened.load(Ordering::Acquire) != opened {
                break;
            }
            duty.serve();
            if !duty.has_services_to_run() {
                interrupts::wait();
            }
        }
        if self.reset.load(Ordering::Relaxed) {
            Order::Reset
        } else {
            Order::Resume
        }
    }

    fn all_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire) as usize == self.cpus.len()
    }
}
