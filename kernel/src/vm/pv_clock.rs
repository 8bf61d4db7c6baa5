//! KVM's paravirtual clock of one vCPU: its registers, and the memory that the guest names by them.

use super::clock::Clock;
use guest_mem::{Gpa, GuestMemory};
use hvm::msr::GeneralProtection;
use hvm::pvclock::{ENABLE, OLD_SYSTEM_TIME, OLD_WALL_CLOCK, SYSTEM_TIME, WALL_CLOCK, wall_clock};

/// The registers.
#[derive(Clone, Copy, Debug, Default)]
pub struct PvClock {
    wall_clock: u64,
    system_time: u64,
    /// The version of the structure in guest memory, even.
    version: u32,
    /// The time line's generation when that was written.
    shown: u32,
}

impl PvClock {
    /// RDMSR.
    pub fn read(&self, register: u32) -> Result<u64, GeneralProtection> {
        match register {
            WALL_CLOCK | OLD_WALL_CLOCK => Ok(self.wall_clock),
            SYSTEM_TIME | OLD_SYSTEM_TIME => Ok(self.system_time),
            _ => Err(GeneralProtection),
        }
    }

    /// WRMSR. Memory that is not there is left alone, as KVM does.
    pub fn write(
        &mut self,
        register: u32,
        value: u64,
        clock: &Clock,
        memory: &GuestMemory,
    ) -> Result<(), GeneralProtection> {
        match register {
            WALL_CLOCK | OLD_WALL_CLOCK => {
                self.wall_clock = value;
                let seconds = clock.line().epoch_seconds();
                publish(memory, Gpa(value), 0, |version| {
                    wall_clock(seconds, version)
                });
            }
            SYSTEM_TIME | OLD_SYSTEM_TIME => {
                self.system_time = value;
                self.show(clock, memory);
            }
            _ => return Err(GeneralProtection),
        }
        Ok(())
    }

    /// Tells the guest again if a counter was moved since it was told.
    #[inline]
    pub fn refresh(&mut self, clock: &Clock, memory: &GuestMemory) {
        if self.shown != clock.line().generation() {
            self.show(clock, memory);
        }
    }

    #[cold]
    fn show(&mut self, clock: &Clock, memory: &GuestMemory) {
        self.shown = clock.line().generation();
        if self.system_time & ENABLE != 0 {
            let time = clock.pv_time();
            let at = Gpa(self.system_time & !ENABLE);
            self.version = publish(memory, at, self.version, |version| time.bytes(version));
        }
    }
}

/// Writes a structure that begins with its version: an odd one first, then the rest, then the next even one, which is returned.
fn publish<const BYTES: usize>(
    memory: &GuestMemory,
    at: Gpa,
    version: u32,
    bytes: impl FnOnce(u32) -> [u8; BYTES],
) -> u32 {
    let (odd, new) = (version.wrapping_add(1), version.wrapping_add(2));
    let bytes = bytes(odd);
    // Not a byte if a part of it is not there.
    if memory.contains(at, BYTES as u64) {
        let written = memory
            .store(at, &odd)
            .and_then(|()| memory.write(at.wrapping_add(4), &bytes[4..]))
            .and_then(|()| memory.store(at, &new));
        debug_assert!(written.is_ok());
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_even_at_the_end_and_moves_on() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        let version = publish(&memory, Gpa(0x20), 6, |odd| {
            assert_eq!(odd, 7);
            let mut bytes = [9; 12];
            bytes[0..4].copy_from_slice(&odd.to_le_bytes());
            bytes
        });
        assert_eq!(version, 8);
        assert_eq!(memory.load::<u32>(Gpa(0x20)), Ok(8));
        assert_eq!(memory.load::<u32>(Gpa(0x28)), Ok(0x0909_0909));
    }

    #[test]
    fn memory_that_is_not_there_is_left_alone() {
        let memory = GuestMemory::anonymous(&[(Gpa(0), 0x1000)]);
        publish(&memory, Gpa(0xff8), 0, |_| [1; 12]);
        assert_eq!(memory.load::<u32>(Gpa(0xff8)), Ok(0));
        publish(&memory, Gpa(u64::MAX - 2), 0, |_| [1; 12]);
    }
}
