//! A guest of any bytes: tables, registers, accesses and flushes, by two vCPUs.

use crate::world::{PHYSICAL_BITS, Pages, RAM_BYTES, VCPUS, World};
use ept_npt::shadow::{Budget, Root, Shadow, Verdict};
use guest_mem::{Gpa, GuestMemory, Gva, Hpa};
use hvm::regs::State;
use hvm::walk::{Access, AccessKind, Paging, Privilege};

/// Does what the bytes say, ten at a time: what, for whom, and a number.
pub fn run(memory: &GuestMemory, bytes: &[u8]) {
    let budget = Budget::divide(Budget::least_mib(4, VCPUS), memory, VCPUS);
    let budget = budget.expect("the least is enough");
    let store = Pages::new(budget.tables());
    let mut shadow = Shadow::new(store, &budget, memory, VCPUS, PHYSICAL_BITS);
    let mut world = World(memory);
    let mut cpus = [State::reset(), State::reset()];
    let mut at = 0;
    for (cpu, state) in cpus.iter().enumerate() {
        shadow.activate(cpu, &Paging::of(state, PHYSICAL_BITS), &mut world);
    }
    for step in bytes.chunks_exact(10) {
        let cpu = usize::from(step[1]) % VCPUS;
        let number = u64::from_le_bytes(step[2..].try_into().expect("eight bytes"));
        match step[0] % 16 {
            0 => at = number % (RAM_BYTES / 8) * 8,
            1..=5 => {
                memory.store(Gpa(at), &number).expect("in RAM");
                at = (at + 8 * u64::from(step[1] % 64)) % RAM_BYTES;
            }
            6 => {
                cpus[cpu].cr0 = number & 0x8001_0000 | 1;
                cpus[cpu].cr4 = number >> 8 & 0x30_00b0;
                cpus[cpu].efer = match number & 1 << 40 {
                    0 => number >> 32 & 0x800,
                    _ => {
                        cpus[cpu].cr4 |= 0x20;
                        number >> 32 & 0x800 | 0x500
                    }
                };
            }
            7 => cpus[cpu].cr3 = number % (2 * RAM_BYTES),
            8 => shadow.invalidate(Gva(number), &mut world),
            9 if number % 64 == 0 => shadow.clear(&mut world),
            9 => shadow.flush(&mut world),
            kind => {
                let access = Access {
                    kind: [AccessKind::Read, AccessKind::Write, AccessKind::Execute]
                        [usize::from(kind) % 3],
                    privilege: [Privilege::User, Privilege::Supervisor, Privilege::Implicit]
                        [usize::from(step[1]) / 2 % 3],
                };
                let paging = Paging::of(&cpus[cpu], PHYSICAL_BITS);
                // Few addresses, so that some are used again.
                let gva = Gva(number & 0x8080_c060_3fff);
                let gva = paging.wrap(gva);
                if let Verdict::Outside(gpa) = shadow.fault(cpu, &paging, gva, access, &mut world) {
                    assert!(gpa.0 >= RAM_BYTES);
                }
            }
        }
        if matches!(step[0] % 16, 6 | 7) {
            let paging = Paging::of(&cpus[cpu], PHYSICAL_BITS);
            let root = shadow.activate(cpu, &paging, &mut world);
            assert_ne!(root, Root::Long(Hpa(0)));
        }
        shadow.must_flush();
    }
}
