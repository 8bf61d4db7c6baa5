//! From the IA-PC HPET specification 1.0a.

use super::*;
use crate::testing::twins;
use proptest::prelude::*;

const PERIODIC_SET: u64 = VALUE_SET | PERIODIC | INTERRUPT;

struct Machine {
    hpet: Hpet,
    now: Instant,
}

impl Machine {
    fn new() -> Self {
        Self {
            hpet: Hpet::new(),
            now: Instant::ZERO,
        }
    }

    fn read(&mut self, offset: u64) -> u64 {
        self.hpet.read(offset, Width::Qword, self.now)
    }

    fn write(&mut self, offset: u64, value: u64) {
        self.hpet.write(offset, Width::Qword, value, self.now);
    }

    fn timer(index: u64, register: u64) -> u64 {
        TIMERS + TIMER_STRIDE * index + register
    }

    fn wait(&mut self, ticks: u64) -> Option<(Route, Output)> {
        self.now = self.now + ticks * TICK_NS;
        self.hpet.advance(self.now);
        self.hpet.outputs()[0]
    }
}

#[test]
fn what_it_says_of_itself() {
    let mut machine = Machine::new();
    let capabilities = machine.read(CAPABILITIES);
    assert_eq!(capabilities >> 32, 10_000_000, "femtoseconds a tick");
    assert!(capabilities >> 32 <= 0x05f5_e100, "2.3.4: at most 100 ns");
    assert_eq!(capabilities >> 8 & 0x1f, TIMERS_COUNT as u64 - 1);
    assert_eq!(capabilities as u32, 0x8086_a201);
    assert_eq!(
        machine.read(Machine::timer(2, TIMER_CONFIGURATION)),
        0xf0_0000_0000_0030
    );
    assert_eq!(machine.read(Machine::timer(0, TIMER_COMPARATOR)), u64::MAX);
    assert_eq!(machine.read(Machine::timer(3, TIMER_COMPARATOR)), 0);
}

#[test]
fn the_counter_runs_when_enabled() {
    let mut machine = Machine::new();
    machine.wait(100);
    assert_eq!(machine.read(COUNTER), 0);
    machine.write(COUNTER, 0xffff_fffe);
    machine.write(CONFIGURATION, ENABLE);
    machine.wait(5);
    assert_eq!(machine.read(COUNTER), 0x1_0000_0003);
    assert_eq!(machine.hpet.read(COUNTER + 4, Width::Dword, machine.now), 1);
    assert_eq!(machine.hpet.read(COUNTER, Width::Dword, machine.now), 3);
    assert_eq!(machine.hpet.read(COUNTER, Width::Byte, machine.now), 0);
    machine.write(CONFIGURATION, 0);
    machine.wait(5);
    assert_eq!(machine.read(COUNTER), 0x1_0000_0003);
}

#[test]
fn one_shot_by_edge() {
    let mut machine = Machine::new();
    machine.write(
        Machine::timer(0, TIMER_CONFIGURATION),
        INTERRUPT | 20 << ROUTE_SHIFT,
    );
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 5000);
    assert_eq!(machine.hpet.deadline(), None, "halted");
    machine.write(CONFIGURATION, ENABLE);
    assert_eq!(machine.hpet.deadline(), Some(Instant::from_ns(50_000)));
    let pin = Route::IoApic(20);
    assert_eq!(machine.wait(4999), Some((pin, Output::Edge(false))));
    assert_eq!(machine.wait(1), Some((pin, Output::Edge(true))));
    assert_eq!(machine.wait(1), Some((pin, Output::Edge(false))));
    assert_eq!(machine.read(STATUS), 0);
}

#[test]
fn a_level_stays_until_its_status_is_cleared() {
    let mut machine = Machine::new();
    let configuration = INTERRUPT | LEVEL | MODE_32 | 23 << ROUTE_SHIFT;
    machine.write(Machine::timer(0, TIMER_CONFIGURATION), configuration);
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 0xffff_0000_0000_1000);
    machine.write(CONFIGURATION, ENABLE);
    let pin = Route::IoApic(23);
    assert_eq!(machine.wait(0xfff), Some((pin, Output::Level(false))));
    assert_eq!(machine.wait(0x1000), Some((pin, Output::Level(true))));
    assert_eq!(machine.read(STATUS), 1);
    assert_eq!(machine.hpet.deadline(), None, "it is told already");
    machine.write(STATUS, 1);
    assert_eq!(machine.wait(0), Some((pin, Output::Level(false))));
    // 32 bits: again after a turn.
    assert_eq!(machine.wait(1 << 32), Some((pin, Output::Level(true))));
}

#[test]
fn periods_are_kept_and_lost_ones_told_once() {
    let mut machine = Machine::new();
    machine.write(CONFIGURATION, ENABLE | LEGACY_ROUTE);
    machine.write(Machine::timer(0, TIMER_CONFIGURATION), PERIODIC_SET);
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 3000);
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 2000);
    assert!(machine.hpet.replaces_legacy());
    machine.write(CONFIGURATION, LEGACY_ROUTE);
    assert!(!machine.hpet.replaces_legacy(), "a block that is off");
    machine.write(CONFIGURATION, ENABLE | LEGACY_ROUTE);
    let fired = Some((Route::Pit, Output::Edge(true)));
    assert_eq!(machine.wait(3000), fired);
    assert_eq!(machine.read(Machine::timer(0, TIMER_COMPARATOR)), 5000);
    assert_eq!(machine.wait(9000), fired);
    assert_eq!(machine.read(Machine::timer(0, TIMER_COMPARATOR)), 13_000);
    assert_eq!(machine.wait(999), Some((Route::Pit, Output::Edge(false))));
    assert_eq!(machine.wait(1), fired);
}

#[test]
fn a_route_that_it_cannot_have_is_none() {
    let mut machine = Machine::new();
    machine.write(CONFIGURATION, ENABLE);
    machine.write(
        Machine::timer(0, TIMER_CONFIGURATION),
        INTERRUPT | 5 << ROUTE_SHIFT,
    );
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 5);
    assert_eq!(machine.wait(5), None);
    machine.write(Machine::timer(0, TIMER_CONFIGURATION), INTERRUPT | PERIODIC);
    machine.write(Machine::timer(0, TIMER_COMPARATOR), 1);
    machine.write(CONFIGURATION, ENABLE | LEGACY_ROUTE);
    let soonest = machine.now + MIN_PERIOD_NS;
    assert!(
        machine.hpet.deadline().unwrap() >= soonest,
        "storms are held off"
    );
}

type Operation = (u64, usize, Option<u64>, u64);

fn operation() -> impl Strategy<Value = Operation> {
    let offset = prop_oneof![
        prop::sample::select(
            [
                0x10_u64, 0x20, 0xf0, 0x100, 0x108, 0x120, 0x128, 0x140, 0x148
            ]
            .as_slice()
        ),
        0_u64..WINDOW_BYTES,
    ];
    let value = prop_oneof![0_u64..16, 0_u64..100_000, any::<u64>()];
    let wait = prop_oneof![0_u64..10_000_000, 0_u64..100_000_000_000, any::<u64>()];
    (offset, 0_usize..4, prop::option::of(value), wait)
}

fn timed(operations: Vec<Operation>) -> Vec<(Instant, Operation)> {
    let mut now = Instant::ZERO;
    let at = |operation: Operation| {
        now = now + operation.3;
        (now, operation)
    };
    operations.into_iter().map(at).collect()
}

type Shown = (u64, [Option<(Route, Output)>; 3], Option<Instant>);

fn step(hpet: &mut Hpet, (now, operation): &(Instant, Operation)) -> Shown {
    let (offset, width, value, _) = *operation;
    let width = [Width::Byte, Width::Word, Width::Dword, Width::Qword][width];
    let value = match value {
        Some(value) => {
            hpet.write(offset, width, value, *now);
            0
        }
        None => hpet.read(offset, width, *now),
    };
    (value, hpet.outputs(), hpet.deadline())
}

proptest! {
    #[test]
    fn any_trace_is_harmless_and_state_round_trips(
        operations in prop::collection::vec(operation(), 0..100),
        cut in 0_usize..100,
    ) {
        twins(Hpet::new, &timed(operations), cut, step);
    }

    #[test]
    fn the_deadline_is_when_it_fires(
        comparator in 1_u64..1 << 40,
        period in 0_u64..1 << 30,
        before in 0_u64..1 << 20,
        flags in 0_u64..8,
    ) {
        let mut machine = Machine::new();
        machine.write(CONFIGURATION, ENABLE | LEGACY_ROUTE);
        let configuration = INTERRUPT | VALUE_SET | flags & 1 | (flags & 4) << 1;
        machine.write(Machine::timer(0, TIMER_CONFIGURATION), configuration);
        machine.write(Machine::timer(0, TIMER_COMPARATOR), comparator);
        if flags & 4 != 0 {
            machine.write(Machine::timer(0, TIMER_COMPARATOR), period);
        }
        machine.wait(before);
        if let Some(deadline) = machine.hpet.deadline() {
            let silent = Some((Route::Pit, Output::Edge(false)));
            let fired = Some((Route::Pit, Output::Edge(true)));
            let held_off = deadline == machine.now + MIN_PERIOD_NS;
            machine.hpet.advance(deadline - 1);
            let early = machine.hpet.outputs()[0];
            prop_assert!(early == silent || held_off);
            machine.hpet.advance(deadline);
            prop_assert!(machine.hpet.outputs()[0] == fired || held_off);
        }
    }
}
