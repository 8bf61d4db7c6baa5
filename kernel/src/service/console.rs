//! The console service: COM1 between the guest, the prompt and the log.

use super::{
    control::CONTROL,
    prompt::{Prompt, Way},
    signal::Signal,
};
use crate::{
    console::{
        fanout::{Fanout, Tap, Wakers},
        mux::{Front, Mux, Typed},
        serial::Serial,
    },
    log, net,
};
use core::{
    fmt::Write,
    sync::atomic::{AtomicBool, Ordering},
};
use drivers::{
    ports::Ports,
    uart::{Cause, Interrupts, Uart},
};

/// Raised by COM1's interrupt, by the guest's end of the line, and by new log lines.
pub static WORK: Signal = Signal::new();

/// The guest's line, for those who follow it over the network.
pub static LINE: Fanout = Fanout::new(Wakers {
    followers: || net::wake_consoles(),
    console: || WORK.raise(),
});

/// The prompt is to come to the front by itself.
static OFFERED: AtomicBool = AtomicBool::new(false);

/// Brings the prompt to the front once everything that was said before has gone out: the guest has stopped, or there
/// is none, so that nobody else answers.
pub fn offer_prompt() {
    OFFERED.store(true, Ordering::Release);
    WORK.raise();
}

/// Bytes sent in one turn at most; the guest waits meanwhile on a machine with one CPU.
const TURN_BYTES: usize = 512;
/// The prompt takes no more input, and the log adds no more lines, while this much of their text waits to go out.
const OWN_BYTES: usize = 1024;

/// What a turn left undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing: wait for [`WORK`].
    Idle,
    /// More can be sent right now.
    Busy,
}

/// COM1 and everything that wants it.
pub struct Console<P> {
    uart: Uart<P>,
    mux: Mux,
    prompt: Prompt,
    guest: Tap,
    lines: log::Reader,
    /// A byte that found no room in the UART.
    next: Option<u8>,
}

impl<P: Ports> Console<P> {
    /// Takes over COM1 from the log, whose next line `lines` knows.
    pub fn new(mut uart: Uart<P>, guest: Tap, lines: log::Reader) -> Self {
        uart.set_interrupts(Interrupts::Receive);
        Self {
            uart,
            mux: Mux::new(),
            prompt: Prompt::new(&CONTROL),
            guest,
            lines,
            next: None,
        }
    }

    /// Does what can be done without waiting.
    pub fn turn(&mut self) -> Turn {
        // Writing into the multiplexer's queue cannot fail.
        let _ = self.prompt.resume(&mut self.mux);
        // Until the interrupt line is low: its next rise is what wakes us. Bytes that nobody has room for keep it high; then room does.
        loop {
            self.receive();
            if self.uart.acknowledge() == Cause::None || !self.takes_input() {
                break;
            }
        }
        self.print_lines();
        if self.mux.front() == Front::Prompt {
            while let Some(byte) = self.guest.read_byte() {
                self.mux.keep(byte);
            }
        }
        let turn = self.transmit();
        self.guest.settle();
        turn
    }

    /// Takes typed bytes while whoever is in front has room for two: a held Ctrl-A and what follows it.
    fn receive(&mut self) {
        while self.takes_input()
            && let Some(byte) = self.uart.read_byte()
        {
            match self.mux.typed(byte) {
                Typed::Held => {}
                Typed::Byte(byte) => self.deliver(&[byte]),
                Typed::AfterEscape(byte) => self.deliver(&[0x01, byte]),
                Typed::Switched(front) => self.switched(front),
            }
        }
    }

    fn takes_input(&self) -> bool {
        match self.mux.front() {
            Front::Guest => self.guest.input_ready(2),
            Front::Prompt => self.mux.own_bytes() < OWN_BYTES && !self.prompt.is_busy(),
        }
    }

    fn deliver(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.mux.front() {
                // `takes_input` saw room for it.
                Front::Guest => _ = self.guest.write_byte(byte),
                // Writing into the multiplexer's queue cannot fail.
                Front::Prompt => _ = self.prompt.typed(byte, &mut self.mux),
            }
        }
    }

    fn switched(&mut self, front: Front) {
        self.mux.start_line();
        // Writing into the multiplexer's queue cannot fail.
        let _ = match front {
            Front::Prompt => self.prompt.greet(Way::Shared, &mut self.mux),
            Front::Guest => match self.mux.take_lost_bytes() {
                0 => writeln!(self.mux, "[guest's console]"),
                lost => writeln!(
                    self.mux,
                    "[guest's console; {lost} bytes of its output were not kept]"
                ),
            },
        };
    }

    /// Log lines come between the lines of whoever is in front.
    fn print_lines(&mut self) {
        let mut printed = false;
        while self.mux.own_bytes() < OWN_BYTES
            && let Some(line) = self.lines.next_line()
        {
            if !printed {
                self.mux.start_line();
            }
            // Writing into the multiplexer's queue cannot fail.
            let _ = writeln!(self.mux, "{}{}", line.severity.prefix(), line.text());
            printed = true;
        }
        if printed {
            log::printed_up_to(&self.lines);
            if self.mux.front() == Front::Prompt && !self.prompt.is_busy() {
                let _ = self.prompt.redraw(&mut self.mux);
            }
        }
    }

    fn transmit(&mut self) -> Turn {
        let mut sent = 0;
        let mut room = 0;
        loop {
            if self.next.is_none() {
                self.next = self.mux.next_output(|| self.guest.read_byte());
            }
            if self.next.is_none()
                && OFFERED.swap(false, Ordering::AcqRel)
                && self.mux.bring_prompt()
            {
                self.switched(Front::Prompt);
                continue;
            }
            let Some(byte) = self.next else {
                self.uart.set_interrupts(Interrupts::Receive);
                return Turn::Idle;
            };
            if sent == TURN_BYTES {
                return Turn::Busy;
            }
            if room == 0 {
                room = self.uart.room();
            }
            if room == 0 {
                self.uart.set_interrupts(Interrupts::ReceiveAndTransmit);
                return Turn::Idle;
            }
            self.uart.write_byte(byte);
            self.next = None;
            room -= 1;
            sent += 1;
        }
    }

    /// Sends all that waits, polling; then gives COM1 back, with the first log line that it has not shown.
    pub fn close(mut self) -> (Uart<P>, log::Reader) {
        self.uart.set_interrupts(Interrupts::Off);
        self.print_lines();
        self.send_everything();
        self.mux.start_line();
        self.send_everything();
        (self.uart, self.lines)
    }

    fn send_everything(&mut self) {
        while let Some(byte) = self
            .next
            .take()
            .or_else(|| self.mux.next_output(|| self.guest.read_byte()))
        {
            self.uart.write_polled(&[byte]);
        }
    }
}

impl Console<crate::console::ports::CpuPorts> {
    /// Gives COM1 back to the log, everything being sent.
    pub fn hand_back(self) {
        let (uart, lines) = self.close();
        log::attach_serial(Serial::from_uart(uart), lines);
    }
}

/// Where there is no COM1: the guest's output goes to those who follow it, and is dropped otherwise.
pub async fn run_without_uart(mut guest: Tap) {
    loop {
        while guest.read_byte().is_some() {}
        guest.settle();
        WORK.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::bytes::{self, GuestEnd, HostEnd, line};
    use embedded_io::{Read, Write as _};
    use std::{collections::VecDeque, string::String, vec::Vec};

    /// A UART whose line is as fast as we are; `room` says whether it takes bytes at all.
    struct Terminal {
        keys: VecDeque<u8>,
        shown: Vec<u8>,
        interrupts: u8,
        room: bool,
    }

    impl Ports for &mut Terminal {
        fn read_u8(&mut self, port: u16) -> u8 {
            match port & 7 {
                0 => self.keys.pop_front().unwrap(),
                2 => u8::from(self.keys.is_empty()),
                5 => u8::from(!self.keys.is_empty()) | u8::from(self.room) << 5,
                _ => 0,
            }
        }
        fn write_u8(&mut self, port: u16, value: u8) {
            match port & 7 {
                0 => self.shown.push(value),
                1 => self.interrupts = value,
                _ => {}
            }
        }
        fn read_u32(&mut self, _: u16) -> u32 {
            unreachable!()
        }
        fn write_u32(&mut self, _: u16, _: u32) {
            unreachable!()
        }
    }

    struct Bench {
        terminal: Terminal,
        guest: GuestEnd,
        host: Option<HostEnd>,
    }

    impl Bench {
        fn new() -> Self {
            let nobody = || {};
            let (guest, host) = line(bytes::Wakers {
                service: nobody,
                guest: nobody,
            });
            let terminal = Terminal {
                keys: VecDeque::new(),
                shown: Vec::new(),
                interrupts: 0,
                room: true,
            };
            Self {
                terminal,
                guest,
                host: Some(host),
            }
        }

        /// Lets the console work with the terminal, without the log's lines, which other tests write.
        fn run(&mut self, script: impl FnOnce(&mut Console<&mut Terminal>, &mut GuestEnd)) {
            let uart = Uart::assume(&mut self.terminal, 0x3f8);
            let mut console = Console::new(
                uart,
                Tap::new(self.host.take().unwrap(), &LINE),
                log::Reader::from(u64::MAX / 4),
            );
            script(&mut console, &mut self.guest);
        }

        fn shown(&self) -> String {
            String::from_utf8_lossy(&self.terminal.shown).into_owned()
        }
    }

    fn turns<P: Ports>(console: &mut Console<P>) {
        while console.turn() == Turn::Busy {}
    }

    #[test]
    fn the_guest_is_seen_and_heard() {
        let mut bench = Bench::new();
        bench.terminal.keys.extend(b"root\x01x");
        bench.run(|console, guest| {
            guest.write_all(b"login: ").unwrap();
            turns(console);
            let mut typed = [0; 16];
            let length = guest.read(&mut typed).unwrap();
            assert_eq!(&typed[..length], b"root\x01x");
        });
        assert_eq!(bench.shown(), "login: ");
    }

    #[test]
    fn the_prompt_comes_and_goes_and_loses_nothing() {
        let mut bench = Bench::new();
        bench.terminal.keys.extend(b"\x01\x01frobnicate\r");
        bench.run(|console, guest| {
            turns(console);
            guest.write_all(b"behind").unwrap();
            turns(console);
            assert_eq!(console.mux.typed(1), Typed::Held);
            assert_eq!(console.mux.typed(1), Typed::Switched(Front::Guest));
            turns(console);
        });
        let shown = bench.shown();
        assert!(shown.contains("`frobnicate` is no command"), "{shown}");
        assert!(shown.find("monovisor> ") < shown.find("behind"), "{shown}");
    }

    #[test]
    fn a_busy_transmitter_is_left_to_its_interrupt() {
        let mut bench = Bench::new();
        bench.terminal.room = false;
        bench.run(|console, guest| {
            guest.write_all(b"x").unwrap();
            assert_eq!(console.turn(), Turn::Idle);
        });
        assert_eq!(bench.terminal.interrupts, 3);
        assert_eq!(bench.shown(), "");
    }

    #[test]
    fn input_that_finds_no_room_waits_in_the_uart() {
        let mut bench = Bench::new();
        bench.terminal.keys.extend([b'k'; 1000]);
        bench.run(|console, guest| {
            turns(console);
            let mut typed = [0; 1000];
            let first = guest.read(&mut typed).unwrap();
            assert!((100..1000).contains(&first), "{first}");
            turns(console);
            assert!(guest.read(&mut typed).unwrap() > 0);
        });
    }

    #[test]
    fn much_output_takes_several_turns() {
        let mut bench = Bench::new();
        bench.run(|console, guest| {
            guest.write_all(&[b'o'; TURN_BYTES + 1]).unwrap();
            assert_eq!(console.turn(), Turn::Busy);
            assert_eq!(console.turn(), Turn::Idle);
        });
        assert_eq!(bench.shown().len(), TURN_BYTES + 1);
        assert_eq!(bench.terminal.interrupts, 1);
    }

    #[test]
    fn closing_sends_the_last_words() {
        let mut bench = Bench::new();
        let uart = Uart::assume(&mut bench.terminal, 0x3f8);
        let console = Console::new(
            uart,
            Tap::new(bench.host.take().unwrap(), &LINE),
            log::Reader::from(u64::MAX / 4),
        );
        bench.guest.write_all(b"reboot: Power down").unwrap();
        console.close();
        assert_eq!(bench.shown(), "reboot: Power down\r\n");
    }
}
