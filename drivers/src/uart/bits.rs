//! Registers of the 16550A UART (National Semiconductor PC16550D data sheet, section 8).

use bitflags::bitflags;

/// Receiver buffer (read), transmitter holding register (write); divisor, low byte, while DLAB is set.
pub const DATA: u16 = 0;
/// Interrupt enable; divisor, high byte, while DLAB is set.
pub const INTERRUPT_ENABLE: u16 = 1;
/// Interrupt identification (read), FIFO control (write).
pub const FIFO_CONTROL: u16 = 2;
/// Interrupt identification: set while nothing is pending.
pub const NO_INTERRUPT: u8 = 1;
/// Line control.
pub const LINE_CONTROL: u16 = 3;
/// Modem control.
pub const MODEM_CONTROL: u16 = 4;
/// Line status.
pub const LINE_STATUS: u16 = 5;
/// Modem status.
pub const MODEM_STATUS: u16 = 6;

/// Bytes in each FIFO.
pub const FIFO_BYTES: usize = 16;
/// The divisor for 115200 baud from the 1.8432 MHz crystal (table 3 of the data sheet).
pub const DIVISOR_115200: u16 = 1;

bitflags! {
    /// Interrupt enable register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterruptEnable: u8 {
        /// Received data available, and the FIFO's time-out.
        const RECEIVED = 1;
        /// Transmitter holding register (and with it the transmit FIFO) empty.
        const TRANSMITTER_EMPTY = 1 << 1;
        /// Receiver line status.
        const LINE_STATUS = 1 << 2;
        /// Modem status.
        const MODEM_STATUS = 1 << 3;
    }
}

bitflags! {
    /// FIFO control register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct FifoControl: u8 {
        /// FIFOs on.
        const ENABLE = 1;
        /// Empties the receive FIFO.
        const CLEAR_RECEIVER = 1 << 1;
        /// Empties the transmit FIFO.
        const CLEAR_TRANSMITTER = 1 << 2;
        /// Receive interrupt at 8 bytes, or when the line falls silent for four characters.
        const TRIGGER_8 = 2 << 6;
    }
}

bitflags! {
    /// Line control register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LineControl: u8 {
        /// 8 data bits; with nothing else: no parity, one stop bit.
        const EIGHT_BITS = 3;
        /// The first two registers are the divisor.
        const DIVISOR_LATCH = 1 << 7;
    }
}

bitflags! {
    /// Modem control register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ModemControl: u8 {
        /// Data terminal ready.
        const DTR = 1;
        /// Request to send.
        const RTS = 1 << 1;
        /// On PCs the gate of the interrupt line.
        const OUT2 = 1 << 3;
    }
}

bitflags! {
    /// Line status register.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LineStatus: u8 {
        /// A byte can be read.
        const DATA_READY = 1;
        /// The transmit FIFO is empty.
        const TRANSMITTER_EMPTY = 1 << 5;
        const _ = !0;
    }
}
