//! Which context a CPU is in. Each level interrupts only the ones below it, so what belongs to one CPU and one level is never
//! used twice at the same time and needs no lock.

use core::sync::atomic::{AtomicU8, Ordering};

/// A context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Everything else: tasks and vCPU loops.
    Normal = 0,
    /// An interrupt handler (they run with interrupts off, so one at a time).
    Interrupt = 1,
    /// NMI or machine check.
    Nmi = 2,
}

/// How many levels there are.
pub const LEVELS: usize = 3;
/// How many CPUs the log tells apart.
pub const MAX_CPUS: usize = 256;

static CURRENT: [AtomicU8; MAX_CPUS] = [const { AtomicU8::new(0) }; MAX_CPUS];

/// Runs a handler at `level` on CPU `cpu` (its index, 0 the boot CPU). Every interrupt handler is called through this.
pub fn enter<R>(cpu: usize, level: Level, handler: impl FnOnce() -> R) -> R {
    let Some(current) = CURRENT.get(cpu) else {
        return handler();
    };
    let before = current.swap(level as u8, Ordering::Relaxed);
    let result = handler();
    current.store(before, Ordering::Relaxed);
    result
}

/// The level that CPU `cpu` is at.
pub fn of(cpu: usize) -> Level {
    match CURRENT
        .get(cpu)
        .map_or(0, |current| current.load(Ordering::Relaxed))
    {
        0 => Level::Normal,
        1 => Level::Interrupt,
        _ => Level::Nmi,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_nest_and_come_back() {
        let cpu = 201;
        enter(cpu, Level::Interrupt, || {
            assert_eq!(of(cpu), Level::Interrupt);
            enter(cpu, Level::Nmi, || assert_eq!(of(cpu), Level::Nmi));
            assert_eq!(of(cpu), Level::Interrupt);
        });
        assert_eq!(of(cpu), Level::Normal);
    }

    #[test]
    fn a_cpu_beyond_the_table_still_runs_its_handler() {
        assert_eq!(enter(MAX_CPUS, Level::Nmi, || 3), 3);
    }
}
