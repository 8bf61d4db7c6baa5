//! The 16550A UART.
//!
//! [`Uart::probe`] finds out whether one is there; what it returns runs at 115200 baud, 8 data bits, no parity, FIFOs on. No
//! method waits, but [`Uart::write_polled`], and that with a bound.

pub mod bits;
#[cfg(test)]
mod model;

use crate::ports::Ports;
use bits::{
    DATA, DIVISOR_115200, FIFO_BYTES, FIFO_CONTROL, FifoControl, INTERRUPT_ENABLE, InterruptEnable,
    LINE_CONTROL, LINE_STATUS, LineControl, LineStatus, MODEM_CONTROL, MODEM_STATUS, ModemControl,
    NO_INTERRUPT,
};

/// First port of COM1.
pub const COM1: u16 = 0x3f8;
/// First port of COM2.
pub const COM2: u16 = 0x2f8;

/// How often the line status is read for 16 bytes to leave: at 115200 baud they need 1.4 ms. A port read on the ISA bus takes
/// about 1 µs, so a stuck line costs 0.2 s; but an emulator that keeps the line's pace may answer within a few
/// nanoseconds of its own time, as Bochs does.
const TRANSMIT_POLLS: u32 = 200_000;

/// Which interrupts are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// None; the UART is polled.
    Off,
    /// When bytes came in.
    Receive,
    /// When the transmit FIFO is empty.
    Transmit,
    /// When bytes came in, and when the transmit FIFO is empty.
    ReceiveAndTransmit,
}

/// Whether the UART was asking for an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No: its line is low.
    None,
    /// Yes; there may be more.
    Found,
}

/// A UART that was found.
pub struct Uart<P> {
    ports: P,
    base: u16,
    interrupts: Interrupts,
    /// Set once the transmitter did not move for a whole poll; from then on nobody waits for it.
    stuck: bool,
}

impl<P: Ports> Uart<P> {
    /// Looks for a UART at `base` and sets it up. `None` if the interrupt-enable register does not hold what is written
    /// to it (an absent device reads FFh).
    pub fn probe(mut ports: P, base: u16) -> Option<Self> {
        ports.write_u8(base + LINE_CONTROL, LineControl::EIGHT_BITS.bits());
        for pattern in [0x0f, 0x00] {
            ports.write_u8(base + INTERRUPT_ENABLE, pattern);
            if ports.read_u8(base + INTERRUPT_ENABLE) != pattern {
                return None;
            }
        }
        let mut uart = Self::assume(ports, base);
        uart.set_up();
        Some(uart)
    }

    /// The UART at `base`, taken as it is: it was probed and set up before, and its interrupts are off or do not matter.
    pub fn assume(ports: P, base: u16) -> Self {
        Self {
            ports,
            base,
            interrupts: Interrupts::Off,
            stuck: false,
        }
    }

    fn set_up(&mut self) {
        let [low, high] = DIVISOR_115200.to_le_bytes();
        self.write(
            LINE_CONTROL,
            (LineControl::EIGHT_BITS | LineControl::DIVISOR_LATCH).bits(),
        );
        self.write(DATA, low);
        self.write(INTERRUPT_ENABLE, high);
        self.write(LINE_CONTROL, LineControl::EIGHT_BITS.bits());
        let fifos = FifoControl::ENABLE
            | FifoControl::CLEAR_RECEIVER
            | FifoControl::CLEAR_TRANSMITTER
            | FifoControl::TRIGGER_8;
        self.write(FIFO_CONTROL, fifos.bits());
        let modem = ModemControl::DTR | ModemControl::RTS | ModemControl::OUT2;
        self.write(MODEM_CONTROL, modem.bits());
        // Clears what firmware left behind.
        for register in [FIFO_CONTROL, LINE_STATUS, MODEM_STATUS] {
            self.read(register);
        }
    }

    /// Chooses the interrupts. Asking for the transmit interrupt while the FIFO is empty raises it at once.
    pub fn set_interrupts(&mut self, interrupts: Interrupts) {
        if interrupts == self.interrupts {
            return;
        }
        self.interrupts = interrupts;
        let enable = match interrupts {
            Interrupts::Off => InterruptEnable::empty(),
            Interrupts::Receive => InterruptEnable::RECEIVED,
            Interrupts::Transmit => InterruptEnable::TRANSMITTER_EMPTY,
            Interrupts::ReceiveAndTransmit => {
                InterruptEnable::RECEIVED | InterruptEnable::TRANSMITTER_EMPTY
            }
        };
        self.write(INTERRUPT_ENABLE, enable.bits());
    }

    /// Clears the transmit interrupt, if that is the most urgent cause. An edge-triggered interrupt controller sees the next
    /// interrupt only if the line falls, so this is called, and received bytes are read, until no cause is left.
    pub fn acknowledge(&mut self) -> Cause {
        // Interrupt identification shares its address with FIFO control (data sheet, 8.6).
        match self.read(FIFO_CONTROL) & NO_INTERRUPT {
            0 => Cause::Found,
            _ => Cause::None,
        }
    }

    /// The next received byte.
    pub fn read_byte(&mut self) -> Option<u8> {
        self.status()
            .contains(LineStatus::DATA_READY)
            .then(|| self.read(DATA))
    }

    /// How many bytes [`Uart::write_byte`] takes now.
    pub fn room(&mut self) -> usize {
        if self.status().contains(LineStatus::TRANSMITTER_EMPTY) {
            FIFO_BYTES
        } else {
            0
        }
    }

    /// Sends a byte. The caller knows from [`Uart::room`] that there is room.
    pub fn write_byte(&mut self, byte: u8) {
        self.write(DATA, byte);
    }

    /// Sends all of `bytes`, waiting for room. A transmitter that never moves costs one wait in all; after it bytes are
    /// dropped while there is no room.
    pub fn write_polled(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(FIFO_BYTES) {
            if self.wait_for_room() {
                for &byte in chunk {
                    self.write_byte(byte);
                }
            }
        }
    }

    fn wait_for_room(&mut self) -> bool {
        let polls = if self.stuck { 1 } else { TRANSMIT_POLLS };
        let found = (0..polls).any(|_| self.room() > 0);
        self.stuck = !found;
        found
    }

    fn status(&mut self) -> LineStatus {
        LineStatus::from_bits_retain(self.read(LINE_STATUS))
    }

    fn read(&mut self, register: u16) -> u8 {
        self.ports.read_u8(self.base + register)
    }

    fn write(&mut self, register: u16, value: u8) {
        self.ports.write_u8(self.base + register, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{model::Model, *};
    use proptest::prelude::*;

    #[test]
    fn an_empty_port_is_no_uart() {
        assert!(Uart::probe(Model::absent(), COM1).is_none());
    }

    #[test]
    fn it_is_set_up_for_115200_8n1_with_fifos() {
        let uart = Uart::probe(Model::new(COM1), COM1).unwrap();
        assert_eq!(uart.ports.divisor, 1);
        assert_eq!(uart.ports.line_control, 3);
        assert_eq!(uart.ports.fifo_control, 0x87);
        assert_eq!(uart.ports.modem_control, 0x0b);
        assert_eq!(uart.ports.interrupt_enable, 0);
    }

    #[test]
    fn received_bytes_come_in_order() {
        let mut uart = Uart::probe(Model::new(COM1), COM1).unwrap();
        uart.ports.receive(b"ab");
        assert_eq!(uart.read_byte(), Some(b'a'));
        assert_eq!(uart.read_byte(), Some(b'b'));
        assert_eq!(uart.read_byte(), None);
    }

    #[test]
    fn interrupts_follow_the_choice() {
        let mut uart = Uart::probe(Model::new(COM1), COM1).unwrap();
        uart.set_interrupts(Interrupts::ReceiveAndTransmit);
        assert!(uart.ports.interrupt_line());
        assert_eq!(uart.acknowledge(), Cause::Found);
        assert!(!uart.ports.interrupt_line());
        assert_eq!(uart.acknowledge(), Cause::None);
        uart.ports.receive(b"x");
        assert!(uart.ports.interrupt_line());
        assert_eq!(uart.acknowledge(), Cause::Found);
        assert!(uart.ports.interrupt_line());
        uart.read_byte();
        assert!(!uart.ports.interrupt_line());
        uart.set_interrupts(Interrupts::Off);
        uart.ports.receive(b"y");
        assert!(!uart.ports.interrupt_line());
    }

    #[test]
    fn a_stuck_transmitter_is_waited_for_only_once() {
        let mut uart = Uart::probe(Model::new(COM1), COM1).unwrap();
        uart.ports.stuck = true;
        uart.write_polled(b"first");
        let polls = uart.ports.status_reads;
        assert!(polls >= TRANSMIT_POLLS);
        uart.write_polled(b"second");
        assert_eq!(uart.ports.status_reads, polls + 1);
        uart.ports.stuck = false;
        uart.write_polled(b"third");
        assert_eq!(uart.ports.sent, b"third");
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_however_slow_the_line(bytes: std::vec::Vec<u8>, polls_a_byte in 1u32..40) {
            let mut uart = Uart::probe(Model::new(COM2), COM2).unwrap();
            uart.ports.polls_a_byte = polls_a_byte;
            uart.write_polled(&bytes);
            prop_assert_eq!(uart.ports.overruns, 0);
            uart.ports.finish();
            prop_assert_eq!(&uart.ports.sent, &bytes);
        }
    }
}
