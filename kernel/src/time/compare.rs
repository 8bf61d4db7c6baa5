//! Two CPUs' counters at one moment: the boot CPU asks, another answers with its counter, by a word in memory that both watch.

use super::counter::ordered_counter;
use super::skew::{Bounds, Round, Sighting};
use crate::cpu::percpu;
use crate::{smp, time};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// Rounds at least: the bounds are those of the quickest answer each way, and a guest's threads, which are quicker than most, must not
/// notice what remains. It is a millisecond on silicon.
const ROUNDS: usize = 4096;
/// Rounds go on until what they say is known so exactly: silicon needs some hundred nanoseconds, emulators a few microseconds;
const NARROW_NS: u64 = 1_000;
/// or for so long: an emulator's CPUs may hardly ever run at the same time.
const PATIENCE_NS: u64 = 200_000_000;
/// After so many rounds
const ROUNDS_IN_VAIN: usize = 4;
/// the CPU that asks sleeps for so long.
const NAP_NS: u64 = 1_000_000;
/// A CPU has so long to answer.
const ANSWER_NS: u64 = 100_000_000;

/// The conversation that goes on; a CPU that comes late to one that is over leaves again.
static CONVERSATION: AtomicU64 = AtomicU64::new(0);
/// Counts up with each question.
static QUESTION: AtomicU64 = AtomicU64::new(0);
/// The question that was answered last,
static ANSWERED: AtomicU64 = AtomicU64::new(0);
/// and the counter that was the answer.
static ANSWER: AtomicU64 = AtomicU64::new(0);

/// Looks at the counters of all other CPUs, which must be parked, from the boot CPU: by index from 1, `None` for one that does not answer.
pub(super) fn all() -> Vec<Option<Sighting>> {
    (1..percpu::count()).map(one).collect()
}

fn one(cpu: usize) -> Option<Sighting> {
    let conversation = CONVERSATION.fetch_add(1, Ordering::AcqRel) + 1;
    smp::run_on(cpu, move || answer(conversation)).ok()?;
    let seen = look();
    CONVERSATION.fetch_add(1, Ordering::AcqRel);
    seen
}

fn look() -> Option<Sighting> {
    let mut bounds = Bounds::new(ask()?);
    let start = time::tsc();
    let (patience, narrow) = (time::ns_to_tsc(PATIENCE_NS), time::ns_to_tsc(NARROW_NS));
    let mut rounds = 1;
    while rounds < ROUNDS || bounds.width() > narrow {
        if time::tsc().wrapping_sub(start) > patience {
            break;
        }
        if let Some(round) = ask() {
            bounds = bounds.with(round);
        }
        rounds += 1;
        // Two CPUs of an emulator that share one of its host's spin in turns. One that has slept may find another place.
        if rounds % ROUNDS_IN_VAIN == 0 && bounds.width() > narrow {
            time::sleep(NAP_NS);
        }
    }
    Some(bounds.sighting())
}

fn ask() -> Option<Round> {
    let number = QUESTION.load(Ordering::Relaxed) + 1;
    let before = ordered_counter();
    QUESTION.store(number, Ordering::Release);
    let answered = || ANSWERED.load(Ordering::Acquire) == number;
    let patience = time::ns_to_tsc(ANSWER_NS);
    let start = time::tsc();
    let mut spins = 0_u32;
    while !answered() {
        spins += 1;
        if rest(spins) && time::tsc().wrapping_sub(start) > patience {
            return None;
        }
    }
    let after = ordered_counter();
    let other = ANSWER.load(Ordering::Relaxed);
    Some(Round {
        before,
        other,
        after,
    })
}

/// Answers until the conversation is over. On the other CPU.
fn answer(conversation: u64) {
    let mut last = ANSWERED.load(Ordering::Relaxed);
    let mut spins = 0_u32;
    while CONVERSATION.load(Ordering::Acquire) == conversation {
        let number = QUESTION.load(Ordering::Acquire);
        if number == last {
            spins += 1;
            rest(spins);
            continue;
        }
        spins = 0;
        ANSWER.store(ordered_counter(), Ordering::Relaxed);
        ANSWERED.store(number, Ordering::Release);
        last = number;
    }
}

/// Now and then a PAUSE, and true. Not at each turn: it costs a hundred cycles and more, and on an emulator the host's lock, while one that
/// runs its CPUs in turns goes on to the next at a PAUSE only.
fn rest(spins: u32) -> bool {
    const SPINS: u32 = 256;
    let due = spins.is_multiple_of(SPINS);
    if due {
        core::hint::spin_loop();
    }
    due
}
