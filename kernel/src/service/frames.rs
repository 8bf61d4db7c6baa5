//! The frame service: drains `defmt` frames to COM2.

use super::signal::Signal;
use crate::log::frames::Drain;
use drivers::{
    ports::Ports,
    uart::{Interrupts, Uart},
};

/// Raised by COM2's interrupt and by new frames.
pub static WORK: Signal = Signal::new();

/// Bytes sent in one turn at most.
const TURN_BYTES: usize = 512;

/// COM2, and what goes there.
pub struct Frames<P> {
    uart: Uart<P>,
    drain: Drain,
    /// A byte that found no room.
    next: Option<u8>,
}

impl<P: Ports> Frames<P> {
    /// Takes charge of COM2.
    pub fn new(uart: Uart<P>) -> Self {
        Self {
            uart,
            drain: Drain::default(),
            next: None,
        }
    }

    /// Sends frames for ever.
    pub async fn run(mut self) -> ! {
        loop {
            self.turn();
            WORK.wait().await;
        }
    }

    fn turn(&mut self) {
        // Only the transmit interrupt is ever on, and this clears it.
        let _ = self.uart.acknowledge();
        let mut room = 0;
        for _ in 0..TURN_BYTES {
            let Some(byte) = self.next.take().or_else(|| self.drain.next_byte()) else {
                return self.uart.set_interrupts(Interrupts::Off);
            };
            if room == 0 {
                room = self.uart.room();
            }
            if room == 0 {
                self.next = Some(byte);
                return self.uart.set_interrupts(Interrupts::Transmit);
            }
            self.uart.write_byte(byte);
            room -= 1;
        }
        WORK.raise();
    }
}
