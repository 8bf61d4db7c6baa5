//! NMIs: blocking, latching, IRET, shadows.

use crate::log::{self, check};
use crate::machine::{self, io_apic};
use crate::trap::{self, DEBUG, Frame, INVALID_OPCODE, NMI, TF};
use crate::{at, sequences};
use core::arch::asm;

sequences! {
    send_nmi, send_two_nmis, cli_hlt, stepped_iret, stubs, shadow_1, shadow_2, shadow_3, shadow_4, window,
}

unsafe extern "C" {
    safe fn nmi_in_shadows(interrupts_on: bool) -> u64;
}

const ROUNDS: u32 = 200;

pub fn run() {
    let with_interrupts_off = check("nmi", ROUNDS, trap::nothing, || {
        send_nmi();
        log::is(&[(NMI, 1)])
    });
    check("nmi-latched", ROUNDS, two_more, || {
        send_nmi();
        log::is(&[(NMI, 1), (NMI, 1)])
    });
    check("nmi-nested", ROUNDS, one_and_an_exception, || {
        send_nmi();
        log::is(&[(NMI, 1), (INVALID_OPCODE, 2), (NMI, 2)])
    });
    check("nmi-iret-to-tf", ROUNDS, one_more_and_tf, || {
        send_nmi();
        let mut records = log::all();
        let mut next = || {
            records
                .next()
                .map(|one| (one.vector, one.rip, one.flags & TF))
        };
        let first = next().map_or(0, |(_, rip, _)| rip);
        log::is(&[(NMI, 1), (NMI, 1), (DEBUG, 1)])
            && next() == Some((NMI, first, TF))
            && next().is_some_and(|(_, rip, flags)| rip > first && flags == TF)
    });
    let mut late = 0;
    trap::with_gate(NMI, stepped_iret, || {
        check("nmi-stepped-iret", ROUNDS, trap::nothing, || {
            send_nmi();
            // The trap of the IRET goes before the second NMI, which comes at its handler's first instruction. The second
            // NMI's IRET traps there, and so is logged first.
            let handler = at(stubs) + 16 * u64::from(DEBUG);
            late += u32::from(log::all().next().is_none_or(|one| one.rip != handler));
            log::len() == 2 && trap::count(DEBUG) == 2
        });
    });
    say_count("nmi-behind-trap", late);
    from_the_pit(!with_interrupts_off);
}

/// NMIs that come at any instruction; with interrupts on where NMIs need that.
fn from_the_pit(interrupts_on: bool) {
    io_apic::route(io_apic::TIMER_PIN, io_apic::NMI);
    // What still waits for interrupts to be on.
    window();
    let mut ticks = 100;
    machine::pit_periodic(1000);
    check("nmi-halted", 20, trap::nothing, || {
        cli_hlt();
        log::len() > 0 && log::all().all(|one| (one.vector, one.depth) == (NMI, 1))
    });
    machine::pit_stop();
    let shadows = [shadow_1, shadow_2, shadow_3, shadow_4].map(at);
    let (mut borrowed, mut shadowed) = (0, 0);
    check("nmi-in-shadows", ROUNDS, trap::nothing, || {
        machine::pit_once(ticks);
        ticks += 3;
        let flags = nmi_in_shadows(interrupts_on);
        borrowed += u32::from(flags & TF != 0);
        shadowed += u32::from(log::all().any(|one| shadows.contains(&one.rip)));
        log::is(&[(NMI, 1)]) && log::all().all(|one| one.flags & TF == 0)
    });
    say_count("nmi-shadow-kept", shadowed);
    say_count("nmi-pushf", borrowed);
    io_apic::route(io_apic::TIMER_PIN, io_apic::MASKED);
}

/// A verdict of its own on what happened in so many rounds.
fn say_count(name: &str, bad: u32) {
    let verdict = if bad == 0 { "ok" } else { "bad" };
    crate::say!("EVENTS {name} {verdict} {bad} of {ROUNDS}\r\n");
}

fn first(frame: &Frame) -> bool {
    frame.vector as u8 == NMI && trap::count(NMI) == 1
}

fn two_more(frame: &mut Frame) {
    if first(frame) {
        send_two_nmis();
    }
}

fn one_and_an_exception(frame: &mut Frame) {
    if first(frame) {
        send_nmi();
        // SAFETY: the handler goes on behind it.
        unsafe { asm!("ud2") };
    }
}

fn one_more_and_tf(frame: &mut Frame) {
    if first(frame) {
        send_nmi();
        frame.flags |= TF;
    } else if frame.vector as u8 == DEBUG {
        frame.flags &= !TF;
    }
}
