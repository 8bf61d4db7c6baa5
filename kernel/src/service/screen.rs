//! The screen service: has the guest's screen captured as often as somebody looks at it, and shows it on the host's.

use super::alarm::{self, Bell};
use super::control::{CONTROL, GuestState};
use super::prompt::info::Info;
use super::{callers, console, signal::Signal};
use crate::console::screen::Screen;
use crate::console::view::{self, Capture, HostEnd};
use crate::report::version::BuildId;
use crate::{log, net, time};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use hvm::display::Picture;
use spin::Mutex;

/// Raised when there is a capture, when one is wanted, and by the alarm.
pub static WORK: Signal = Signal::new();

/// A prompt wants to tell what the screen shows.
static TEXT_WANTED: AtomicBool = AtomicBool::new(false);
/// The answers that there were, and the latest. Only tasks touch it, so it is never contended.
static TEXT: Mutex<(Ticket, String)> = Mutex::new((0, String::new()));

/// Which answer somebody waits for.
pub type Ticket = u64;
/// The host's screen shows Monovisor rather than the guest.
static TURNED_OVER: AtomicBool = AtomicBool::new(false);

/// What viewers on the network are to see. Only tasks touch it, so it is never contended.
static VIEWED: Mutex<Viewed> = Mutex::new(Viewed {
    audience: Audience::Nobody,
    is_wanted: false,
    latest: None,
});

struct Viewed {
    audience: Audience,
    /// A newer picture is wanted.
    is_wanted: bool,
    /// Not fetched yet.
    latest: Option<Capture>,
}

/// Whether somebody looks over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody: nothing is kept.
    Nobody,
    /// Somebody who has seen enough.
    Content,
    /// Somebody who wants a newer picture.
    Hungry,
}

/// Tells who looks on. Pictures come at the screen's own pace, and wake the network.
pub fn view(audience: Audience) {
    let mut viewed = VIEWED.lock();
    viewed.audience = audience;
    match audience {
        Audience::Nobody => viewed.latest = None,
        Audience::Content => {}
        Audience::Hungry => {
            viewed.is_wanted = true;
            WORK.raise();
        }
    }
}

/// What was captured since this was asked last: the picture, and what has changed in it.
pub fn take_view() -> Option<Capture> {
    VIEWED.lock().latest.take()
}

impl Viewed {
    /// Keeps a capture, with the changes of those that were not fetched.
    fn keep(&mut self, mut capture: Capture) {
        if self.audience == Audience::Nobody {
            return;
        }
        if let Some(before) = self.latest.take() {
            for rect in before.changed {
                view::add(&mut capture.changed, rect);
            }
        }
        self.latest = Some(capture);
        net::wake_consoles();
    }
}

/// Asks for the screen's text; [`text`] has it after the services with prompts were woken.
pub fn ask_text() -> Ticket {
    TEXT_WANTED.store(true, Ordering::Release);
    WORK.raise();
    TEXT.lock().0 + 1
}

/// The text, once it is there.
pub fn text(ticket: Ticket) -> Option<String> {
    let answer = TEXT.lock();
    (answer.0 >= ticket).then(|| answer.1.clone())
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

/// How long after a capture the next one is made: 25 a second while the picture changes, a tenth of a second while it stands still.
const BUSY_NS: u64 = 40_000_000;
const IDLE_NS: u64 = 100_000_000;
/// How often the status page is written anew.
const PAGE_NS: u64 = 1_000_000_000;

/// The service.
pub struct Service {
    view: HostEnd,
    /// A capture is being made.
    asked: bool,
    /// When the host's screen wants the next (host's TSC).
    next: u64,
    guest: Shown,
}

/// What is known of the guest's screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// There is one, as far as is known.
    Screen,
    /// There is none.
    Nothing,
}

impl Service {
    /// A service that captures through `view`.
    pub fn new(view: HostEnd) -> Self {
        Self {
            view,
            asked: false,
            next: 0,
            guest: Shown::Screen,
        }
    }

    /// Serves for ever.
    pub async fn run(mut self) {
        let host = log::with_screen(|_| ()).is_some();
        loop {
            if let Some(capture) = self.view.take() {
                self.asked = false;
                self.show(&capture);
                VIEWED.lock().keep(capture);
            }
            if host {
                self.attend_host();
            }
            self.attend_viewers();
            if !self.asked && TEXT_WANTED.load(Ordering::Acquire) {
                self.ask();
            }
            WORK.wait().await;
        }
    }

    /// Keeps the host's screen up to date.
    fn attend_host(&mut self) {
        let now = time::tsc();
        if TURNED_OVER.load(Ordering::Acquire) {
            log::with_screen(|screen| screen.show_page(page));
            alarm::set(Bell::Screen, now + time::ns_to_tsc(PAGE_NS));
        } else if self.guest == Shown::Screen && is_alive() {
            if now < self.next {
                alarm::set(Bell::Screen, self.next);
            } else if !self.asked {
                self.ask();
            }
        } else {
            log::with_screen(Screen::show_lines);
        }
    }

    /// Has a picture made for viewers on the network, when it is time.
    fn attend_viewers(&mut self) {
        if self.asked || !VIEWED.lock().is_wanted || CONTROL.state() == GuestState::Absent {
            return;
        }
        if time::tsc() < self.next {
            alarm::advance(Bell::Screen, self.next);
        } else {
            self.ask();
        }
    }

    fn ask(&mut self) {
        VIEWED.lock().is_wanted = false;
        self.asked = true;
        self.view.ask();
    }

    fn show(&mut self, capture: &Capture) {
        let picture = capture.picture.as_deref();
        if TEXT_WANTED.swap(false, Ordering::AcqRel) {
            let mut answer = TEXT.lock();
            answer.0 += 1;
            answer.1 = describe(picture);
            console::WORK.raise();
            callers::WORK.raise();
        }
        let Some(picture) = picture else {
            self.guest = Shown::Nothing;
            return;
        };
        if shows_guest() && is_alive() {
            log::with_screen(|screen| screen.show_guest(picture, &capture.changed));
        }
        let pause_ns = if capture.changed.is_empty() {
            IDLE_NS
        } else {
            BUSY_NS
        };
        self.next = time::tsc() + time::ns_to_tsc(pause_ns);
    }
}

/// Whether the guest has something to show; of one that has stopped the log speaks.
fn is_alive() -> bool {
    matches!(CONTROL.state(), GuestState::Running | GuestState::Paused)
}

/// The page about Monovisor: guest, host, and the latest lines of the log below.
fn page(out: &mut dyn Write, (columns, rows): (usize, usize)) -> fmt::Result {
    const HEAD_ROWS: usize = 16;
    writeln!(
        out,
        "Monovisor {}, build {BuildId}",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out, "Ctrl-Alt-Esc goes back to the guest")?;
    writeln!(out)?;
    Info::now(&CONTROL).write(out)?;
    net::write_status(out)?;
    writeln!(out)?;
    let room = rows.saturating_sub(HEAD_ROWS + 1);
    let mut latest = VecDeque::new();
    let mut lines = log::Reader::from_oldest();
    while let Some(line) = lines.next_line() {
        latest.push_back(line);
        if latest.len() > room {
            latest.pop_front();
        }
    }
    for line in latest {
        let text = format!("{}{}", line.severity.prefix(), line.text());
        let end = text
            .char_indices()
            .nth(columns)
            .map_or(text.len(), |(end, _)| end);
        writeln!(out, "{}", &text[..end])?;
    }
    Ok(())
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
