//! Timers: as many interrupts as ticks.

use crate::log::{self, check};
use crate::machine::{self, PIC_BASE, io_apic, lapic};
use crate::{sequences, trap};
use core::arch::x86_64::__cpuid;

sequences! { await_one, idle, settled, window }

const ROUNDS: u32 = 100;
const LAPIC_VECTOR: u8 = 0x48;
const PIT_VECTOR: u8 = 0x49;
/// PIT ticks: about 0.2 ms.
const PIT_TICKS: u16 = 240;
const CURRENT_COUNT: u32 = 0x390;
/// The request register's dword with [`LAPIC_VECTOR`], and its bit.
const REQUESTS: u32 = 0x220;
const REQUESTED: u32 = 1 << (LAPIC_VECTOR % 32);
const IA32_TSC_DEADLINE: u32 = 0x6e0;

pub fn run() {
    of_the_lapic();
    of_the_pit();
}

/// Waits for one interrupt; it has this vector, and no second comes.
fn one(vector: u8) -> bool {
    await_one();
    window();
    log::is(&[(vector, 1)])
}

/// Waits for `ticks` interrupts with this vector.
fn many(ticks: usize, vector: u8) -> bool {
    while log::len() < ticks {
        idle();
    }
    log::all().all(|record| record.vector == vector)
}

fn of_the_lapic() {
    lapic::write(lapic::TIMER, u32::from(LAPIC_VECTOR));
    check("lapic-once", ROUNDS, trap::nothing, || {
        lapic::write(lapic::INITIAL_COUNT, 20_000);
        one(LAPIC_VECTOR)
    });
    check("lapic-periodic", 5, trap::nothing, || {
        start_periodic(100_000);
        let good = many(20, LAPIC_VECTOR);
        stop();
        good
    });
    // While interrupts are off, ticks merge in the request register.
    check("lapic-slow", 5, trap::nothing, || {
        start_periodic(500_000);
        let (mut last, mut wraps) = (u32::MAX, 0);
        while wraps < 3 || lapic::read(REQUESTS) & REQUESTED == 0 {
            // Not to be in the local APIC all the time: QEMU's timer needs the same lock.
            (0..20).for_each(|_| settled());
            let now = lapic::read(CURRENT_COUNT);
            wraps += u32::from(now > last);
            last = now;
        }
        window();
        stop();
        (1..3).contains(&log::len()) && many(1, LAPIC_VECTOR)
    });
    if __cpuid(1).ecx & 1 << 24 != 0 {
        lapic::write(lapic::TIMER, lapic::DEADLINE | u32::from(LAPIC_VECTOR));
        check("lapic-deadline", ROUNDS, trap::nothing, || {
            machine::wrmsr(IA32_TSC_DEADLINE, machine::rdtsc() + 20_000);
            one(LAPIC_VECTOR)
        });
        check("lapic-deadline-past", ROUNDS, trap::nothing, || {
            machine::wrmsr(IA32_TSC_DEADLINE, machine::rdtsc() - 1);
            one(LAPIC_VECTOR)
        });
    }
    lapic::write(lapic::TIMER, lapic::MASKED);
}

fn start_periodic(count: u32) {
    lapic::write(lapic::TIMER, lapic::PERIODIC | u32::from(LAPIC_VECTOR));
    lapic::write(lapic::INITIAL_COUNT, count);
}

fn stop() {
    lapic::write(lapic::INITIAL_COUNT, 0);
    lapic::write(lapic::TIMER, u32::from(LAPIC_VECTOR));
}

fn of_the_pit() {
    io_apic::route(io_apic::TIMER_PIN, u32::from(PIT_VECTOR));
    of_the_pit_as("pit-io-apic", PIT_VECTOR);
    io_apic::route(io_apic::TIMER_PIN, io_apic::MASKED);
    // A request that goes away again is a spurious one in Bochs, and stays in QEMU.
    machine::pit_stop();
    lapic::write(lapic::LINT0, lapic::EXTINT);
    machine::out(0x21, 0xfe);
    window();
    of_the_pit_as("pit-8259", PIC_BASE);
    machine::out(0x21, 0xff);
    lapic::write(lapic::LINT0, lapic::MASKED);
}

fn of_the_pit_as(name: &str, vector: u8) {
    check(name, ROUNDS, trap::nothing, || {
        machine::pit_once(PIT_TICKS);
        one(vector)
    });
    check(name, 2, trap::nothing, || {
        machine::pit_periodic(PIT_TICKS);
        let good = many(20, vector);
        window();
        machine::pit_stop();
        good
    });
}
