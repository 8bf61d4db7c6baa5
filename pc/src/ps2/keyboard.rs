//! The keyboard: an enhanced (101/102-key) keyboard with the three scan-code sets (IBM PS/2 Hardware Interface Technical
//! Reference, "Keyboards (101- and 102-key)").

use super::scancode::{self, KeyMode, SET_3_CODES, Sequence, Set};
use super::{
    ACKNOWLEDGE, ASK_RESEND, DISABLE, ENABLE, IDENTIFY, Pending, RESEND, RESET, SELF_TEST_PASSED,
    SET_DEFAULTS, SET_RATE,
};
use heapless::{Deque, Vec};
use hvm::Instant;
use hvm::input::{Action, Key, KeyEvent, Leds};
use serde::{Deserialize, Serialize};

const SET_LEDS: u8 = 0xed;
const ECHO: u8 = 0xee;
const SELECT_SET: u8 = 0xf0;
const ALL_TYPEMATIC: u8 = 0xf7;
const ALL_MAKE_BREAK: u8 = 0xf8;
const ALL_MAKE: u8 = 0xf9;
const ALL_TYPEMATIC_MAKE_BREAK: u8 = 0xfa;
const KEY_TYPEMATIC: u8 = 0xfb;
const KEY_MAKE_BREAK: u8 = 0xfc;
const KEY_MAKE: u8 = 0xfd;
/// The lowest byte that can only be a command.
const FIRST_COMMAND: u8 = SET_LEDS;
/// What the keyboard says it is.
const IDENTITY: [u8; 2] = [0xab, 0x83];
/// Scan codes that wait for the system; one more place is for the overrun code.
const BUFFER_BYTES: usize = 16;
/// Typematic parameters after reset: 500 ms, 10.9 a second.
const DEFAULT_TYPEMATIC: u8 = 0x2b;
/// The unit of typematic periods, 1/240 s.
const PERIOD_UNIT_NS: u64 = 1_000_000_000 / 240;
const DELAY_UNIT_NS: u64 = 250_000_000;

/// A command that waits for its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Awaited {
    Leds,
    Set,
    Typematic,
    /// Set-3 codes of keys, until the next command.
    Keys(KeyMode),
}

/// What was sent around a grey key for the sake of software that does not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Disguise {
    /// A false left Shift: Num Lock is on.
    Shifted,
    /// False releases of the Shifts that are held.
    Unshifted,
}

/// The key that repeats, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Repeat {
    usage: u8,
    at: Instant,
}

/// The keyboard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyboard {
    set: Set,
    scanning: bool,
    leds: u8,
    typematic: u8,
    modes: Vec<KeyMode, SET_3_CODES>,
    awaited: Option<Awaited>,
    replies: Deque<u8, 4>,
    buffer: Deque<u8, { BUFFER_BYTES + 1 }>,
    last_sent: u8,
    /// Keys that are down, by usage.
    down: [u64; 4],
    repeat: Option<Repeat>,
    /// The grey key that was pressed last, and how it was disguised.
    disguised: Option<(u8, Disguise)>,
    /// Print Screen was pressed as SysRq.
    sysrq: bool,
}

impl Default for Keyboard {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyboard {
    /// A keyboard that passed its self test and whose answer to that has been read: it scans.
    pub fn new() -> Self {
        Self {
            set: Set::Two,
            scanning: true,
            leds: 0,
            typematic: DEFAULT_TYPEMATIC,
            modes: default_modes(),
            awaited: None,
            replies: Deque::new(),
            buffer: Deque::new(),
            last_sent: SELF_TEST_PASSED,
            down: [0; 4],
            repeat: None,
            disguised: None,
            sysrq: false,
        }
    }

    /// Its lamps.
    pub fn leds(&self) -> Leds {
        Leds::from_bits_truncate(self.leds)
    }

    /// True while the buffer has room for whatever a key sends.
    pub(crate) fn has_room(&self) -> bool {
        self.buffer.len() + scancode::SEQUENCE_BYTES <= BUFFER_BYTES
    }

    /// A key moved.
    pub(crate) fn key(&mut self, event: KeyEvent, now: Instant) {
        let KeyEvent { key, action } = event;
        if self.is_down(key) == (action == Action::Press) {
            return;
        }
        match action {
            Action::Press => self.press(key, now),
            Action::Release => self.release(key),
        }
    }

    fn press(&mut self, key: Key, now: Instant) {
        let sequence = self.make(key);
        self.mark(key, Action::Press);
        self.send(&sequence);
        let repeats = match self.set {
            Set::Three => matches!(
                self.mode(key),
                Some(KeyMode::Typematic | KeyMode::TypematicMakeBreak)
            ),
            _ => key != Key::Pause,
        };
        self.repeat = (repeats && self.scanning).then(|| Repeat {
            usage: key.usage(),
            at: now + self.delay_ns(),
        });
    }

    fn release(&mut self, key: Key) {
        self.mark(key, Action::Release);
        if self
            .repeat
            .is_some_and(|repeat| repeat.usage == key.usage())
        {
            self.repeat = None;
        }
        let sequence = self.release_sequence(key);
        self.send(&sequence);
    }

    /// Lets time pass: the held key repeats. A repeat waits until the system has read what came before.
    pub(crate) fn advance(&mut self, now: Instant) {
        let Some(Repeat { usage, at }) = self.repeat else {
            return;
        };
        if now < at || !self.buffer.is_empty() {
            return;
        }
        let Some(key) = Key::from_usage(usage) else {
            self.repeat = None;
            return;
        };
        let sequence = self.plain(key, Action::Press);
        self.send(&sequence);
        self.repeat = Some(Repeat {
            usage,
            at: now + self.period_ns(),
        });
    }

    /// When [`Keyboard::advance`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let repeat = self.repeat?;
        self.buffer.is_empty().then_some(repeat.at)
    }

    /// What waits for the controller.
    pub(crate) fn pending(&self) -> Option<Pending> {
        if !self.replies.is_empty() {
            Some(Pending::Reply)
        } else {
            (!self.buffer.is_empty()).then_some(Pending::Report)
        }
    }

    /// The next byte to the controller.
    pub(crate) fn next_byte(&mut self) -> Option<u8> {
        let byte = self
            .replies
            .pop_front()
            .or_else(|| self.buffer.pop_front())?;
        if byte != RESEND {
            self.last_sent = byte;
        }
        Some(byte)
    }

    /// A byte from the controller: a command or its argument.
    pub(crate) fn receive(&mut self, byte: u8) {
        self.replies.clear();
        match self.awaited.take() {
            Some(awaited) if byte < FIRST_COMMAND => self.argument(awaited, byte),
            _ => self.command(byte),
        }
    }

    fn argument(&mut self, awaited: Awaited, byte: u8) {
        match awaited {
            Awaited::Leds if byte <= Leds::all().bits() => self.leds = byte,
            Awaited::Typematic if byte < 0x80 => self.typematic = byte,
            Awaited::Set => {
                self.select_set(byte);
                return;
            }
            Awaited::Keys(mode) => {
                if let Some(slot) = self.modes.get_mut(usize::from(byte)) {
                    *slot = mode;
                }
                self.awaited = Some(awaited);
            }
            _ => {
                // Not an argument: asked for again.
                self.awaited = Some(awaited);
                self.reply(&[RESEND]);
                return;
            }
        }
        self.reply(&[ACKNOWLEDGE]);
    }

    fn select_set(&mut self, byte: u8) {
        let set = match byte {
            0 => {
                let number = match self.set {
                    Set::One => 1,
                    Set::Two => 2,
                    Set::Three => 3,
                };
                self.reply(&[ACKNOWLEDGE, number]);
                return;
            }
            1 => Set::One,
            2 => Set::Two,
            3 => Set::Three,
            _ => {
                self.awaited = Some(Awaited::Set);
                self.reply(&[RESEND]);
                return;
            }
        };
        self.clear();
        self.set = set;
        self.reply(&[ACKNOWLEDGE]);
    }

    fn command(&mut self, byte: u8) {
        match byte {
            ECHO => return self.reply(&[ECHO]),
            ASK_RESEND => return self.reply(&[self.last_sent]),
            IDENTIFY => return self.reply(&[ACKNOWLEDGE, IDENTITY[0], IDENTITY[1]]),
            RESET => {
                *self = Self {
                    down: self.down,
                    ..Self::new()
                };
                return self.reply(&[ACKNOWLEDGE, SELF_TEST_PASSED]);
            }
            SET_LEDS => self.awaited = Some(Awaited::Leds),
            SELECT_SET => self.awaited = Some(Awaited::Set),
            SET_RATE => self.awaited = Some(Awaited::Typematic),
            KEY_TYPEMATIC => self.await_keys(KeyMode::Typematic),
            KEY_MAKE_BREAK => self.await_keys(KeyMode::MakeBreak),
            KEY_MAKE => self.await_keys(KeyMode::Make),
            ALL_TYPEMATIC => self.set_all(KeyMode::Typematic),
            ALL_MAKE_BREAK => self.set_all(KeyMode::MakeBreak),
            ALL_MAKE => self.set_all(KeyMode::Make),
            ALL_TYPEMATIC_MAKE_BREAK => self.set_all(KeyMode::TypematicMakeBreak),
            ENABLE => {
                self.clear();
                self.scanning = true;
            }
            DISABLE => self.set_defaults(false),
            SET_DEFAULTS => self.set_defaults(self.scanning),
            _ => return self.reply(&[RESEND]),
        }
        self.reply(&[ACKNOWLEDGE]);
    }

    fn await_keys(&mut self, mode: KeyMode) {
        self.clear();
        self.awaited = Some(Awaited::Keys(mode));
    }

    fn set_all(&mut self, mode: KeyMode) {
        self.clear();
        self.modes.fill(mode);
    }

    /// The power-on state, but for the lamps.
    fn set_defaults(&mut self, scanning: bool) {
        *self = Self {
            down: self.down,
            leds: self.leds,
            last_sent: self.last_sent,
            scanning,
            ..Self::new()
        };
    }

    /// Empties the buffer; what is held down does not repeat any more.
    fn clear(&mut self) {
        self.buffer.clear();
        self.repeat = None;
    }

    fn reply(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            // Replies are shorter than the queue, which was emptied for this one.
            let _ = self.replies.push_back(byte);
        }
    }

    /// Buffers a sequence, or the overrun code in its place: once, behind the 16 bytes that the buffer holds.
    fn send(&mut self, sequence: &[u8]) {
        if !self.scanning {
            return;
        }
        if self.buffer.len() + sequence.len() <= BUFFER_BYTES {
            for &byte in sequence {
                let _ = self.buffer.push_back(byte);
            }
            return;
        }
        let overrun = match self.set {
            Set::One => 0xff,
            _ => 0,
        };
        if self.buffer.back() != Some(&overrun) {
            let _ = self.buffer.push_back(overrun);
        }
    }

    /// What a press sends.
    fn make(&mut self, key: Key) -> Sequence {
        if self.set == Set::Three {
            return self.plain(key, Action::Press);
        }
        self.disguised = None;
        let shift = self.is_down(Key::LeftShift) || self.is_down(Key::RightShift);
        let control = self.is_down(Key::LeftControl) || self.is_down(Key::RightControl);
        let alt = self.is_down(Key::LeftAlt) || self.is_down(Key::RightAlt);
        match key {
            Key::Pause => return scancode::pause(self.set, control),
            Key::PrintScreen => {
                self.sysrq = alt;
                if !alt && !control && !shift {
                    self.disguised = Some((key.usage(), Disguise::Shifted));
                }
            }
            Key::KeypadDivide if shift => {
                self.disguised = Some((key.usage(), Disguise::Unshifted));
            }
            _ if is_grey(key) => {
                let num = self.leds().contains(Leds::NUM);
                self.disguised = match (num, shift) {
                    (true, false) => Some((key.usage(), Disguise::Shifted)),
                    (false, true) => Some((key.usage(), Disguise::Unshifted)),
                    _ => None,
                };
            }
            _ => {}
        }
        let mut sequence = Sequence::new();
        if let Some((_, disguise)) = self.disguised {
            self.disguise(&mut sequence, disguise, Action::Press);
        }
        scancode::append(&mut sequence, &self.plain(key, Action::Press));
        sequence
    }

    /// What a release sends.
    fn release_sequence(&mut self, key: Key) -> Sequence {
        if self.set == Set::Three {
            return match self.mode(key) {
                Some(KeyMode::MakeBreak | KeyMode::TypematicMakeBreak) => {
                    self.plain(key, Action::Release)
                }
                _ => Sequence::new(),
            };
        }
        if key == Key::Pause {
            return Sequence::new();
        }
        let mut sequence = self.plain(key, Action::Release);
        if let Some((_, disguise)) = self
            .disguised
            .take_if(|(disguised, _)| *disguised == key.usage())
        {
            self.disguise(&mut sequence, disguise, Action::Release);
        }
        sequence
    }

    /// The false shifts around a grey key's press or release.
    fn disguise(&self, sequence: &mut Sequence, disguise: Disguise, action: Action) {
        let mut shift = |key: Key, action: Action| {
            let (scancode::Code::Plain(code) | scancode::Code::Extended(code)) =
                scancode::codes(key).0;
            let shift = scancode::Code::Extended(code).sequence(self.set, action);
            scancode::append(sequence, &shift);
        };
        match disguise {
            Disguise::Shifted => shift(Key::LeftShift, action),
            Disguise::Unshifted => {
                let opposite = match action {
                    Action::Press => Action::Release,
                    Action::Release => Action::Press,
                };
                for key in [Key::LeftShift, Key::RightShift] {
                    if self.is_down(key) {
                        shift(key, opposite);
                    }
                }
            }
        }
    }

    /// A key's own code, without anything around it.
    fn plain(&self, key: Key, action: Action) -> Sequence {
        let (two, three) = scancode::codes(key);
        match self.set {
            Set::Three => three.map_or_else(Sequence::new, |code| scancode::set_3(code, action)),
            // Alt and Print Screen make the key of its own that SysRq was on the 84-key keyboard.
            set if key == Key::PrintScreen && self.sysrq => {
                scancode::Code::Plain(0x84).sequence(set, action)
            }
            set => two.sequence(set, action),
        }
    }

    fn mode(&self, key: Key) -> Option<KeyMode> {
        let (_, code) = scancode::codes(key);
        self.modes.get(usize::from(code?)).copied()
    }

    fn is_down(&self, key: Key) -> bool {
        let usage = key.usage();
        self.down[usize::from(usage >> 6)] & 1 << (usage & 63) != 0
    }

    fn mark(&mut self, key: Key, action: Action) {
        let usage = key.usage();
        let word = &mut self.down[usize::from(usage >> 6)];
        match action {
            Action::Press => *word |= 1 << (usage & 63),
            Action::Release => *word &= !(1 << (usage & 63)),
        }
    }

    fn delay_ns(&self) -> u64 {
        (u64::from(self.typematic >> 5 & 3) + 1) * DELAY_UNIT_NS
    }

    fn period_ns(&self) -> u64 {
        let mantissa = u64::from(self.typematic & 7) + 8;
        (mantissa << (self.typematic >> 3 & 3)) * PERIOD_UNIT_NS
    }
}

/// The keys between the letters and the keypad, whose codes an old keyboard has on its keypad.
fn is_grey(key: Key) -> bool {
    (Key::Insert.usage()..=Key::Up.usage()).contains(&key.usage())
}

fn default_modes() -> Vec<KeyMode, SET_3_CODES> {
    (0..SET_3_CODES as u8).map(scancode::default_mode).collect()
}

impl Keyboard {
    /// A restored keyboard as one that can be.
    pub(crate) fn sanitize(mut self) -> Self {
        self.leds &= Leds::all().bits();
        if self.modes.len() != SET_3_CODES {
            self.modes = default_modes();
        }
        self
    }
}
