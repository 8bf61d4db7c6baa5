//! The host's ends of lines to people on the network.

use crate::console::fanout::Follower;
use crate::service::console::LINE;
use crate::service::control::CONTROL;
use crate::service::prompt::{Prompt, Way};
use alloc::collections::VecDeque;
use core::fmt::{self, Write};
use net::server::terminal::Line;

/// Text of the prompt that waits for its peer; what a command says beyond that is cut.
const TEXT_BYTES: usize = 48 * 1024;
/// The prompt takes no more input while this much waits.
const BUSY_BYTES: usize = 1024;
/// Ctrl-D.
const HANG_UP: u8 = 0x04;

/// The guest's serial line.
#[derive(Default)]
pub struct Serial(Option<Follower>);

impl Line for Serial {
    fn open(&mut self) {
        self.0 = Some(LINE.follow());
    }

    fn is_ready(&self) -> bool {
        self.0.as_ref().is_some_and(Follower::is_ready)
    }

    fn typed(&mut self, byte: u8) {
        if let Some(follower) = &mut self.0 {
            follower.typed(byte);
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.0.as_mut()?.next_byte()
    }

    fn is_over(&self) -> bool {
        false
    }

    fn close(&mut self) {
        self.0 = None;
    }
}

/// A prompt.
pub struct Own {
    prompt: Prompt,
    text: Text,
    hung_up: bool,
}

#[derive(Default)]
struct Text(VecDeque<u8>);

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.0.len() + 2 > TEXT_BYTES {
                return Err(fmt::Error);
            }
            if byte == b'\n' {
                self.0.push_back(b'\r');
            }
            self.0.push_back(byte);
        }
        Ok(())
    }
}

impl Default for Own {
    fn default() -> Self {
        Self {
            prompt: Prompt::new(&CONTROL),
            text: Text::default(),
            hung_up: false,
        }
    }
}

// An error of the prompt's tells that its text was cut, which shows.
impl Line for Own {
    fn open(&mut self) {
        let _ = self.prompt.greet(Way::Own, &mut self.text);
    }

    fn is_ready(&self) -> bool {
        self.text.0.len() < BUSY_BYTES && !self.prompt.is_busy()
    }

    fn typed(&mut self, byte: u8) {
        match byte {
            HANG_UP => self.hung_up = true,
            byte => _ = self.prompt.typed(byte, &mut self.text),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let _ = self.prompt.resume(&mut self.text);
        self.text.0.pop_front()
    }

    fn is_over(&self) -> bool {
        self.hung_up && self.text.0.is_empty()
    }

    fn close(&mut self) {}
}
