//! Prompts of those who come over the network: each has one of their own.
//!
//! What they type is obeyed by a task of its own, not by the network's, whose state a command may want to tell.

use super::control::CONTROL;
use super::prompt::{Prompt, Way};
use super::signal::Signal;
use crate::net;
use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::{self, Write};
use heapless::Deque;
use spin::Mutex;

/// Text that waits for a caller; what a command says beyond that is cut.
const TEXT_BYTES: usize = 48 * 1024;
/// The prompt takes no more input while this much waits.
const BUSY_BYTES: usize = 1024;
/// Typed bytes that may wait.
const TYPED_BYTES: usize = 128;
/// Ctrl-D.
const HANG_UP: u8 = 0x04;

/// Raised when somebody typed, and when the answer to a command is there.
pub static WORK: Signal = Signal::new();

/// Those who are there. Only tasks touch them, so no lock here is ever contended.
static CALLERS: Mutex<Vec<Weak<Mutex<State>>>> = Mutex::new(Vec::new());

struct State {
    prompt: Prompt,
    typed: Deque<u8, TYPED_BYTES>,
    text: Text,
    hung_up: bool,
}

/// Text with the line ends of terminals.
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

impl State {
    /// Obeys what was typed; true if there is something to read. An error of the prompt's says that its text was cut, which shows.
    fn turn(&mut self) -> bool {
        let _ = self.prompt.resume(&mut self.text);
        while self.text.0.len() < BUSY_BYTES
            && !self.prompt.is_busy()
            && let Some(byte) = self.typed.pop_front()
        {
            match byte {
                HANG_UP => self.hung_up = true,
                byte => _ = self.prompt.typed(byte, &mut self.text),
            }
        }
        self.hung_up || !self.text.0.is_empty()
    }
}

/// One of them, as the network sees it.
pub struct Caller(Arc<Mutex<State>>);

impl Caller {
    /// Somebody who is greeted.
    pub fn new() -> Self {
        let mut state = State {
            prompt: Prompt::new(&CONTROL),
            typed: Deque::new(),
            text: Text::default(),
            hung_up: false,
        };
        let _ = state.prompt.greet(Way::Own, &mut state.text);
        let state = Arc::new(Mutex::new(state));
        CALLERS.lock().push(Arc::downgrade(&state));
        Self(state)
    }

    /// Whether there is room for a typed byte.
    pub fn is_ready(&self) -> bool {
        !self.0.lock().typed.is_full()
    }

    /// They typed this; without room it is lost.
    pub fn typed(&mut self, byte: u8) {
        // As said.
        let _ = self.0.lock().typed.push_back(byte);
        WORK.raise();
    }

    /// The next byte for them.
    pub fn next_byte(&mut self) -> Option<u8> {
        let mut state = self.0.lock();
        let byte = state.text.0.pop_front();
        if state.text.0.is_empty() && !state.typed.is_empty() {
            WORK.raise();
        }
        byte
    }

    /// Whether they have hung up.
    pub fn is_over(&self) -> bool {
        let state = self.0.lock();
        state.hung_up && state.text.0.is_empty()
    }
}

/// Serves them for ever.
pub async fn run() {
    loop {
        let callers = CALLERS.lock().clone();
        let mut news = false;
        for caller in callers.iter().filter_map(Weak::upgrade) {
            news |= caller.lock().turn();
        }
        CALLERS.lock().retain(|caller| caller.strong_count() > 0);
        if news {
            net::wake_consoles();
        }
        WORK.wait().await;
    }
}
