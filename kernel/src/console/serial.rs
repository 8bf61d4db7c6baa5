//! COM1 before the console service runs, and after the machine's end: lines, polled.

use drivers::uart::{COM1, Uart};

use super::ports::CpuPorts;

/// COM1 as a printer of lines.
pub struct Serial(Uart<CpuPorts>);

impl Serial {
    /// Looks for COM1.
    ///
    /// # Safety
    /// Nothing else may drive COM1 as long as the value lives.
    pub unsafe fn probe() -> Option<Self> {
        // SAFETY: the UART's ports reach no memory, and by this function's contract nobody else uses them.
        Uart::probe(unsafe { CpuPorts::new() }, COM1).map(Self)
    }

    /// COM1, whoever drives it now; for the last lines of a machine that stops.
    pub(crate) fn in_emergency() -> Option<Self> {
        // SAFETY: the UART's ports reach no memory; the driver that is cut off here never runs again, or prints garbled.
        let mut ports = unsafe { CpuPorts::new() };
        let status =
            drivers::ports::Ports::read_u8(&mut ports, COM1 + drivers::uart::bits::LINE_STATUS);
        // An absent device reads FFh.
        (status != 0xff).then(|| Self(Uart::assume(ports, COM1)))
    }

    /// Prints one line.
    pub fn print_line(&mut self, prefix: &str, text: &str) {
        self.0.write_polled(prefix.as_bytes());
        self.0.write_polled(text.as_bytes());
        self.0.write_polled(b"\r\n");
    }

    /// COM1, back from the service that drove it.
    pub fn from_uart(uart: Uart<CpuPorts>) -> Self {
        Self(uart)
    }

    /// The UART, for the service that drives it by interrupts from now on.
    pub fn into_uart(self) -> Uart<CpuPorts> {
        self.0
    }
}
