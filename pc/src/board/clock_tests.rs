//! The board's counters beside one another: all follow from the time passed in, so none may run away from the others.

use super::*;
use crate::lapic::Lapic;
use crate::testing::{Sent, at};
use hvm::{Gpa, Width};
use proptest::prelude::*;

/// A tick of the PIT and one of the ACPI timer, rounded up.
const PIT_TICK_NS: u64 = 839;
const PM_TICK_NS: u64 = 280;
const HPET_TICK_NS: u64 = 10;

/// What each counter has counted, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Elapsed {
    pit: u64,
    pm: u64,
    hpet: u64,
    lapic: u64,
}

struct Clocks {
    board: Board,
    lapic: Lapic,
    sent: Sent,
    pit: u16,
    pit_ticks: u64,
    pm: u32,
    pm_ticks: u64,
}

impl Clocks {
    /// All start counting at `now_ns`.
    fn start(now_ns: u64) -> Self {
        let mut clocks = Self {
            board: Board::new(BoardConfig {
                epoch_seconds: 0,
                com1: None,
                com2: None,
                ide: None,
            }),
            lapic: Lapic::new(0, true),
            sent: Sent::default(),
            pit: 0,
            pit_ticks: 0,
            pm: 0,
            pm_ticks: 0,
        };
        let now = Instant::from_ns(now_ns);
        at(now_ns, &mut clocks.sent, |context| {
            // Counter 0: both bytes, mode 2, the whole range.
            for (port, value) in [(0x43, 0x34), (0x40, 0), (0x40, 0)] {
                clocks.board.port_write(port, Width::Byte, value, context);
            }
            let enable = Gpa(HPET_BASE.0 + 0x10);
            clocks.board.mmio_write(enable, Width::Qword, 1, context);
        });
        // Divided by 1, from the top.
        for (register, value) in [(0x3e0, 0xb), (0x380, u32::MAX)] {
            clocks
                .lapic
                .mmio_write(register, value, now, &mut clocks.sent);
        }
        (clocks.pit, clocks.pm) = clocks.counts(now_ns);
        clocks
    }

    fn counts(&mut self, now_ns: u64) -> (u16, u32) {
        let board = &mut self.board;
        at(now_ns, &mut self.sent, |context| {
            board.port_write(0x43, Width::Byte, 0, context);
            let low = board.port_read(0x40, Width::Byte, context);
            let high = board.port_read(0x40, Width::Byte, context);
            let pm = board.port_read(0x608, Width::Dword, context);
            ((high << 8 | low) as u16, pm)
        })
    }

    fn read(&mut self, now_ns: u64) -> Elapsed {
        let (pit, pm) = self.counts(now_ns);
        self.pit_ticks += u64::from(self.pit.wrapping_sub(pit));
        self.pm_ticks += u64::from(pm.wrapping_sub(self.pm) & 0xff_ffff);
        (self.pit, self.pm) = (pit, pm);
        let counter = Gpa(HPET_BASE.0 + 0xf0);
        let board = &mut self.board;
        let hpet = at(now_ns, &mut self.sent, |context| {
            board.mmio_read(counter, Width::Qword, context)
        });
        let left = self.lapic.mmio_read(0x390, Instant::from_ns(now_ns));
        Elapsed {
            pit: self.pit_ticks * 88_000 / 105,
            pm: self.pm_ticks * 88_000 / 315,
            hpet: hpet.unwrap_or(0) * HPET_TICK_NS,
            lapic: u64::from(u32::MAX - left),
        }
    }
}

proptest! {
    /// A reading is a tick late at most, and so was the first one.
    #[test]
    fn counters_agree_to_a_tick(start in 0_u64..1 << 50, steps in prop::collection::vec(1_u64..50_000_000, 1..60)) {
        let mut clocks = Clocks::start(start);
        let mut exact = 0;
        for step in steps {
            exact += step;
            let elapsed = clocks.read(start + exact);
            // The PIT takes its count over with its next tick.
            prop_assert!(elapsed.pit.abs_diff(exact) <= 2 * PIT_TICK_NS, "{exact} {elapsed:?}");
            prop_assert!(elapsed.pm.abs_diff(exact) <= PM_TICK_NS, "{exact} {elapsed:?}");
            prop_assert!(elapsed.hpet.abs_diff(exact) <= HPET_TICK_NS, "{exact} {elapsed:?}");
            prop_assert_eq!(elapsed.lapic, exact);
        }
    }
}
