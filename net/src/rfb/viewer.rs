//! A session with one viewer.

use super::bits::{
    FENCE_BYTES, FENCE_KNOWN, FENCE_REQUEST, RESIZE_BY_CLIENT, RESIZE_PROHIBITED, encoding,
    security, server,
};
use super::deflate::Stream;
use super::format::{Colour, Converter, PixelFormat};
use super::message::{Abilities, Extent, Message, Parser, Pixels, Resize};
use super::security::{CHALLENGE_BYTES, is_right};
use super::typing::Typing;
use super::{Buffers, Desktop, Room, hextile, zrle};
use crate::server::{Session, Stage};
use heapless::{Deque, Vec as Few};
use hvm::display::{Rect, Size};
use hvm::input::Leds;

/// The newest version that we know, which the viewer answers.
const VERSION: &[u8; 12] = b"RFB 003.008\n";
/// Tiles that one turn may encode before others have theirs.
const TURN_TILES: usize = 16;
/// How long a viewer may take to introduce itself.
const PATIENCE_MS: u64 = 60_000;
/// How late a wrong answer is told.
const DELAY_MS: u64 = 1000;
/// Answers to fences that may wait behind an update.
const FENCES: usize = 4;
/// The longest title.
const NAME_BYTES: usize = 128;

/// Versions as far as they differ (RFC 6143, appendix A).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    V3_3,
    V3_7,
    V3_8,
}

enum Phase {
    Version,
    /// It chooses how to prove who it is.
    Security,
    Answer,
    /// The answer was wrong, which is told later.
    Wrong {
        tell_at_ms: u64,
    },
    Init,
    /// It waits for the first picture.
    Ready,
    Normal,
    Over,
}

/// Whom a session admits.
pub enum Entrance {
    /// Anybody.
    Open,
    /// Who answers this challenge with the password.
    Password {
        /// The password.
        password: Few<u8, { crate::server::login::MAX_BYTES }>,
        /// What nobody can foresee.
        challenge: [u8; CHALLENGE_BYTES],
    },
}

struct Fence {
    flags: u32,
    payload: Few<u8, FENCE_BYTES>,
}

/// Things other than pixels that the viewer is to be told.
#[derive(Default)]
struct News {
    /// The size, for this reason and with this status.
    size: Option<(u16, u16)>,
    hide_cursor: bool,
    places: bool,
    fence: bool,
    end_of_continuous: bool,
    /// It was told that we know fences, and continuous updates.
    knows_fence: bool,
    knows_continuous: bool,
}

/// The session.
pub struct Viewer {
    phase: Phase,
    version: Version,
    entrance: Entrance,
    since_ms: u64,
    /// Bytes of the introduction.
    held: Few<u8, CHALLENGE_BYTES>,
    parser: Parser,
    abilities: Abilities,
    converter: Converter,
    /// For the next update.
    format: Option<PixelFormat>,
    stream: Stream,
    /// As the viewer knows it.
    size: Size,
    wish: Option<Rect>,
    continuous: Option<Rect>,
    news: News,
    fences: Deque<Fence, FENCES>,
    lamps: Option<Leds>,
    typing: Typing,
    /// `None`: there was no room for one more, or the viewer is gone.
    buffers: Option<Buffers>,
    /// Bytes of them that were sent.
    sent: usize,
    /// Rectangles of the update on its way that are still to come, and the tile where to look for the next.
    left: usize,
    tile: usize,
    /// A turn ended with tiles that could have been encoded.
    is_busy: bool,
}

impl Viewer {
    /// A viewer that was just connected.
    pub fn new<D: Desktop>(entrance: Entrance, room: &mut Room<D>, now_ms: u64) -> Self {
        let mut buffers = room.spare.pop();
        if let Some(buffers) = &mut buffers {
            buffers.out.clear();
            buffers.out.extend_from_slice(VERSION);
        }
        Self {
            phase: match buffers {
                Some(_) => Phase::Version,
                None => Phase::Over,
            },
            version: Version::V3_8,
            entrance,
            since_ms: now_ms,
            held: Few::new(),
            parser: Parser::default(),
            abilities: Abilities::default(),
            converter: Converter::new(PixelFormat::NATIVE),
            format: None,
            stream: Stream::default(),
            size: Size::default(),
            wish: None,
            continuous: None,
            news: News::default(),
            fences: Deque::new(),
            lamps: None,
            typing: Typing::default(),
            buffers,
            sent: 0,
            left: 0,
            tile: 0,
            is_busy: false,
        }
    }

    /// The screen has changed there.
    pub fn damage(&mut self, rects: &[Rect]) {
        if let (Phase::Normal, Some(buffers)) = (&self.phase, &mut self.buffers) {
            rects.iter().for_each(|rect| buffers.pending.add(*rect));
        }
    }

    /// Whether it would take a newer picture now; the first one while it introduces itself.
    pub fn is_hungry(&self) -> bool {
        let is_idle = self.left == 0
            && self
                .buffers
                .as_ref()
                .is_some_and(|buffers| self.sent == buffers.out.len());
        match self.phase {
            Phase::Over => false,
            Phase::Normal => is_idle && (self.wish.is_some() || self.continuous.is_some()),
            _ => true,
        }
    }

    /// Bytes of memory that it has for what is to be sent.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.buffers.as_ref().map_or(0, |it| it.out.capacity())
    }

    fn say(&mut self, bytes: &[u8]) {
        if let Some(buffers) = &mut self.buffers {
            buffers.out.extend_from_slice(bytes);
        }
    }

    fn takes_input(&self) -> bool {
        !matches!(self.phase, Phase::Wrong { .. } | Phase::Ready) && !self.fences.is_full()
    }

    /// One byte of the introduction.
    fn introduce(&mut self, byte: u8, now_ms: u64) {
        // Emptied before it is full, below.
        let _ = self.held.push(byte);
        match self.phase {
            Phase::Version if self.held.len() == VERSION.len() => {
                let Some(version) = read_version(&self.held) else {
                    self.phase = Phase::Over;
                    return;
                };
                self.version = version;
                self.held.clear();
                self.offer_security();
            }
            Phase::Security => {
                let wanted = match self.entrance {
                    Entrance::Open => security::NONE,
                    Entrance::Password { .. } => security::VNC,
                };
                self.held.clear();
                match byte == wanted {
                    true => self.ask(),
                    false => self.phase = Phase::Over,
                }
            }
            Phase::Answer if self.held.len() == CHALLENGE_BYTES => {
                let is_right = match &self.entrance {
                    Entrance::Open => true,
                    Entrance::Password {
                        password,
                        challenge,
                    } => is_right(password, challenge, &self.held),
                };
                self.held.clear();
                match is_right {
                    true => self.admit(),
                    false => {
                        self.phase = Phase::Wrong {
                            tell_at_ms: now_ms + DELAY_MS,
                        };
                    }
                }
            }
            // Whether others may look, too: they may in any case.
            Phase::Init => {
                self.held.clear();
                self.phase = Phase::Ready;
            }
            _ => {}
        }
    }

    fn offer_security(&mut self) {
        let kind = match self.entrance {
            Entrance::Open => security::NONE,
            Entrance::Password { .. } => security::VNC,
        };
        if self.version == Version::V3_3 {
            self.say(&[0, 0, 0, kind]);
            self.ask();
        } else {
            self.say(&[1, kind]);
            self.phase = Phase::Security;
        }
    }

    fn ask(&mut self) {
        match &self.entrance {
            Entrance::Open if self.version == Version::V3_8 => self.admit(),
            Entrance::Open => self.phase = Phase::Init,
            Entrance::Password { challenge, .. } => {
                let challenge = *challenge;
                self.say(&challenge);
                self.phase = Phase::Answer;
            }
        }
    }

    fn admit(&mut self) {
        self.say(&[0; 4]);
        self.phase = Phase::Init;
    }

    /// RFC 6143, 7.1.3: from 3.8 on with a reason.
    fn refuse(&mut self) {
        const REASON: &[u8] = b"That is not the password.";
        self.say(&[0, 0, 0, 1]);
        if self.version == Version::V3_8 {
            self.say(&(REASON.len() as u32).to_be_bytes());
            self.say(REASON);
        }
        self.phase = Phase::Over;
    }

    /// RFC 6143, 7.3.2.
    fn begin<D: Desktop>(&mut self, room: &mut Room<D>) {
        self.resize(room.size());
        let (width, height) = (self.size.width as u16, self.size.height as u16);
        let name = room.desktop.name();
        let name = &name.as_bytes()[..name.len().min(NAME_BYTES)];
        self.say(&width.to_be_bytes());
        self.say(&height.to_be_bytes());
        self.say(&PixelFormat::NATIVE.write());
        self.say(&(name.len() as u32).to_be_bytes());
        self.say(name);
        self.phase = Phase::Normal;
    }

    /// All of the screen is new.
    fn resize(&mut self, size: Size) {
        self.size = size;
        if let Some(buffers) = &mut self.buffers {
            buffers.pending.resize(size);
            buffers.sending.resize(size);
            buffers.pending.add(size.whole());
        }
    }

    fn heed<D: Desktop>(&mut self, message: Message, room: &mut Room<D>) {
        match message {
            Message::PixelFormat(format) => self.format = Some(format),
            Message::Encodings => self.abilities = Abilities::default(),
            Message::Encoding(number) => self.learn(number),
            Message::Update { extent, within } => {
                if let (Extent::Whole, Some(buffers)) = (extent, &mut self.buffers) {
                    buffers.pending.add(within);
                }
                self.wish = Some(within);
            }
            Message::Key {
                down,
                symbol,
                place,
            } => {
                self.typing.key(down, symbol, place, &mut room.desktop);
            }
            Message::Pointer { buttons, x, y } => {
                self.typing
                    .pointer(buttons, x, y, self.size, &mut room.desktop);
            }
            Message::Continuous { within } => {
                self.continuous = within;
                self.news.end_of_continuous |= within.is_none();
            }
            // An answer to our own says nothing new.
            Message::Fence { flags, .. } if flags & FENCE_REQUEST == 0 => {}
            Message::Fence { flags, payload } => {
                let flags = flags & FENCE_KNOWN;
                // There was room before the message was taken.
                let _ = self.fences.push_back(Fence { flags, payload });
            }
            Message::Resize => self.news.size = Some((RESIZE_BY_CLIENT, RESIZE_PROHIBITED)),
        }
    }

    /// The viewer names an encoding; some of them are answered.
    fn learn(&mut self, number: i32) {
        self.abilities.add(number);
        let told = |told: &mut bool| core::mem::replace(told, true);
        match number {
            encoding::EXTENDED_DESKTOP_SIZE => self.news.size = Some((0, 0)),
            encoding::CURSOR => self.news.hide_cursor = true,
            encoding::QEMU_EXTENDED_KEY => self.news.places = true,
            encoding::QEMU_LED_STATE => self.lamps = None,
            encoding::FENCE => self.news.fence |= !told(&mut self.news.knows_fence),
            encoding::CONTINUOUS_UPDATES => {
                self.news.end_of_continuous |= !told(&mut self.news.knows_continuous);
            }
            _ => {}
        }
    }

    /// Makes bytes to be sent, if there is a reason. Everything made before was sent.
    fn produce<D: Desktop>(&mut self, room: &mut Room<D>) {
        let Some(mut buffers) = self.buffers.take() else {
            return;
        };
        buffers.out.clear();
        self.sent = 0;
        if self.left > 0 {
            self.put_tile(&mut buffers, room);
        } else {
            self.put_answers(&mut buffers);
            if buffers.out.is_empty() {
                self.put_update(&mut buffers, room);
            }
        }
        self.buffers = Some(buffers);
    }

    /// What may go between updates only.
    fn put_answers(&mut self, buffers: &mut Buffers) {
        let out = &mut buffers.out;
        while let Some(fence) = self.fences.pop_front() {
            put_fence(fence.flags, &fence.payload, out);
        }
        if core::mem::take(&mut self.news.fence) {
            put_fence(FENCE_REQUEST, &[], out);
        }
        if core::mem::take(&mut self.news.end_of_continuous) {
            out.push(server::END_OF_CONTINUOUS_UPDATES);
        }
    }

    /// Begins an update, if one is wanted and there is something in it.
    fn put_update<D: Desktop>(&mut self, buffers: &mut Buffers, room: &mut Room<D>) {
        let Some(within) = self.continuous.or(self.wish) else {
            return;
        };
        if let Some(format) = self.format.take() {
            self.converter = Converter::new(format);
            if format.colour == Colour::Mapped {
                put_map(&mut buffers.out);
            }
        }
        let size = room.size();
        let is_resized = size != self.size && self.abilities.resize != Resize::Never;
        if is_resized {
            self.size = size;
            buffers.pending.resize(size);
            buffers.sending.resize(size);
            buffers.pending.add(size.whole());
            self.news.size = self.news.size.or(Some((0, 0)));
        }
        let start = buffers.out.len();
        buffers.out.extend_from_slice(&[server::UPDATE, 0, 0, 0]);
        let mut count = self.put_news(&mut buffers.out, room.desktop.leds());
        // What lies within may lie elsewhere now.
        if !is_resized {
            self.left = buffers.pending.drain_to(within, &mut buffers.sending);
            self.tile = 0;
            count += self.left;
        }
        if count == 0 {
            return buffers.out.truncate(start);
        }
        self.wish = None;
        // Fewer than the tiles of the largest screen and a handful.
        buffers.out[start + 2..start + 4].copy_from_slice(&(count as u16).to_be_bytes());
    }

    /// Pseudo-rectangles that are due; how many.
    fn put_news(&mut self, out: &mut alloc::vec::Vec<u8>, lamps: Leds) -> usize {
        let mut count = 0;
        let whole = self.size.whole();
        let nothing = Rect {
            width: 0,
            height: 0,
            ..whole
        };
        if let Some((reason, status)) = self.news.size.take() {
            match self.abilities.resize {
                Resize::Never => {}
                Resize::Plain => {
                    put_header(whole, encoding::DESKTOP_SIZE, out);
                    count += 1;
                }
                Resize::Extended => {
                    let head = Rect {
                        x: reason.into(),
                        y: status.into(),
                        ..whole
                    };
                    put_header(head, encoding::EXTENDED_DESKTOP_SIZE, out);
                    put_layout(self.size, out);
                    count += 1;
                }
            }
        }
        if core::mem::take(&mut self.news.hide_cursor) {
            put_header(nothing, encoding::CURSOR, out);
            count += 1;
        }
        if core::mem::take(&mut self.news.places) {
            put_header(nothing, encoding::QEMU_EXTENDED_KEY, out);
            count += 1;
        }
        if self.abilities.lamps && self.lamps != Some(lamps) {
            self.lamps = Some(lamps);
            put_header(nothing, encoding::QEMU_LED_STATE, out);
            // Scroll, Num and Caps Lock have the same bits.
            out.push(lamps.bits());
            count += 1;
        }
        count
    }

    /// The next rectangle of an update that has begun.
    fn put_tile<D: Desktop>(&mut self, buffers: &mut Buffers, room: &mut Room<D>) {
        let Some((rect, next)) = buffers.sending.take(self.tile) else {
            self.left = 0;
            return;
        };
        self.tile = next;
        self.left -= 1;
        let count = room.draw(rect);
        for pixel in &mut room.pixels[..count] {
            *pixel = self.converter.pixel(*pixel);
        }
        let (pixels, width) = (&room.pixels[..count], rect.width as usize);
        let out = &mut buffers.out;
        match self.abilities.pixels.unwrap_or(Pixels::Raw) {
            Pixels::Raw => {
                put_header(rect, encoding::RAW, out);
                for pixel in pixels {
                    self.converter.put(*pixel, out);
                }
            }
            Pixels::Hextile => {
                put_header(rect, encoding::HEXTILE, out);
                hextile::encode(pixels, width, &self.converter, out);
            }
            Pixels::Zrle => {
                put_header(rect, encoding::ZRLE, out);
                room.tile.clear();
                zrle::encode(pixels, width, &self.converter, &mut room.tile);
                let length_at = out.len();
                out.extend_from_slice(&[0; 4]);
                self.stream.compress(&room.tile, &mut room.table, out);
                let length = (out.len() - length_at - 4) as u32;
                out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
    }
}

fn read_version(said: &[u8]) -> Option<Version> {
    let text = core::str::from_utf8(said).ok()?;
    let numbers = text.strip_prefix("RFB ")?.strip_suffix('\n')?;
    let (major, minor) = numbers.split_once('.')?;
    let version: (u16, u16) = (major.parse().ok()?, minor.parse().ok()?);
    // RFC 6143, 7.1.1: any other is to be taken for 3.3; newer ones know what is older.
    Some(match version {
        (3, 7) => Version::V3_7,
        version if version >= (3, 8) => Version::V3_8,
        _ => Version::V3_3,
    })
}

/// RFC 6143, 7.6.1.
fn put_header(rect: Rect, encoding: i32, out: &mut alloc::vec::Vec<u8>) {
    for number in [rect.x, rect.y, rect.width, rect.height] {
        out.extend_from_slice(&(number as u16).to_be_bytes());
    }
    out.extend_from_slice(&encoding.to_be_bytes());
}

/// One screen that is the whole desktop (rfbproto, "ExtendedDesktopSize").
fn put_layout(size: Size, out: &mut alloc::vec::Vec<u8>) {
    out.extend_from_slice(&[1, 0, 0, 0]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(size.width as u16).to_be_bytes());
    out.extend_from_slice(&(size.height as u16).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// rfbproto, "ServerFence".
fn put_fence(flags: u32, payload: &[u8], out: &mut alloc::vec::Vec<u8>) {
    out.extend_from_slice(&[server::FENCE, 0, 0, 0]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.push(payload.len() as u8);
    out.extend_from_slice(payload);
}

/// RFC 6143, 7.6.2: all entries of [`PixelFormat::MAP`].
fn put_map(out: &mut alloc::vec::Vec<u8>) {
    out.extend_from_slice(&[server::SET_COLOUR_MAP, 0, 0, 0]);
    out.extend_from_slice(&PixelFormat::MAP_ENTRIES.to_be_bytes());
    for entry in 0..PixelFormat::MAP_ENTRIES {
        let PixelFormat { max, shift, .. } = PixelFormat::MAP;
        for (max, shift) in max.into_iter().zip(shift) {
            let value = u32::from(entry >> shift & max) * 0xffff / u32::from(max);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
    }
}

impl<D: Desktop> Session<Room<D>> for Viewer {
    fn receive(&mut self, bytes: &[u8], room: &mut Room<D>, now_ms: u64) -> usize {
        for (taken, &byte) in bytes.iter().enumerate() {
            if !self.takes_input() {
                return taken;
            }
            match self.phase {
                Phase::Normal => match self.parser.byte(byte) {
                    Ok(None) => {}
                    Ok(Some(message)) => self.heed(message, room),
                    Err(_) => self.phase = Phase::Over,
                },
                Phase::Over => {}
                _ => self.introduce(byte, now_ms),
            }
        }
        bytes.len()
    }

    fn send(&mut self, into: &mut [u8], room: &mut Room<D>, now_ms: u64) -> usize {
        match self.phase {
            Phase::Wrong { tell_at_ms } if tell_at_ms <= now_ms => self.refuse(),
            Phase::Ready if room.desktop.is_known() => self.begin(room),
            Phase::Normal | Phase::Over | Phase::Wrong { .. } => {}
            _ if now_ms >= self.since_ms + PATIENCE_MS => self.phase = Phase::Over,
            _ => {}
        }
        let mut put = 0;
        let mut tiles = 0;
        self.is_busy = false;
        while put < into.len() {
            let waits = self
                .buffers
                .as_ref()
                .is_some_and(|buffers| self.sent < buffers.out.len());
            if !waits && matches!(self.phase, Phase::Normal) {
                if tiles == TURN_TILES {
                    self.is_busy = self.left > 0;
                    break;
                }
                tiles += 1;
                self.produce(room);
            }
            let Some(buffers) = &self.buffers else {
                break;
            };
            let rest = &buffers.out[self.sent..];
            if rest.is_empty() {
                break;
            }
            let count = rest.len().min(into.len() - put);
            into[put..put + count].copy_from_slice(&rest[..count]);
            put += count;
            self.sent += count;
        }
        put
    }

    fn stage(&self) -> Stage {
        let is_sent = match &self.buffers {
            Some(buffers) => self.sent == buffers.out.len(),
            None => true,
        };
        match (&self.phase, is_sent) {
            (Phase::Over, true) => Stage::Over,
            _ => Stage::Open,
        }
    }

    fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match self.phase {
            Phase::Normal => self.is_busy.then_some(0),
            Phase::Over => None,
            Phase::Wrong { tell_at_ms } => Some(tell_at_ms.saturating_sub(now_ms)),
            _ => Some((self.since_ms + PATIENCE_MS).saturating_sub(now_ms)),
        }
    }

    fn close(&mut self, room: &mut Room<D>) {
        self.typing.release(&mut room.desktop);
        self.phase = Phase::Over;
        room.spare.extend(self.buffers.take());
    }
}
