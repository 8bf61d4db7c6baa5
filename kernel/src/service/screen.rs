//! The screen service: has the guest's screen captured as often as somebody looks at it.

use super::{console, signal::Signal};
use crate::console::view::{Capture, HostEnd};
use alloc::format;
use alloc::string::String;
use core::sync::atomic::{AtomicBool, Ordering};
use hvm::display::Picture;
use spin::Mutex;

/// Raised when there is a capture, when one is wanted, and by the alarm.
pub static WORK: Signal = Signal::new();

/// The prompt wants to tell what the screen shows.
static TEXT_WANTED: AtomicBool = AtomicBool::new(false);
/// The answer. Only tasks touch it, so it is never contended.
static TEXT: Mutex<Option<String>> = Mutex::new(None);
/// The host's screen shows Monovisor rather than the guest.
static TURNED_OVER: AtomicBool = AtomicBool::new(false);

/// Asks for the screen's text; [`take_text`] has it after the console service was woken.
pub fn ask_text() {
    TEXT_WANTED.store(true, Ordering::Release);
    WORK.raise();
}

/// The text, once it is there.
pub fn take_text() -> Option<String> {
    TEXT.lock().take()
}

/// Turns the host's screen from the guest to Monovisor, or back.
pub fn turn_over() {
    TURNED_OVER.fetch_xor(true, Ordering::AcqRel);
    WORK.raise();
}

/// Whether the host's screen, and so its keyboard, is the guest's.
pub fn shows_guest() -> bool {
    !TURNED_OVER.load(Ordering::Acquire)
}

/// Serves for ever.
pub async fn run(mut view: HostEnd) {
    let mut asked = false;
    loop {
        if let Some(capture) = view.take() {
            asked = false;
            show(&capture);
        }
        if !asked && TEXT_WANTED.load(Ordering::Acquire) {
            asked = true;
            view.ask();
        }
        WORK.wait().await;
    }
}

fn show(capture: &Capture) {
    if TEXT_WANTED.swap(false, Ordering::AcqRel) {
        *TEXT.lock() = Some(describe(capture.picture.as_deref()));
        console::WORK.raise();
    }
}

/// What a screen shows, for people and programs.
fn describe(picture: Option<&dyn Picture>) -> String {
    let Some(picture) = picture else {
        return "screen: none; the guest has no display adapter\n".into();
    };
    match picture.text() {
        Some(text) => {
            let cursor = match text.cursor {
                Some((column, row)) => format!(", cursor at {column},{row}"),
                None => String::new(),
            };
            format!(
                "screen: text, {}x{}{cursor}\n{text}",
                text.columns, text.rows
            )
        }
        None => {
            let size = picture.size();
            format!("screen: graphics, {}x{}\n", size.width, size.height)
        }
    }
}
