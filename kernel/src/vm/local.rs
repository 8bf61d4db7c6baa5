//! What belongs to one virtual CPU beside its registers: its local APIC, its pending events, its view of time.

use super::clock::{Clock, Timeline};
use super::eoi::Eoi;
use super::hyperv::VirtualProcessor;
use super::interrupts::{BoardSignals, LapicSignals, Receiver, Sender};
use super::machine::{KEEPER, Machine};
use super::mailbox::Mailbox;
use super::pv_clock::PvClock;
use crate::cpu::vectors::Vectors;
use crate::time;
use alloc::boxed::Box;
use hvm::apic::RegisterPage;
use hvm::cpuid::{Contexts, Leaf, Live, Map, Policy, Rates, Timing, Tsc};
use hvm::device::{Context, Lifecycle, PowerEvent};
use hvm::event::{Events, Exception, TripleFault};
use hvm::hyperv::bits;
use hvm::msr::{Bank, GeneralProtection};
use hvm::pv_eoi::{self, PV_EOI};
use hvm::tsc::Scale;
use hvm::{Gpa, Instant, Width};
use pc::board::Board;
use pc::lapic::Lapic;

/// DR6 and DR7.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debug {
    pub status: u64,
    pub control: u64,
}

/// The surroundings of a virtual CPU.
pub struct Local {
    /// Which vCPU this is; its APIC id is the same.
    pub(super) index: usize,
    pub(super) mailbox: &'static Mailbox,
    pub(super) lapic: Lapic,
    /// The page with those registers of the local APIC that the CPU changes, while they are there. Never on CPUs that serve none.
    pub(super) lent: Option<&'static RegisterPage>,
    pub(super) events: Events,
    pub(super) msrs: Bank,
    pub(super) cpuid: Map,
    pub(super) clock: Clock,
    pub(super) pv_clock: PvClock,
    hyperv: VirtualProcessor,
    eoi: Eoi,
    pub(super) physical_bits: u8,
    pub(super) machine: &'static Machine,
    pub(super) vectors: Vectors,
    /// While the emulator may have to do with them.
    pub(super) debug: Option<Debug>,
    pub(super) power: Option<PowerEvent>,
    /// The emulator wrote to the port that the BIOS's stubs trap with.
    pub(super) trapped: bool,
    /// The 8259s' output, as last seen.
    pub(super) pic_output: bool,
    /// When the board next wants a turn.
    pub(super) board_deadline: Option<Instant>,
    /// Of guest memory's switches, as last seen.
    pub(super) memory_generation: u32,
    /// When to look again whether an NMI can enter that no handler holds back: see `Processor::deliver`.
    pub(super) second_look: Option<Instant>,
    /// Something happened that may change what enters the guest next, or when it must be left. Cleared by the loop;
    /// exits that change nothing of the kind, such as CPUID, go straight back.
    pub(super) attention: bool,
}

impl Local {
    /// As after power-on.
    pub fn new(machine: &'static Machine, index: usize) -> Box<Self> {
        let physical_bits = hvm::cpuid::physical_bits(&super::host::cpuid);
        Box::new(Self {
            index,
            mailbox: &machine.mailboxes[index],
            lapic: Lapic::new(index as u32, index == KEEPER),
            lent: None,
            events: Events::new(),
            msrs: msrs(physical_bits),
            cpuid: Map::new(
                &super::host::cpuid,
                Policy {
                    vcpus: machine.vcpus() as u32,
                    rates: rates(machine.timeline.scale()),
                    tsc: tsc_promise(),
                    timing: timing(&machine.timeline),
                    hyperv: machine.hyperv.offered,
                    kvm: machine.hyperv.kvm,
                    contexts: match machine.shadow {
                        Some(_) => Contexts::Hidden,
                        None => Contexts::Host,
                    },
                },
            ),
            clock: Clock::new(&machine.timeline, index as u32),
            pv_clock: PvClock::default(),
            hyperv: VirtualProcessor::default(),
            eoi: Eoi::default(),
            physical_bits,
            machine,
            vectors: Vectors::new(),
            debug: None,
            power: None,
            trapped: false,
            pic_output: false,
            board_deadline: None,
            memory_generation: machine.memory.generation(),
            second_look: None,
            attention: true,
        })
    }

    /// Everything but the guest's time starts anew, and with the keeper's the board.
    pub fn reset(&mut self) {
        self.mailbox.clear();
        self.clock.reset();
        self.pv_clock = PvClock::default();
        self.hyperv = VirtualProcessor::default();
        self.eoi = Eoi::default();
        self.lapic.reset();
        if self.index == KEEPER {
            self.lapic.set_virtual_wire();
        }
        self.show_address();
        self.events = Events::new();
        self.msrs = msrs(self.physical_bits);
        self.power = None;
        self.second_look = None;
        if self.index == KEEPER {
            self.machine.hyperv.reset();
            self.machine.board.lock().reset();
            self.with_board(|board, context| board.refresh_memory(context.memory));
        }
    }

    /// INIT: all but what Table 10-1 of SDM vol. 3A keeps, of which the MSRs and the counter are ours.
    pub fn init(&mut self) {
        self.lapic.init();
        // As KVM does: the place is named anew by whoever starts the vCPU.
        self.eoi = Eoi::default();
        self.show_address();
        self.events = Events::new();
        self.second_look = None;
        self.attention = true;
    }

    /// Tells the other vCPUs how messages find this one.
    #[inline]
    pub fn show_address(&self) {
        if self.machine.vcpus() > 1 {
            self.mailbox.show_address(self.lapic.address());
        }
    }

    /// The keeper: takes over what others' work on the board left.
    pub fn look_at_board(&mut self) {
        if self.index == KEEPER {
            (self.pic_output, self.board_deadline) = self.machine.face.get();
        }
    }

    /// Raises an exception at RIP.
    #[cold]
    pub fn raise(&mut self, exception: Exception) -> Result<(), TripleFault> {
        self.attention = true;
        self.events.raise(exception)
    }

    /// Has the local APIC whole again; the loop hands it over before the next entry.
    #[cold]
    pub fn recall(&mut self) {
        if let Some(page) = self.lent.take() {
            self.lapic.take_back(page);
            self.attention = true;
        }
    }

    /// Spares the guest the end of an interrupt that enters it now, if nobody waits for that.
    #[inline]
    pub fn spare_eoi(&mut self, vector: u8) {
        self.eoi.spare(vector, &self.lapic, &self.machine.memory);
    }

    /// Has the local APIC know of an end of interrupt that the guest was spared. Before anything else is asked of its priorities.
    #[inline]
    pub fn collect_eoi(&mut self) {
        self.eoi.collect(&mut self.lapic, &self.machine.memory);
    }

    /// True if an interrupt waits that priorities let through.
    #[inline]
    pub fn interrupt_pending(&self) -> bool {
        self.lapic.pending().is_some() || self.pic_output && self.lapic.accepts_pic()
    }

    /// True if an interrupt waits, be it held back by priorities or not.
    #[inline]
    pub fn interrupt_requested(&self) -> bool {
        self.lapic.has_requests() || self.pic_output && self.lapic.accepts_pic()
    }

    /// When the next timer of the guest is due.
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        let devices = earlier(self.lapic.deadline(), self.board_deadline);
        match self.second_look {
            None => devices,
            look => earlier(devices, look),
        }
    }

    /// Works on the board, and takes over what came of it.
    #[inline]
    pub fn with_board<R>(&mut self, work: impl FnOnce(&mut Board, &mut Context<'_>) -> R) -> R {
        let machine = self.machine;
        let mut board = machine.board.lock();
        let mut signals = BoardSignals {
            receiver: Receiver {
                machine,
                index: self.index,
                lapic: &mut self.lapic,
                events: &mut self.events,
            },
            power: &mut self.power,
            raised: false,
        };
        let mut context = Context {
            memory: &machine.memory,
            now: self.clock.now(),
            signals: &mut signals,
        };
        let result = work(&mut board, &mut context);
        let raised = signals.raised;
        let generation = machine.memory.generation();
        let (output, deadline) = (board.pic_interrupt(), board.deadline());
        if machine.vcpus() > 1 {
            // Under the lock, so that news come in order.
            let news = machine.face.set(output, deadline);
            drop(board);
            // The keeper may wait for its turn on this CPU.
            self.attention |= raised || news || generation != self.memory_generation;
            self.memory_generation = generation;
            if news && self.index != KEEPER {
                machine.tell_keeper();
            }
            if self.index != KEEPER {
                return result;
            }
        }
        if raised
            || output != self.pic_output
            || deadline != self.board_deadline
            || generation != self.memory_generation
        {
            self.memory_generation = generation;
            self.pic_output = output;
            self.board_deadline = deadline;
            self.attention = true;
        }
        result
    }

    /// The vCPU waits for an interrupt: what devices have put off until it does is done now.
    #[inline]
    pub fn tell_idle(&mut self) {
        let deadline = match self.machine.vcpus() {
            1 => self.board_deadline,
            _ => self.machine.face.get().1,
        };
        if deadline.is_some() {
            self.with_board(|board, context| board.idle(context));
        }
    }

    /// Captures the screen for a viewer that asked.
    pub fn show(&mut self) {
        let mut view = self.machine.view.lock();
        if view.is_wanted() {
            let now = self.clock.now();
            self.with_board(|board, _| view.capture(board.display(), now));
        }
    }

    /// Works on the local APIC, and sends on what it sent.
    #[inline]
    pub fn with_lapic<R>(
        &mut self,
        work: impl FnOnce(&mut Lapic, &mut LapicSignals, &Clock) -> R,
    ) -> R {
        self.attention = true;
        self.collect_eoi();
        let mut signals = LapicSignals::default();
        let result = work(&mut self.lapic, &mut signals, &self.clock);
        self.show_address();
        if let Some(message) = signals.message {
            let mut receiver = Receiver {
                machine: self.machine,
                index: self.index,
                lapic: &mut self.lapic,
                events: &mut self.events,
            };
            receiver.route(&message, Sender::Myself);
        }
        if let Some(vector) = signals.ended {
            self.with_board(|board, context| board.end_of_interrupt(vector, context));
        }
        result
    }

    /// IN.
    #[inline]
    pub fn port_read(&mut self, port: u16, width: Width) -> u32 {
        self.with_board(|board, context| board.port_read(port, width, context))
    }

    /// OUT.
    #[inline]
    pub fn port_write(&mut self, port: u16, width: Width, value: u32) {
        self.with_board(|board, context| board.port_write(port, width, value, context));
    }

    /// A read outside RAM.
    #[inline]
    pub fn mmio_read(&mut self, gpa: Gpa, width: Width) -> u64 {
        if self.lapic.mmio_base() == Some(gpa.page_base()) {
            return self.lapic_read(gpa.page_offset() as u16, width);
        }
        self.with_board(|board, context| board.mmio_read(gpa, width, context))
            .unwrap_or(width.mask())
    }

    /// A write outside RAM.
    #[inline]
    pub fn mmio_write(&mut self, gpa: Gpa, width: Width, value: u64) {
        if self.lapic.mmio_base() == Some(gpa.page_base()) {
            let offset = gpa.page_offset() as u16;
            // Registers take aligned dwords; the manual leaves anything else undefined (SDM vol. 3A, 11.4.1).
            if offset.is_multiple_of(4) && width >= Width::Dword {
                self.with_lapic(|lapic, signals, clock| {
                    lapic.mmio_write(offset, value as u32, clock, signals)
                });
            }
            return;
        }
        self.with_board(|board, context| board.mmio_write(gpa, width, value, context));
    }

    fn lapic_read(&mut self, offset: u16, width: Width) -> u64 {
        self.collect_eoi();
        let register = self.lapic.mmio_read(offset & !3, &self.clock);
        width.cut(u64::from(register) >> (u32::from(offset & 3) * 8))
    }

    /// RDMSR of all but the registers that the CPU's control block holds.
    #[inline]
    pub fn read_msr(&mut self, register: u32) -> Result<u64, GeneralProtection> {
        match register {
            hvm::msr::IA32_TSC => Ok(self.clock.guest_tsc()),
            hvm::msr::IA32_TSC_ADJUST => Ok(self.clock.tsc_adjust()),
            _ if Lapic::owns_msr(register) => {
                self.collect_eoi();
                self.lapic
                    .read_msr(register, self.clock.now())
                    .map_err(|_| GeneralProtection)
            }
            PV_EOI => Ok(self.eoi.register),
            _ => self
                .msrs
                .read(register)
                .or_else(|_| self.pv_clock.read(register))
                .or_else(|_| self.read_hyperv(register)),
        }
    }

    #[cold]
    fn read_hyperv(&mut self, register: u32) -> Result<u64, GeneralProtection> {
        let interface = &self.machine.hyperv;
        if !interface.has(register) {
            return Err(GeneralProtection);
        }
        match register {
            bits::TPR => Ok(self.lapic.tpr().into()),
            bits::ICR => Ok(self.lapic.command()),
            _ => interface.read(register, self.index, &self.hyperv, &self.clock.reading()),
        }
    }

    #[cold]
    fn write_hyperv(&mut self, register: u32, value: u64) -> Result<(), GeneralProtection> {
        let machine = self.machine;
        if !machine.hyperv.has(register) {
            return Err(GeneralProtection);
        }
        match register {
            bits::EOI => self.with_lapic(|lapic, signals, _| lapic.write_end_of_interrupt(signals)),
            bits::TPR => self.with_lapic(|lapic, _, _| lapic.set_tpr(value as u8)),
            bits::ICR => {
                self.with_lapic(|lapic, signals, _| lapic.write_command(value, signals));
            }
            _ => {
                let memory = &machine.memory;
                machine.hyperv.write(
                    register,
                    value,
                    &mut self.hyperv,
                    &self.clock.reading(),
                    memory,
                )?;
                if register == bits::VP_ASSIST_PAGE {
                    self.name_eoi(self.hyperv.assist_page());
                }
            }
        }
        Ok(())
    }

    /// The guest wants to find at `place` that it need not end an interrupt.
    #[cold]
    fn name_eoi(&mut self, place: Option<Gpa>) {
        self.collect_eoi();
        self.eoi.set_place(place);
    }

    /// WRMSR of the same.
    #[inline]
    pub fn write_msr(&mut self, register: u32, value: u64) -> Result<(), GeneralProtection> {
        match register {
            hvm::msr::IA32_TSC => {
                self.clock.set_guest_tsc(value);
                self.follow_tsc();
                Ok(())
            }
            hvm::msr::IA32_TSC_ADJUST => {
                self.clock.set_tsc_adjust(value);
                self.follow_tsc();
                Ok(())
            }
            _ if Lapic::owns_msr(register) => self
                .with_lapic(|lapic, signals, clock| {
                    lapic.write_msr(register, value, clock.now(), clock.tsc(), signals)
                })
                .map_err(|_| GeneralProtection),
            PV_EOI => {
                self.name_eoi(pv_eoi::place(value)?);
                self.eoi.register = value;
                Ok(())
            }
            _ => self
                .msrs
                .write(register, value)
                .or_else(|_| {
                    let memory = &self.machine.memory;
                    self.pv_clock.write(register, value, &self.clock, memory)
                })
                .or_else(|_| self.write_hyperv(register, value)),
        }
    }

    /// The guest's counter was written: what goes by it goes by the new one.
    #[cold]
    fn follow_tsc(&mut self) {
        self.with_lapic(|lapic, _, clock| lapic.follow_tsc(clock.tsc(), clock.now()));
        self.pv_clock.refresh(&self.clock, &self.machine.memory);
        let machine = self.machine;
        machine
            .hyperv
            .follow_tsc(&self.clock.reading(), &machine.memory);
    }

    /// CPUID.
    #[inline]
    pub fn cpuid(&self, leaf: u32, subleaf: u32, cr4: u64) -> Leaf {
        self.cpuid.query(
            &super::host::cpuid,
            leaf,
            subleaf,
            Live {
                cr4,
                apic_id: self.lapic.id(),
            },
        )
    }
}

/// Leaves that tell the TSC's rate are shown only if they tell the truth: some emulators repeat those of the CPU that they model.
fn rates(scale: Scale) -> Rates {
    if scale == Scale::ONE && time::cpuid_rates::agree_with(time::tsc_hz()) {
        Rates::Host
    } else {
        Rates::Hidden
    }
}

/// What the guest may hear of its counter: whether it is the host's or ours.
fn tsc_promise() -> Tsc {
    if time::keeps_its_rate() {
        Tsc::Invariant
    } else {
        Tsc::Unpromised
    }
}

/// The rates that the guest need not measure.
fn timing(line: &Timeline) -> Timing {
    Timing {
        tsc_khz: u32::try_from(line.period().hz() / 1000).unwrap_or(u32::MAX),
        apic_khz: (pc::lapic::FREQUENCY_HZ / 1000) as u32,
    }
}

/// The emulated MSRs as firmware leaves them.
fn msrs(physical_bits: u8) -> Bank {
    Bank::new(
        super::host::microcode_level(),
        guest_bios::platform::DEVICE_HOLE.0,
        physical_bits.into(),
    )
}

/// The earlier of two times, of which either may not be set.
#[inline]
pub(super) fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
