//! What came in the running round, and what should have come.

use crate::{say, trap};

/// One event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub vector: u8,
    /// 1 in a handler, 2 in a handler that interrupted one, …
    pub depth: u8,
    pub rip: u64,
    pub flags: u64,
    /// DR6, for debug exceptions.
    pub dr6: u64,
}

const NONE: Record = Record {
    vector: 0,
    depth: 0,
    rip: 0,
    flags: 0,
    dr6: 0,
};
const ROOM: usize = 64;

static mut RECORDS: [Record; ROOM] = [NONE; ROOM];
#[unsafe(no_mangle)]
static mut log_length: usize = 0;

/// Appends one; what does not fit is only counted.
pub fn push(record: Record) {
    let length = len();
    if length < ROOM {
        // SAFETY: one CPU; a nested handler finds the slot free or full.
        unsafe { (&raw mut RECORDS[length]).write_volatile(record) };
    }
    // SAFETY: as above.
    unsafe { (&raw mut log_length).write_volatile(length + 1) };
}

/// How many came.
pub fn len() -> usize {
    // SAFETY: one CPU.
    unsafe { (&raw const log_length).read_volatile() }
}

/// Forgets all.
pub fn clear() {
    // SAFETY: one CPU.
    unsafe { (&raw mut log_length).write_volatile(0) };
}

/// Those that came, in order.
pub fn all() -> impl Iterator<Item = Record> {
    // SAFETY: one CPU; slots below the length are written.
    (0..len().min(ROOM)).map(|at| unsafe { (&raw const RECORDS[at]).read_volatile() })
}

/// True if just these came, as (vector, depth).
pub fn is(expected: &[(u8, u8)]) -> bool {
    all()
        .map(|record| (record.vector, record.depth))
        .eq(expected.iter().copied())
}

/// True if just these came, as (vector, RIP).
pub fn is_at(expected: &[(u8, u64)]) -> bool {
    all()
        .map(|record| (record.vector, record.rip))
        .eq(expected.iter().copied())
}

/// Runs a check: `body` so many rounds, each with an empty log and `hook` in the handler; it says whether a round was
/// good. Prints and returns the verdict, with the first bad round's log.
pub fn check(
    name: &str,
    rounds: u32,
    hook: fn(&mut trap::Frame),
    mut body: impl FnMut() -> bool,
) -> bool {
    trap::set_hook(hook);
    let mut bad = 0;
    for round in 0..rounds {
        clear();
        if !body() {
            bad += 1;
            if bad == 1 {
                report(name, round);
            }
        }
    }
    trap::set_hook(trap::nothing);
    if bad == 0 {
        say!("EVENTS {name} ok {rounds}\r\n");
    } else {
        say!("EVENTS {name} bad {bad} of {rounds}\r\n");
    }
    bad == 0
}

fn report(name: &str, round: u32) {
    say!("events {name}, round {round}: {} events\r\n", len());
    for Record {
        vector,
        depth,
        rip,
        flags,
        dr6,
    } in all().take(24)
    {
        say!("events   {vector:02x} depth {depth} rip {rip:x} flags {flags:x} dr6 {dr6:x}\r\n");
    }
}
