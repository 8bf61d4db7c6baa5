//! Hyper-V's interface of this guest: the registers, and the memory that the guest names by them
//! ([decision 27](../../../docs/decisions/0027-hyper-v-beside-kvm.md)).

use super::clock::Reading;
use super::host;
use crate::time;
use appliance::config::{Group, Viridian};
use core::sync::atomic::{AtomicBool, Ordering};
use guest_mem::{Gpa, GuestMemory};
use hvm::cpuid::Kvm;
use hvm::hyperv::bits::*;
use hvm::hyperv::{Enlightenments, ReferenceTime, hypercall_code};
use hvm::msr::GeneralProtection;
use spin::Mutex;

const PAGE_BYTES: u64 = 4096;
const NS_PER_UNIT: u64 = 100;

/// What all vCPUs have in common.
pub struct HyperV {
    /// What is offered.
    pub offered: Enlightenments,
    /// Whether KVM's interface is beside it.
    pub kvm: Kvm,
    partition: Mutex<Partition>,
    takes_calls: AtomicBool,
}

/// The registers of which there is one for the whole guest.
#[derive(Debug, Default)]
struct Partition {
    guest_os_id: u64,
    hypercall: u64,
    reference_tsc: u64,
    invariant_control: u64,
    /// What the reference page says, while there is one.
    reference: Option<ReferenceTime>,
    /// The page's sequence number, when it was valid last.
    sequence: u32,
}

/// The registers of one vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct VirtualProcessor {
    assist_page: u64,
}

/// The parts that belong to these groups.
pub fn offered(groups: Viridian) -> Enlightenments {
    let parts = [
        (Group::Base, Enlightenments::BASE),
        (Group::Frequencies, Enlightenments::FREQUENCIES),
        (Group::TimeRefCount, Enlightenments::TIME_REF_COUNT),
        (Group::ReferenceTsc, Enlightenments::REFERENCE_TSC),
        (Group::ApicAssist, Enlightenments::APIC),
    ];
    let mut offered: Enlightenments = parts
        .into_iter()
        .filter(|&(group, _)| groups.has(group))
        .map(|(_, part)| part)
        .collect();
    // Guests that know of the register take a counter for unsteady without it.
    if offered.contains(Enlightenments::BASE) && time::keeps_its_rate() {
        offered |= Enlightenments::INVARIANT_TSC;
    }
    offered
}

/// The part of the interface that has this register.
fn part(register: u32) -> Option<Enlightenments> {
    Some(match register {
        GUEST_OS_ID | HYPERCALL | VP_INDEX => Enlightenments::BASE,
        TIME_REF_COUNT => Enlightenments::TIME_REF_COUNT,
        REFERENCE_TSC => Enlightenments::REFERENCE_TSC,
        TSC_FREQUENCY | APIC_FREQUENCY => Enlightenments::FREQUENCIES,
        EOI | ICR | TPR | VP_ASSIST_PAGE => Enlightenments::APIC,
        TSC_INVARIANT_CONTROL => Enlightenments::INVARIANT_TSC,
        _ => return None,
    })
}

impl VirtualProcessor {
    /// The assist page, whose first word is for ends of interrupts.
    pub fn assist_page(&self) -> Option<Gpa> {
        let is_there = self.assist_page & ENABLE != 0;
        is_there.then_some(Gpa(self.assist_page & !(PAGE_BYTES - 1)))
    }
}

impl HyperV {
    /// As after power-on.
    pub fn new(offered: Enlightenments, kvm: Kvm) -> Self {
        Self {
            offered,
            kvm,
            partition: Mutex::default(),
            takes_calls: AtomicBool::new(false),
        }
    }

    /// The machine was reset.
    pub fn reset(&self) {
        *self.partition.lock() = Partition::default();
        self.takes_calls.store(false, Ordering::Release);
    }

    /// True if hypercalls are Hyper-V's: the guest said who it is, and has the page.
    #[inline]
    pub fn takes_calls(&self) -> bool {
        self.takes_calls.load(Ordering::Acquire)
    }

    /// Whether the guest has this register.
    pub fn has(&self, register: u32) -> bool {
        part(register).is_some_and(|part| self.offered.contains(part))
    }

    /// RDMSR of a register that the guest has, but for the local APIC's.
    pub fn read(
        &self,
        register: u32,
        vcpu: usize,
        own: &VirtualProcessor,
        clock: &Reading,
    ) -> Result<u64, GeneralProtection> {
        let partition = self.partition.lock();
        Ok(match register {
            GUEST_OS_ID => partition.guest_os_id,
            HYPERCALL => partition.hypercall,
            VP_INDEX => vcpu as u64,
            TIME_REF_COUNT => match partition.reference {
                // The same as the page tells, so that neither is ever behind the other.
                Some(reference) => reference.at(clock.tsc),
                None => clock.now.ns / NS_PER_UNIT,
            },
            REFERENCE_TSC => partition.reference_tsc,
            TSC_FREQUENCY => clock.time.period.hz(),
            APIC_FREQUENCY => pc::lapic::FREQUENCY_HZ,
            VP_ASSIST_PAGE => own.assist_page,
            TSC_INVARIANT_CONTROL => partition.invariant_control,
            _ => return Err(GeneralProtection),
        })
    }

    /// WRMSR of a register that the guest has, but for the local APIC's.
    pub fn write(
        &self,
        register: u32,
        value: u64,
        own: &mut VirtualProcessor,
        clock: &Reading,
        memory: &GuestMemory,
    ) -> Result<(), GeneralProtection> {
        let mut partition = self.partition.lock();
        match register {
            GUEST_OS_ID => {
                partition.guest_os_id = value;
                if value == 0 {
                    partition.hypercall &= !ENABLE;
                }
            }
            HYPERCALL => partition.set_hypercall(value, memory)?,
            REFERENCE_TSC => {
                if value & ENABLE != 0 {
                    page(value, memory)?;
                }
                partition.reference_tsc = value;
                partition.show(clock, memory);
            }
            VP_ASSIST_PAGE => {
                if value & ENABLE != 0 {
                    let at = page(value, memory)?;
                    memory
                        .fill(at, PAGE_BYTES, 0)
                        .map_err(|_| GeneralProtection)?;
                }
                own.assist_page = value;
            }
            TSC_INVARIANT_CONTROL if value & !1 == 0 => partition.invariant_control = value,
            _ => return Err(GeneralProtection),
        }
        let takes_calls = partition.hypercall & ENABLE != 0;
        self.takes_calls.store(takes_calls, Ordering::Release);
        Ok(())
    }

    /// A counter was moved: the page has to follow.
    pub fn follow_tsc(&self, clock: &Reading, memory: &GuestMemory) {
        self.partition.lock().show(clock, memory);
    }
}

impl Partition {
    fn set_hypercall(&mut self, value: u64, memory: &GuestMemory) -> Result<(), GeneralProtection> {
        // Locked, it stays as it is; and a guest that has not said who it is has none.
        if self.hypercall & LOCKED != 0 || self.guest_os_id == 0 {
            return Ok(());
        }
        if value & ENABLE != 0 {
            let at = page(value, memory)?;
            memory
                .write(at, &hypercall_code(&host::cpuid))
                .map_err(|_| GeneralProtection)?;
        }
        self.hypercall = value;
        Ok(())
    }

    /// Fills the page in, if there is one. While its sequence number is 0 guests ask the register.
    fn show(&mut self, clock: &Reading, memory: &GuestMemory) {
        const INVALID: u32 = 0;
        self.reference = None;
        if self.reference_tsc & ENABLE == 0 {
            return;
        }
        let at = Gpa(self.reference_tsc & PAGE);
        let reference = ReferenceTime::new(&clock.time);
        let mut shown = memory.store(at, &INVALID);
        if let Some(reference) = reference {
            self.sequence = self.sequence.wrapping_add(1).max(1);
            let bytes = reference.bytes(self.sequence);
            shown = shown
                .and_then(|()| memory.write(at.wrapping_add(4), &bytes[4..]))
                .and_then(|()| memory.store(at, &self.sequence));
        }
        debug_assert!(shown.is_ok());
        self.reference = reference;
    }
}

/// The page that a register names, if it is memory.
fn page(value: u64, memory: &GuestMemory) -> Result<Gpa, GeneralProtection> {
    let at = Gpa(value & PAGE);
    memory
        .contains(at, PAGE_BYTES)
        .then_some(at)
        .ok_or(GeneralProtection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::Instant;
    use hvm::pvclock::{Stability, Time};
    use hvm::tsc::Period;

    /// A microsecond after the start.
    fn clock() -> Reading {
        Reading {
            time: Time {
                tsc_at_zero: 5_000,
                period: Period::of_hz(1_000_000_000),
                stability: Stability::Common,
            },
            tsc: 6_000,
            now: Instant::from_ns(1_000),
        }
    }

    fn guest(offered: Enlightenments) -> (HyperV, Reading, GuestMemory) {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x4000)]);
        (HyperV::new(offered, Kvm::Shown), clock(), memory)
    }

    #[test]
    fn the_page_and_the_register_tell_one_time() {
        let (interface, mut clock, memory) = guest(Enlightenments::all());
        let own = &mut VirtualProcessor::default();
        let count = |clock: &Reading| {
            interface.read(TIME_REF_COUNT, 0, &VirtualProcessor::default(), clock)
        };
        assert_eq!(count(&clock), Ok(10));
        interface
            .write(REFERENCE_TSC, 0x2001, own, &clock, &memory)
            .unwrap();
        assert_eq!(memory.load::<u32>(Gpa(0x2000)), Ok(1));
        assert!(matches!(count(&clock), Ok(9..=10)));
        // The guest moves one counter, then the others to the same.
        clock.time.stability = Stability::Apart;
        interface.follow_tsc(&clock, &memory);
        assert_eq!(memory.load::<u32>(Gpa(0x2000)), Ok(0));
        assert_eq!(count(&clock), Ok(10));
        clock.time.stability = Stability::Common;
        interface.follow_tsc(&clock, &memory);
        assert_eq!(memory.load::<u32>(Gpa(0x2000)), Ok(2));
        interface.reset();
        interface.follow_tsc(&clock, &memory);
        assert_eq!(memory.load::<u32>(Gpa(0x2000)), Ok(2), "it is nobody's now");
    }

    #[test]
    fn groups_choose_the_registers() {
        let (interface, ..) = guest(Enlightenments::BASE | Enlightenments::REFERENCE_TSC);
        assert!(interface.has(GUEST_OS_ID) && interface.has(REFERENCE_TSC));
        assert!(
            !interface.has(TIME_REF_COUNT) && !interface.has(EOI) && !interface.has(0x4000_0003)
        );
    }

    #[test]
    fn the_hypercall_page_comes_with_a_name_and_goes_with_it() {
        let (interface, clock, memory) = guest(Enlightenments::all());
        let own = &mut VirtualProcessor::default();
        let mut write = |register, value| interface.write(register, value, own, &clock, &memory);
        assert_eq!(write(HYPERCALL, 0x1001), Ok(()));
        assert!(!interface.takes_calls());
        write(GUEST_OS_ID, 7).unwrap();
        assert_eq!(write(HYPERCALL, 0x10_0001), Err(GeneralProtection));
        write(HYPERCALL, 0x1001).unwrap();
        assert!(interface.takes_calls());
        assert_eq!(memory.load::<u8>(Gpa(0x1003)), Ok(0xc3));
        write(GUEST_OS_ID, 0).unwrap();
        assert!(!interface.takes_calls());
        write(GUEST_OS_ID, 7).unwrap();
        write(HYPERCALL, 0x1002).unwrap();
        write(HYPERCALL, 0x2001).unwrap();
        assert!(!interface.takes_calls(), "it was locked");
    }

    #[test]
    fn pages_that_are_no_memory_are_refused() {
        let (interface, clock, memory) = guest(Enlightenments::all());
        let own = &mut VirtualProcessor::default();
        let mut write = |register, value| interface.write(register, value, own, &clock, &memory);
        for register in [REFERENCE_TSC, VP_ASSIST_PAGE] {
            assert_eq!(write(register, 0x4001), Err(GeneralProtection));
            assert_eq!(write(register, !0), Err(GeneralProtection));
            assert_eq!(write(register, 0x3001), Ok(()));
        }
        assert_eq!(write(VP_INDEX, 1), Err(GeneralProtection));
        assert_eq!(write(TSC_INVARIANT_CONTROL, 2), Err(GeneralProtection));
    }
}
