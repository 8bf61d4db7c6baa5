//! 16550A registers (National Semiconductor PC16550D data sheet, table II).

/// Register offsets; DLAB changes the first two, and FCR is IIR's write side.
pub(super) const DATA: u16 = 0;
pub(super) const IER: u16 = 1;
pub(super) const IIR_FCR: u16 = 2;
pub(super) const LCR: u16 = 3;
pub(super) const MCR: u16 = 4;
pub(super) const LSR: u16 = 5;
pub(super) const MSR: u16 = 6;

/// Interrupt enable.
pub(super) const IER_DATA: u8 = 1;
pub(super) const IER_THRE: u8 = 1 << 1;
pub(super) const IER_LINE: u8 = 1 << 2;
pub(super) const IER_MODEM: u8 = 1 << 3;
pub(super) const IER_WRITABLE: u8 = 0xf;

/// Interrupt identification, highest priority first (table IV).
pub(super) const IIR_LINE: u8 = 0x06;
pub(super) const IIR_DATA: u8 = 0x04;
pub(super) const IIR_TIMEOUT: u8 = 0x0c;
pub(super) const IIR_THRE: u8 = 0x02;
pub(super) const IIR_MODEM: u8 = 0x00;
pub(super) const IIR_NONE: u8 = 0x01;
/// FIFOs are on.
pub(super) const IIR_FIFO: u8 = 0xc0;

/// FIFO control.
pub(super) const FCR_ENABLE: u8 = 1;
pub(super) const FCR_CLEAR_RECEIVE: u8 = 1 << 1;
pub(super) const FCR_CLEAR_TRANSMIT: u8 = 1 << 2;
/// Receiver trigger in the top two bits: bytes.
pub(super) const FCR_TRIGGER: [u8; 4] = [1, 4, 8, 14];

/// Line control: divisor latch access.
pub(super) const LCR_DLAB: u8 = 1 << 7;

/// Modem control.
pub(super) const MCR_DTR: u8 = 1;
pub(super) const MCR_RTS: u8 = 1 << 1;
pub(super) const MCR_OUT1: u8 = 1 << 2;
pub(super) const MCR_OUT2: u8 = 1 << 3;
pub(super) const MCR_LOOP: u8 = 1 << 4;
pub(super) const MCR_WRITABLE: u8 = 0x1f;

/// Line status.
pub(super) const LSR_DATA: u8 = 1;
pub(super) const LSR_OVERRUN: u8 = 1 << 1;
pub(super) const LSR_THRE: u8 = 1 << 5;
pub(super) const LSR_TEMT: u8 = 1 << 6;

/// Modem status: lines above, changes of them in the low nibble.
pub(super) const MSR_CTS: u8 = 1 << 4;
pub(super) const MSR_DSR: u8 = 1 << 5;
pub(super) const MSR_RI: u8 = 1 << 6;
pub(super) const MSR_DCD: u8 = 1 << 7;
/// The ring indicator's change bit tells of trailing edges only.
pub(super) const MSR_TERI: u8 = 1 << 2;
