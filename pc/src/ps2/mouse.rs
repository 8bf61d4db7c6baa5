//! The mouse: IBM's two-button protocol with Microsoft's wheel (IntelliMouse) and five buttons (IntelliMouse Explorer) on
//! demand (IBM PS/2 Hardware Interface Technical Reference, "Mouse"; Microsoft, "Intellimouse device specification").
//!
//! Where a real mouse loses counts when its 9-bit counters overflow, this one keeps them for the next report, so the overflow
//! bits stay 0. Resolution and scaling only scale what a report says.

use super::{
    ACKNOWLEDGE, ASK_RESEND, DISABLE, ENABLE, IDENTIFY, Pending, RESEND, RESET, SELF_TEST_PASSED,
    SET_DEFAULTS, SET_RATE,
};
use heapless::{Deque, Vec};
use hvm::Instant;
use hvm::input::{Action, Button, PointerEvent};
use serde::{Deserialize, Serialize};

const SCALE_ONE: u8 = 0xe6;
const SCALE_TWO: u8 = 0xe7;
const SET_RESOLUTION: u8 = 0xe8;
const STATUS: u8 = 0xe9;
const STREAM: u8 = 0xea;
const READ_DATA: u8 = 0xeb;
const END_WRAP: u8 = 0xec;
const WRAP: u8 = 0xee;
const REMOTE: u8 = 0xf0;
/// The answer to an argument that is wrong a second time.
const ERROR: u8 = 0xfc;

/// Counts after reset: 4 a millimetre, 100 reports a second.
const DEFAULT_RESOLUTION: u8 = 2;
const DEFAULT_RATE: u8 = 100;
/// Rates that a mouse knows.
const RATES: [u8; 7] = [10, 20, 40, 60, 80, 100, 200];
/// Rates that switch the wheel on, and then the further buttons.
const KNOCK_WHEEL: [u8; 3] = [200, 100, 80];
const KNOCK_BUTTONS: [u8; 3] = [200, 200, 80];

/// Status: remote mode, reporting, 2:1 scaling.
const STATUS_REMOTE: u8 = 1 << 6;
const STATUS_REPORTING: u8 = 1 << 5;
const STATUS_SCALED: u8 = 1 << 4;
/// First byte of a report: it is one; signs of both movements.
const REPORT: u8 = 1 << 3;
const REPORT_LEFT: u8 = 1 << 4;
const REPORT_DOWN: u8 = 1 << 5;
/// What one report can say.
const COUNTS: i32 = 255;
const NOTCHES: i32 = 7;
/// What is kept for later ones.
const KEPT: i32 = 1 << 15;

/// What the mouse shows itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Model {
    /// Two or three buttons.
    Standard,
    /// And a wheel.
    Wheel,
    /// And two more buttons.
    Explorer,
}

impl Model {
    fn identity(self) -> u8 {
        match self {
            Self::Standard => 0,
            Self::Wheel => 3,
            Self::Explorer => 4,
        }
    }
}

/// Who starts a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Mode {
    /// The mouse, at its sample rate.
    Stream,
    /// The system, by asking.
    Remote,
}

/// A command that waits for its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Awaited {
    Resolution,
    Rate,
}

/// Movement not yet told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Counters {
    right: i32,
    down: i32,
    /// Towards the user.
    wheel: i32,
}

/// The mouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mouse {
    model: Model,
    mode: Mode,
    wrap: bool,
    reporting: bool,
    scaled: bool,
    resolution: u8,
    rate: u8,
    /// The last rates set, newest last.
    knock: [u8; 3],
    awaited: Option<Awaited>,
    /// An argument was wrong once.
    refused: bool,
    counters: Counters,
    /// Left, right, middle, side, extra.
    buttons: u8,
    /// There is something to report.
    changed: bool,
    /// A button moved since the last report.
    clicked: bool,
    replies: Deque<u8, 5>,
    report: Deque<u8, 4>,
    /// What a resend repeats.
    last: Vec<u8, 5>,
    /// The soonest moment of the next report.
    next_report: Instant,
    position: Option<(u16, u16)>,
}

impl Default for Mouse {
    fn default() -> Self {
        Self::new()
    }
}

impl Mouse {
    /// A mouse after its self test: it does not report yet.
    pub fn new() -> Self {
        Self {
            model: Model::Standard,
            mode: Mode::Stream,
            wrap: false,
            reporting: false,
            scaled: false,
            resolution: DEFAULT_RESOLUTION,
            rate: DEFAULT_RATE,
            knock: [0; 3],
            awaited: None,
            refused: false,
            counters: Counters::default(),
            buttons: 0,
            changed: false,
            clicked: false,
            replies: Deque::new(),
            report: Deque::new(),
            last: Vec::new(),
            next_report: Instant::ZERO,
            position: None,
        }
    }

    /// True unless a click waits to be reported, which the next one would undo.
    pub(crate) fn has_room(&self) -> bool {
        !self.clicked || !self.streams()
    }

    /// The pointer did something.
    pub(crate) fn pointer(&mut self, event: PointerEvent) {
        match event {
            PointerEvent::Motion { right, down } => self.shift(right.into(), down.into()),
            PointerEvent::Position(position) => {
                let place = (position.x, position.y);
                let from = self.position.replace(place).unwrap_or(place);
                self.shift(
                    i32::from(place.0) - i32::from(from.0),
                    i32::from(place.1) - i32::from(from.1),
                );
            }
            PointerEvent::Wheel { up } => {
                let wheel = &mut self.counters.wheel;
                *wheel = (*wheel - i32::from(up)).clamp(-KEPT, KEPT);
                self.changed |= up != 0 && self.model != Model::Standard;
            }
            PointerEvent::Button { button, action } => self.click(button, action),
        }
    }

    /// Makes a report due although nothing moved: the news are to be had elsewhere.
    pub(crate) fn nudge(&mut self) {
        self.changed = true;
    }

    fn shift(&mut self, right: i32, down: i32) {
        let counters = &mut self.counters;
        counters.right = (counters.right + right).clamp(-KEPT, KEPT);
        counters.down = (counters.down + down).clamp(-KEPT, KEPT);
        self.changed |= right != 0 || down != 0;
    }

    fn click(&mut self, button: Button, action: Action) {
        let bit = match button {
            Button::Left => 1,
            Button::Right => 1 << 1,
            Button::Middle => 1 << 2,
            Button::Side => 1 << 3,
            Button::Extra => 1 << 4,
        };
        let before = self.buttons;
        match action {
            Action::Press => self.buttons |= bit,
            Action::Release => self.buttons &= !bit,
        }
        let moved = self.buttons != before;
        self.changed |= moved;
        self.clicked |= moved;
    }

    fn streams(&self) -> bool {
        self.reporting && self.mode == Mode::Stream && !self.wrap
    }

    /// Lets time pass: a report is made when one is due.
    pub(crate) fn advance(&mut self, now: Instant) {
        if self.due() && now >= self.next_report {
            for byte in self.take_report() {
                // As many places as a report has bytes.
                let _ = self.report.push_back(byte);
            }
            self.next_report = now + 1_000_000_000 / u64::from(self.rate.max(1));
        }
    }

    fn due(&self) -> bool {
        self.changed && self.streams() && self.report.is_empty() && self.awaited.is_none()
    }

    /// When [`Mouse::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due().then_some(self.next_report)
    }

    /// What waits for the controller.
    pub(crate) fn pending(&self) -> Option<Pending> {
        if !self.replies.is_empty() {
            Some(Pending::Reply)
        } else {
            (!self.report.is_empty()).then_some(Pending::Report)
        }
    }

    /// The next byte to the controller.
    pub(crate) fn next_byte(&mut self) -> Option<u8> {
        self.replies.pop_front().or_else(|| self.report.pop_front())
    }

    /// A report of what moved, which is then told.
    fn take_report(&mut self) -> Vec<u8, 4> {
        let counters = &mut self.counters;
        let right = take(&mut counters.right, COUNTS);
        let up = -take(&mut counters.down, COUNTS);
        let wheel = take(&mut counters.wheel, NOTCHES) as u8;
        let (right, up) = if self.scaled && self.mode == Mode::Stream {
            (scale(right), scale(up))
        } else {
            (right, up)
        };
        let mut first = REPORT | self.buttons & 7;
        if right < 0 {
            first |= REPORT_LEFT;
        }
        if up < 0 {
            first |= REPORT_DOWN;
        }
        // Four places, at most four bytes.
        let mut report = Vec::new();
        let _ = report.extend_from_slice(&[first, right as u8, up as u8]);
        match self.model {
            Model::Standard => self.counters.wheel = 0,
            Model::Wheel => {
                let _ = report.push(wheel);
            }
            Model::Explorer => {
                let _ = report.push(wheel & 0xf | (self.buttons >> 3) << 4);
            }
        }
        self.changed = self.counters != Counters::default();
        self.clicked = false;
        self.remember(&report);
        report
    }

    fn remember(&mut self, bytes: &[u8]) {
        self.last = bytes.iter().copied().take(5).collect();
    }

    fn reply(&mut self, bytes: &[u8]) {
        self.replies.clear();
        for &byte in bytes {
            // As many places as the longest reply has bytes.
            let _ = self.replies.push_back(byte);
        }
        if bytes != [RESEND] && bytes != [ERROR] {
            self.remember(bytes);
        }
    }

    /// A byte from the controller: a command or its argument. It ends whatever report was under way.
    pub(crate) fn receive(&mut self, byte: u8) {
        self.report.clear();
        if self.wrap && byte != RESET && byte != END_WRAP {
            self.reply(&[byte]);
            return;
        }
        match self.awaited.take() {
            Some(awaited) => self.argument(awaited, byte),
            None => self.command(byte),
        }
    }

    fn argument(&mut self, awaited: Awaited, byte: u8) {
        match awaited {
            Awaited::Resolution if byte <= 3 => self.resolution = byte,
            Awaited::Rate if RATES.contains(&byte) => self.set_rate(byte),
            _ if byte == RESET || self.refused => {
                self.refused = false;
                if byte == RESET {
                    self.command(byte);
                } else {
                    self.reply(&[ERROR]);
                }
                return;
            }
            _ => {
                self.refused = true;
                self.awaited = Some(awaited);
                self.reply(&[RESEND]);
                return;
            }
        }
        self.refused = false;
        self.reply(&[ACKNOWLEDGE]);
    }

    fn set_rate(&mut self, rate: u8) {
        self.rate = rate;
        self.knock = [self.knock[1], self.knock[2], rate];
        match self.knock {
            KNOCK_WHEEL if self.model == Model::Standard => self.model = Model::Wheel,
            KNOCK_BUTTONS => self.model = Model::Explorer,
            _ => {}
        }
    }

    fn command(&mut self, byte: u8) {
        match byte {
            SCALE_ONE => self.scaled = false,
            SCALE_TWO => self.scaled = true,
            SET_RESOLUTION => self.awaited = Some(Awaited::Resolution),
            SET_RATE => self.awaited = Some(Awaited::Rate),
            STATUS => {
                let status = self.status();
                return self.reply(&[ACKNOWLEDGE, status, self.resolution, self.rate]);
            }
            STREAM => self.set_mode(Mode::Stream),
            REMOTE => self.set_mode(Mode::Remote),
            READ_DATA => {
                let report = self.take_report();
                let mut bytes: Vec<u8, 5> = Vec::new();
                let _ = bytes.push(ACKNOWLEDGE);
                let _ = bytes.extend_from_slice(&report);
                return self.reply(&bytes);
            }
            WRAP => self.wrap = true,
            END_WRAP => self.wrap = false,
            IDENTIFY => return self.reply(&[ACKNOWLEDGE, self.model.identity()]),
            ENABLE => {
                self.forget();
                self.reporting = true;
            }
            DISABLE => self.reporting = false,
            SET_DEFAULTS => self.set_defaults(),
            ASK_RESEND => {
                let last = self.last.clone();
                return self.reply(&last);
            }
            RESET => {
                *self = Self {
                    buttons: self.buttons,
                    position: self.position,
                    ..Self::new()
                };
                return self.reply(&[ACKNOWLEDGE, SELF_TEST_PASSED, self.model.identity()]);
            }
            _ => return self.reply(&[RESEND]),
        }
        self.reply(&[ACKNOWLEDGE]);
    }

    fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        self.forget();
    }

    fn set_defaults(&mut self) {
        self.rate = DEFAULT_RATE;
        self.resolution = DEFAULT_RESOLUTION;
        self.scaled = false;
        self.reporting = false;
        self.set_mode(Mode::Stream);
    }

    /// Movement up to now is no news.
    fn forget(&mut self) {
        self.counters = Counters::default();
        self.changed = false;
        self.clicked = false;
    }

    /// The first status byte. Its button bits are in another order than a report's.
    fn status(&self) -> u8 {
        let flag = |set, bit| if set { bit } else { 0 };
        flag(self.mode == Mode::Remote, STATUS_REMOTE)
            | flag(self.reporting, STATUS_REPORTING)
            | flag(self.scaled, STATUS_SCALED)
            | flag(self.buttons & 1 != 0, 1 << 2)
            | flag(self.buttons & 1 << 2 != 0, 1 << 1)
            | flag(self.buttons & 1 << 1 != 0, 1)
    }

    /// A restored mouse as one that can be.
    pub(crate) fn sanitize(mut self) -> Self {
        let counters = &mut self.counters;
        for counter in [&mut counters.right, &mut counters.down, &mut counters.wheel] {
            *counter = (*counter).clamp(-KEPT, KEPT);
        }
        self.buttons &= 0x1f;
        if !RATES.contains(&self.rate) {
            self.rate = DEFAULT_RATE;
        }
        self.resolution &= 3;
        self
    }
}

/// Takes up to `most` in either direction out of a counter.
fn take(counter: &mut i32, most: i32) -> i32 {
    let part = (*counter).clamp(-most, most);
    *counter -= part;
    part
}

/// 2:1 scaling of a report in stream mode.
fn scale(counts: i32) -> i32 {
    let scaled = match counts.abs() {
        small @ 0..=1 => small,
        2 => 1,
        3 => 3,
        4 => 6,
        5 => 9,
        more => 2 * more,
    };
    (scaled * counts.signum()).clamp(-COUNTS, COUNTS)
}
