//! A terminal for the console.

use core::convert::Infallible;
use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use virtio_pv::console::{Console, TerminalSize};

/// What is typed, what is shown, and how much more there is room for.
#[derive(Default)]
pub struct Terminal {
    pub typed: VecDeque<u8>,
    pub shown: Vec<u8>,
    pub room: usize,
}

#[derive(Clone, Default)]
pub struct Port(pub Arc<Mutex<Terminal>>);

impl ErrorType for Port {
    type Error = Infallible;
}

impl Read for Port {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Infallible> {
        let mut terminal = self.0.lock().unwrap();
        let bytes = into.len().min(terminal.typed.len());
        for (into, byte) in into.iter_mut().zip(terminal.typed.drain(..bytes)) {
            *into = byte;
        }
        Ok(bytes)
    }
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(!self.0.lock().unwrap().typed.is_empty())
    }
}

impl Write for Port {
    fn write(&mut self, from: &[u8]) -> Result<usize, Infallible> {
        let mut terminal = self.0.lock().unwrap();
        let bytes = from.len().min(terminal.room);
        assert_ne!(bytes, 0, "a write that would block");
        terminal.room -= bytes;
        terminal.shown.extend_from_slice(&from[..bytes]);
        Ok(bytes)
    }
    fn flush(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(self.0.lock().unwrap().room != 0)
    }
}

pub fn console(port: &Port) -> Box<Console> {
    let size = TerminalSize {
        columns: 80,
        rows: 25,
    };
    Box::new(Console::new(Box::new(port.clone()), size))
}
