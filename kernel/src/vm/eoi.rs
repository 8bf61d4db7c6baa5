//! Ends of interrupts that cost no exit: while nothing else waits for the end of an interrupt, the guest leaves word of it in memory
//! that it has named, by KVM's register ([`hvm::pv_eoi`]) or Hyper-V's assist page (TLFS, 10.3.5).
//!
//! The flag stands there only while the local APIC need not know whether the interrupt is over. Whoever asks it for more has the
//! answer fetched first ([`super::local::Local::collect_eoi`]).

use guest_mem::{Gpa, GuestMemory};
use hvm::pv_eoi::NO_END;
use pc::lapic::Lapic;

/// The flag of one vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eoi {
    /// KVM's register, as the guest wrote it.
    pub register: u64,
    place: Option<Gpa>,
    is_set: bool,
}

impl Eoi {
    /// The guest has named another place, or none. What stood at the old one has to be collected before.
    pub fn set_place(&mut self, place: Option<Gpa>) {
        debug_assert!(!self.is_set);
        self.place = place;
    }

    /// `vector` enters the guest: spares it the end, if that changes nothing but the local APIC. Memory that is not there is left alone.
    #[inline]
    pub fn spare(&mut self, vector: u8, lapic: &Lapic, memory: &GuestMemory) {
        if let Some(place) = self.place
            && lapic.may_end_unseen(vector)
        {
            self.is_set = memory.store(place, &NO_END).is_ok();
        }
    }

    /// Ends the interrupt in service if the guest has; if not, it will by the register.
    #[inline(always)]
    pub fn collect(&mut self, lapic: &mut Lapic, memory: &GuestMemory) {
        if self.is_set
            && let Some(place) = self.place
        {
            self.is_set = false;
            match memory.load::<u8>(place) {
                Ok(flag) if flag & NO_END == 0 => lapic.end_unseen(),
                Ok(flag) => withdraw(place, flag, memory),
                // It was there when it was set; then the guest ends by the register.
                Err(_) => {}
            }
        }
    }
}

/// The guest has not come so far, and will find nothing.
#[cold]
fn withdraw(place: Gpa, flag: u8, memory: &GuestMemory) {
    let written = memory.store(place, &(flag & !NO_END));
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;
    use hvm::apic::Trigger;
    use hvm::device::Signals;

    const PLACE: Gpa = Gpa(0x104);
    const SPURIOUS: u16 = 0xf0;

    struct Deaf;

    impl Signals for Deaf {
        fn interrupt(&mut self, _message: hvm::apic::ApicMessage) {}
        fn end_of_interrupt(&mut self, _vector: u8) {}
        fn power(&mut self, _event: hvm::device::PowerEvent) {}
    }

    /// A local APIC that is on, with `vector` in service, and the flag's place.
    fn in_service(vector: u8, trigger: Trigger) -> (Lapic, GuestMemory, Eoi) {
        let mut lapic = Lapic::new(0, true);
        lapic.mmio_write(SPURIOUS, 0x1ff, hvm::Instant::ZERO, &mut Deaf);
        lapic.accept_vector(vector, trigger);
        assert_eq!(lapic.pending(), Some(vector));
        lapic.acknowledge(vector);
        let mut eoi = Eoi::default();
        eoi.set_place(Some(PLACE));
        (lapic, GuestMemory::anonymous(&[(Gpa(0), 0x1000)]), eoi)
    }

    #[test]
    fn an_end_that_is_left_in_memory_ends_the_interrupt() {
        let (mut lapic, memory, mut eoi) = in_service(0x51, Trigger::Edge);
        eoi.spare(0x51, &lapic, &memory);
        assert_eq!(memory.load(PLACE), Ok(NO_END));
        memory.store(PLACE, &0_u8).unwrap();
        assert_eq!(lapic.priority() & 0xf0, 0x50, "not looked at yet");
        eoi.collect(&mut lapic, &memory);
        assert_eq!(lapic.priority(), 0);
        eoi.collect(&mut lapic, &memory);
    }

    #[test]
    fn an_end_that_was_not_left_is_left_to_the_register() {
        let (mut lapic, memory, mut eoi) = in_service(0x51, Trigger::Edge);
        memory.store(PLACE, &0xa0_u8).unwrap();
        eoi.spare(0x51, &lapic, &memory);
        eoi.collect(&mut lapic, &memory);
        assert_eq!(memory.load(PLACE), Ok(0_u8), "and cannot be left any more");
        assert_eq!(lapic.priority() & 0xf0, 0x50);
        lapic.write_end_of_interrupt(&mut Deaf);
        assert_eq!(lapic.priority(), 0);
    }

    #[test]
    fn no_end_is_spared_that_somebody_waits_for() {
        let (lapic, memory, mut eoi) = in_service(0x51, Trigger::Level);
        eoi.spare(0x51, &lapic, &memory);
        assert_eq!(memory.load(PLACE), Ok(0_u8), "the I/O APIC");
        let (mut lapic, ..) = in_service(0x51, Trigger::Edge);
        lapic.accept_vector(0x41, Trigger::Edge);
        eoi.spare(0x51, &lapic, &memory);
        assert_eq!(memory.load(PLACE), Ok(0_u8), "another interrupt");
        let (lapic, ..) = in_service(0x51, Trigger::Edge);
        eoi.spare(0x30, &lapic, &memory);
        assert_eq!(memory.load(PLACE), Ok(0_u8), "it came from elsewhere");
    }

    #[test]
    fn memory_that_is_not_there_is_left_alone() {
        let (mut lapic, memory, mut eoi) = in_service(0x51, Trigger::Edge);
        eoi.set_place(Some(Gpa(u64::MAX - 3)));
        eoi.spare(0x51, &lapic, &memory);
        eoi.collect(&mut lapic, &memory);
        assert_eq!(lapic.priority() & 0xf0, 0x50);
    }
}
