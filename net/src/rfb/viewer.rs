//! A session with one viewer.

use super::bits::{FENCE_REQUEST, server};
use super::encode::Encoder;
use super::format::PixelFormat;
use super::handshake::{Entrance, Handshake, Outcome, VERSION};
use super::message::{Abilities, Extent, Message, Parser, Pixels, Resize};
use super::moves::Moves;
use super::news::News;
use super::tally::Tally;
use super::typing::Typing;
use super::{Buffers, Desktop, Room, keys};
use crate::server::{Session, Stage};
use hvm::display::{Rect, Size};
use hvm::input::Action;

/// Tiles that one turn may encode before others have theirs.
const TURN_TILES: usize = 16;
/// Tiles that can be looked at in the time that one takes to be encoded, or more.
const LOOKED_TILES: usize = 4;
/// How long a viewer may take to introduce itself.
const PATIENCE_MS: u64 = 60_000;
/// The longest title.
const NAME_BYTES: usize = 128;

enum Phase {
    Introduction(Handshake),
    /// It waits for the first picture.
    Ready,
    Normal,
    Over,
}

/// The session.
pub struct Viewer {
    phase: Phase,
    since_ms: u64,
    parser: Parser,
    abilities: Abilities,
    encoder: Encoder,
    /// As the viewer knows it.
    size: Size,
    wish: Option<Rect>,
    /// It wants all of that, as if it had nothing.
    is_blank: bool,
    continuous: Option<Rect>,
    news: News,
    typing: Typing,
    /// `None`: there was no room for one more, or the viewer is gone.
    buffers: Option<Buffers>,
    /// Bytes of them that were sent.
    sent: usize,
    update: Update,
    /// What was found to have moved for the update that is being made. Of a column whose turn was, all is in `buffers.history` as well.
    moves: Moves,
    /// A turn ended with tiles that could have been encoded.
    is_busy: bool,
    tally: Tally,
}

/// Where the making of an update is.
#[derive(Clone, Copy, Debug, Default)]
enum Update {
    /// There is none.
    #[default]
    Idle,
    /// What has moved is looked for, in this column next. Nothing was sent of it.
    Looking { column: u32 },
    /// So many tiles are still to come, the next of them from this one on.
    Sending { left: usize, tile: usize },
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
                Some(_) => Phase::Introduction(Handshake::new(entrance)),
                None => Phase::Over,
            },
            since_ms: now_ms,
            parser: Parser::default(),
            abilities: Abilities::default(),
            encoder: Encoder::new(),
            size: Size::default(),
            wish: None,
            is_blank: false,
            continuous: None,
            news: News::default(),
            typing: Typing::default(),
            buffers,
            sent: 0,
            update: Update::Idle,
            moves: Moves::default(),
            is_busy: false,
            tally: Tally::default(),
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
        let is_idle = matches!(self.update, Update::Idle)
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

    /// What it has done so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Bytes of memory that it has, all of it from the start.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.buffers.as_ref().map_or(0, Buffers::memory_bytes)
    }

    fn takes_input(&self) -> bool {
        match &self.phase {
            Phase::Introduction(handshake) => handshake.is_ready(),
            Phase::Ready => false,
            Phase::Normal | Phase::Over => !self.news.is_full(),
        }
    }

    /// Goes on with the introduction.
    fn introduce(
        &mut self,
        step: impl FnOnce(&mut Handshake, &mut alloc::vec::Vec<u8>) -> Outcome,
    ) {
        let (Phase::Introduction(handshake), Some(buffers)) = (&mut self.phase, &mut self.buffers)
        else {
            return;
        };
        match step(handshake, &mut buffers.out) {
            Outcome::Waiting => {}
            Outcome::Admitted => self.phase = Phase::Ready,
            Outcome::Refused => self.phase = Phase::Over,
        }
    }

    /// RFC 6143, 7.3.2.
    fn begin<D: Desktop>(&mut self, room: &Room<D>) {
        let Some(buffers) = &mut self.buffers else {
            return;
        };
        self.size = room.size();
        buffers.resize(self.size);
        let name = room.desktop.name();
        let name = &name.as_bytes()[..name.len().min(NAME_BYTES)];
        let out = &mut buffers.out;
        out.extend_from_slice(&(self.size.width as u16).to_be_bytes());
        out.extend_from_slice(&(self.size.height as u16).to_be_bytes());
        out.extend_from_slice(&PixelFormat::NATIVE.write());
        out.extend_from_slice(&(name.len() as u32).to_be_bytes());
        out.extend_from_slice(name);
        self.phase = Phase::Normal;
    }

    fn heed<D: Desktop>(&mut self, message: Message, room: &mut Room<D>) {
        match message {
            Message::PixelFormat(format) => self.encoder.want(format),
            Message::Encodings => {
                self.abilities = Abilities::default();
                self.start_over();
            }
            Message::Encoding(number) => {
                self.abilities.add(number);
                self.news.learn(number);
            }
            Message::Update { extent, within } => {
                if let (Extent::Whole, Some(buffers)) = (extent, &mut self.buffers) {
                    buffers.pending.add(within);
                    self.is_blank = true;
                }
                self.wish = Some(within);
            }
            Message::Key {
                action,
                symbol,
                place,
            } => {
                // Of one that is unknown there is still the meaning.
                let place = place.and_then(keys::by_place);
                let count = match place {
                    Some(_) => &mut self.tally.by_place,
                    None => &mut self.tally.by_meaning,
                };
                *count = count.wrapping_add(u32::from(action == Action::Press));
                self.typing.key(action, symbol, place, &mut room.desktop);
            }
            Message::Pointer { buttons, x, y } => {
                self.typing
                    .pointer(buttons, x, y, self.size, &mut room.desktop);
            }
            Message::Continuous { within } => {
                self.continuous = within;
                if within.is_none() {
                    self.news.continuous_ends();
                }
            }
            Message::Fence { flags, payload } => {
                let count = match flags & FENCE_REQUEST {
                    0 => &mut self.tally.answers,
                    _ => &mut self.tally.fences,
                };
                *count = count.wrapping_add(1);
                self.news.fence(flags, payload);
            }
            Message::Resize => {
                self.tally.wishes = self.tally.wishes.wrapping_add(1);
                self.news.refuse_size();
            }
        }
    }

    /// What was found to have moved may not be told so any more.
    fn start_over(&mut self) {
        let Some(buffers) = &mut self.buffers else {
            return;
        };
        buffers.history.forget();
        if let Update::Looking { .. } = self.update {
            buffers
                .sending
                .drain_to(self.size.whole(), &mut buffers.pending);
            self.moves.take_back(|target| buffers.pending.add(target));
            self.update = Update::Idle;
        }
    }

    /// Makes bytes to be sent, if there is a reason. Everything made before was sent. Tells the work, in tiles that are encoded.
    fn produce<D: Desktop>(&mut self, room: &mut Room<D>) -> usize {
        let Some(mut buffers) = self.buffers.take() else {
            return 0;
        };
        buffers.out.clear();
        self.sent = 0;
        let work = match core::mem::take(&mut self.update) {
            Update::Idle => {
                self.news.put_answers(&mut buffers.out);
                if buffers.out.is_empty() {
                    self.start_update(&mut buffers, room);
                }
                1
            }
            Update::Looking { column } => self.look(column, &mut buffers, room),
            Update::Sending { left, tile } => {
                self.put_tile(left, tile, &mut buffers, room);
                1
            }
        };
        self.buffers = Some(buffers);
        work
    }

    /// Begins an update, if one is wanted.
    fn start_update<D: Desktop>(&mut self, buffers: &mut Buffers, room: &Room<D>) {
        let Some(within) = self.continuous.or(self.wish) else {
            return;
        };
        let mut is_blank = core::mem::take(&mut self.is_blank);
        is_blank |= self.encoder.take_format(&mut buffers.out);
        let size = room.size();
        if size != self.size && self.abilities.resize != Resize::Never {
            self.size = size;
            buffers.resize(size);
            self.news.resized();
            self.tally.sizes = self.tally.sizes.wrapping_add(1);
            // What lies within may lie elsewhere now.
            return self.put_head(buffers, room);
        }
        buffers.pending.drain_to(within, &mut buffers.sending);
        if is_blank {
            buffers.history.forget();
        }
        if !self.abilities.copies || buffers.history.columns() == 0 {
            return self.put_head(buffers, room);
        }
        // Lines are known as a whole or not at all.
        buffers.sending.widen();
        match is_blank {
            true => self.put_head(buffers, room),
            false => self.update = Update::Looking { column: 0 },
        }
    }

    /// Looks for what has moved in a column, and leaves out what has not changed. Tells the work.
    fn look<D: Desktop>(
        &mut self,
        mut column: u32,
        buffers: &mut Buffers,
        room: &mut Room<D>,
    ) -> usize {
        let Buffers {
            sending, history, ..
        } = buffers;
        let mut looked = 0_usize;
        while column < history.columns() && looked == 0 {
            let marks = history.column(column);
            room.lines.clear();
            room.lines.extend_from_slice(marks);
            for row in 0..sending.rows() {
                let rect = sending.part(column, row);
                if rect.height > 0 {
                    room.mark(rect);
                    looked += 1;
                }
            }
            if looked > 0 {
                self.moves
                    .settle(column, self.size, marks, &room.lines, &mut room.finder);
                let is_new = |line: u32| marks[line as usize] != room.lines[line as usize];
                (0..sending.rows()).for_each(|row| sending.trim(column, row, is_new));
            }
            column += 1;
        }
        match column < history.columns() {
            true => self.update = Update::Looking { column },
            false => self.put_head(buffers, room),
        }
        looked.div_ceil(LOOKED_TILES)
    }

    /// The head of an update, if there is something in it, and what goes before its tiles.
    fn put_head<D: Desktop>(&mut self, buffers: &mut Buffers, room: &Room<D>) {
        let start = buffers.out.len();
        let out = &mut buffers.out;
        out.extend_from_slice(&[server::UPDATE, 0, 0, 0]);
        let lamps = room.desktop.leds();
        let mut count = self.news.put_rects(&self.abilities, self.size, lamps, out);
        count += self.moves.put(out);
        let left = buffers.sending.count();
        count += left;
        if count == 0 {
            return out.truncate(start);
        }
        let is_unasked = self.wish.take().is_none();
        self.tally.updates = self.tally.updates.wrapping_add(1);
        self.tally.unasked = self.tally.unasked.wrapping_add(is_unasked.into());
        // Fewer than the tiles of the largest screen and what goes before them.
        out[start + 2..start + 4].copy_from_slice(&(count as u16).to_be_bytes());
        if left > 0 {
            self.update = Update::Sending { left, tile: 0 };
        }
    }

    /// The next rectangle of an update that has begun.
    fn put_tile<D: Desktop>(
        &mut self,
        left: usize,
        tile: usize,
        buffers: &mut Buffers,
        room: &mut Room<D>,
    ) {
        let Some((rect, tile)) = buffers.sending.take(tile) else {
            return;
        };
        if left > 1 {
            self.update = Update::Sending {
                left: left - 1,
                tile,
            };
        }
        let count = room.draw(rect);
        let pixels = &mut room.pixels[..count];
        if self.abilities.copies {
            buffers.history.note(rect, pixels, &room.keys);
        }
        let encoding = self.abilities.pixels.unwrap_or(Pixels::Raw);
        self.encoder
            .put(rect, pixels, encoding, &mut room.scratch, &mut buffers.out);
    }

    /// Whether there is something to send of what was made.
    fn has_unsent(&self) -> bool {
        self.buffers
            .as_ref()
            .is_some_and(|buffers| self.sent < buffers.out.len())
    }
}

impl<D: Desktop> Session<Room<D>> for Viewer {
    fn receive(&mut self, bytes: &[u8], room: &mut Room<D>, now_ms: u64) -> usize {
        for (taken, &byte) in bytes.iter().enumerate() {
            if !self.takes_input() {
                return taken;
            }
            match self.phase {
                Phase::Introduction(_) => {
                    self.introduce(|handshake, out| handshake.byte(byte, out, now_ms));
                }
                Phase::Normal => match self.parser.byte(byte) {
                    Ok(None) => {}
                    Ok(Some(message)) => self.heed(message, room),
                    Err(_) => self.phase = Phase::Over,
                },
                Phase::Ready | Phase::Over => {}
            }
        }
        bytes.len()
    }

    fn send(&mut self, into: &mut [u8], room: &mut Room<D>, now_ms: u64) -> usize {
        self.introduce(|handshake, out| handshake.tick(out, now_ms));
        let is_late = now_ms >= self.since_ms + PATIENCE_MS;
        match &self.phase {
            Phase::Ready if room.desktop.is_known() => self.begin(room),
            Phase::Introduction(handshake) if is_late && handshake.is_ready() => {
                self.phase = Phase::Over;
            }
            Phase::Ready if is_late => self.phase = Phase::Over,
            _ => {}
        }
        let (mut put, mut work) = (0, 0);
        self.is_busy = false;
        while put < into.len() {
            if !self.has_unsent() && matches!(self.phase, Phase::Normal) {
                let is_making = !matches!(self.update, Update::Idle);
                if work >= TURN_TILES {
                    self.is_busy = is_making;
                    break;
                }
                work += self.produce(room);
                if !self.has_unsent() && !matches!(self.update, Update::Idle) {
                    continue;
                }
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
        match (&self.phase, self.has_unsent()) {
            (Phase::Introduction(_), _) => Stage::Entering,
            (Phase::Over, false) => Stage::Over,
            _ => Stage::Open,
        }
    }

    fn next_ms(&self, now_ms: u64) -> Option<u64> {
        match &self.phase {
            Phase::Normal => self.is_busy.then_some(0),
            Phase::Over => None,
            Phase::Introduction(handshake) if !handshake.is_ready() => handshake.next_ms(now_ms),
            _ => Some((self.since_ms + PATIENCE_MS).saturating_sub(now_ms)),
        }
    }

    fn close(&mut self, room: &mut Room<D>) {
        self.typing.release(&mut room.desktop);
        self.phase = Phase::Over;
        room.spare.extend(self.buffers.take());
    }
}
