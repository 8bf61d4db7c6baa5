//! Clocks of known rate: the HPET, the ACPI PM timer, and the PIT when there is nothing better.

use super::calibration::FS_PER_S;
use super::tsc;
use crate::acpi::Platform;
use crate::mem::map_mmio;
use x86::io::{inb, inl, outb};

/// Rate of the ACPI PM timer. (ACPI 6.5, 4.8.2.1.)
const PM_TIMER_HZ: u64 = 3_579_545;
/// Rate of the PIT. (8254 data sheet; 14.31818 MHz / 12.)
const PIT_HZ: u64 = 1_193_182;
/// HPET: capabilities; bits 32-63 are the period in femtoseconds, bit 13 says "64 bits wide". (IA-PC HPET 1.0a, 2.3.)
const HPET_CAPABILITIES: usize = 0x000;
/// HPET: configuration; bit 0 lets the counter run.
const HPET_CONFIGURATION: usize = 0x010;
/// HPET: main counter.
const HPET_COUNTER: usize = 0x0f0;
/// Longest period that the HPET may have, in femtoseconds.
const HPET_MAX_PERIOD_FS: u64 = 100_000_000;

/// A running counter of known rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    source: Source,
    /// Counts per second.
    pub hz: u64,
    /// The highest count; the next is 0.
    pub mask: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Virtual address of the registers.
    Hpet(usize),
    PmTimer(u16),
    Pit,
}

/// The TSC and another clock at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The TSC.
    pub tsc: u64,
    /// The other clock.
    pub count: u64,
}

/// How often two clocks are read to find one moment. A firmware's SMI, or a hypervisor under us that runs someone else, can
/// fall between two reads, but hardly every time.
const ATTEMPTS: usize = 4;
/// A clock that has not counted after so many reads is taken as it is.
const MAX_READS: usize = 10_000;

impl Sample {
    /// Of some attempts, the one in which the TSC passed the least while the other clock was read.
    pub fn narrowest(mut read: impl FnMut() -> u64) -> Self {
        let attempt = |_| Self::just_counted(&mut read);
        let (_, best) = (0..ATTEMPTS)
            .map(attempt)
            .min_by_key(|&(width, _)| width)
            .expect("there are attempts");
        best
    }

    /// Just after the other clock has counted, so that a slow one costs no precision; and how wide the moment was.
    fn just_counted(mut read: impl FnMut() -> u64) -> (u64, Self) {
        let first = read();
        for _ in 0..MAX_READS {
            let before = tsc();
            let count = read();
            let width = tsc().wrapping_sub(before);
            if count != first {
                return (
                    width,
                    Self {
                        tsc: before + width / 2,
                        count,
                    },
                );
            }
        }
        (
            u64::MAX,
            Self {
                tsc: tsc(),
                count: first,
            },
        )
    }
}

impl Reference {
    /// The best clock of this machine. The PIT is taken on trust, and started.
    pub fn find(platform: &Platform) -> Self {
        Self::hpet(platform)
            .or_else(|| Self::pm_timer(platform))
            .unwrap_or_else(Self::pit)
    }

    fn hpet(platform: &Platform) -> Option<Self> {
        let registers = map_mmio(platform.hpet?, 0x400)?;
        let base = registers.addr();
        // SAFETY: the page is mapped for good, uncached; both registers are aligned quadwords of it, and nobody else
        // drives the HPET.
        let capabilities = unsafe {
            let enable = registers.byte_add(HPET_CONFIGURATION).cast::<u64>();
            enable.write_volatile(enable.read_volatile() | 1);
            registers
                .byte_add(HPET_CAPABILITIES)
                .cast::<u64>()
                .read_volatile()
        };
        let period_fs = capabilities >> 32;
        // Read as 32 bits even where it has 64: one read is then always whole.
        let mask = u64::from(u32::MAX);
        (1..=HPET_MAX_PERIOD_FS).contains(&period_fs).then(|| Self {
            source: Source::Hpet(base),
            hz: FS_PER_S / period_fs,
            mask,
        })
    }

    fn pm_timer(platform: &Platform) -> Option<Self> {
        let port = platform.fadt.as_ref()?.pm_timer?;
        // 24 bits always work, also on timers that say that they have 32.
        let timer = Self {
            source: Source::PmTimer(port),
            hz: PM_TIMER_HZ,
            mask: 0xff_ffff,
        };
        // A timer that never moves is none.
        timer.moves().then_some(timer)
    }

    fn pit() -> Self {
        // SAFETY: port 61h bit 0 gates channel 2, whose output reaches only the speaker, which bit 1 keeps off.
        unsafe {
            outb(0x61, inb(0x61) & !0b10 | 0b01);
            // Channel 2, both bytes, mode 2 (counts down and starts over).
            outb(0x43, 0b1011_0100);
            outb(0x42, 0);
            outb(0x42, 0);
        }
        Self {
            source: Source::Pit,
            hz: PIT_HZ,
            mask: 0xffff,
        }
    }

    /// The name, for the log.
    pub fn name(&self) -> &'static str {
        match self.source {
            Source::Hpet(_) => "HPET",
            Source::PmTimer(_) => "ACPI PM timer",
            Source::Pit => "PIT",
        }
    }

    /// True if any CPU can read it at any time.
    pub fn is_shared(&self) -> bool {
        !matches!(self.source, Source::Pit)
    }

    /// The count now.
    pub fn count(&self) -> u64 {
        self.read()
    }

    fn read(&self) -> u64 {
        let count = match self.source {
            Source::Hpet(base) => {
                let counter = core::ptr::with_exposed_provenance::<u32>(base + HPET_COUNTER);
                // SAFETY: as in `hpet`.
                u64::from(unsafe { counter.read_volatile() })
            }
            // SAFETY: reading the PM timer has no effect.
            Source::PmTimer(port) => u64::from(unsafe { inl(port) }),
            Source::Pit => {
                // SAFETY: latching and reading channel 2 disturbs nobody else.
                let down = unsafe {
                    outb(0x43, 0b1000_0000);
                    u64::from(inb(0x42)) | u64::from(inb(0x42)) << 8
                };
                0_u64.wrapping_sub(down)
            }
        };
        count & self.mask
    }

    fn moves(&self) -> bool {
        let first = self.read();
        (0..10_000).any(|_| self.read() != first)
    }

    /// Both clocks at one moment, as exactly as can be had.
    pub fn sample(&self) -> Sample {
        Sample::narrowest(|| self.read())
    }

    /// Counts from one sample to a later one.
    pub fn elapsed(&self, from: Sample, to: Sample) -> u64 {
        to.count.wrapping_sub(from.count) & self.mask
    }
}
