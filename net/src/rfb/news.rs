//! What a viewer is to be told beside pixels.

use super::bits::{
    FENCE_BYTES, FENCE_KNOWN, FENCE_REQUEST, RESIZE_BY_CLIENT, RESIZE_PROHIBITED, encoding, server,
};
use super::message::{Abilities, Resize};
use super::write;
use alloc::vec::Vec;
use heapless::{Deque, Vec as Few};
use hvm::display::{Rect, Size};
use hvm::input::Leds;

/// Answers to fences that may wait behind an update.
const FENCES: usize = 4;

struct Fence {
    flags: u32,
    payload: Few<u8, FENCE_BYTES>,
}

/// All of that.
#[derive(Default)]
pub struct News {
    /// The size, for this reason and with this status.
    size: Option<(u16, u16)>,
    hide_cursor: bool,
    places: bool,
    fence: bool,
    end_of_continuous: bool,
    /// It was told that we know fences, and continuous updates.
    knows_fence: bool,
    knows_continuous: bool,
    fences: Deque<Fence, FENCES>,
    /// As it was told.
    lamps: Option<Leds>,
}

impl News {
    /// Whether no more fences can wait.
    pub fn is_full(&self) -> bool {
        self.fences.is_full()
    }

    /// The viewer names an encoding; some of them are answered.
    pub fn learn(&mut self, number: i32) {
        let told = |told: &mut bool| core::mem::replace(told, true);
        match number {
            encoding::EXTENDED_DESKTOP_SIZE => self.size = Some((0, 0)),
            encoding::CURSOR => self.hide_cursor = true,
            encoding::QEMU_EXTENDED_KEY => self.places = true,
            encoding::QEMU_LED_STATE => self.lamps = None,
            encoding::FENCE => self.fence |= !told(&mut self.knows_fence),
            encoding::CONTINUOUS_UPDATES => {
                self.end_of_continuous |= !told(&mut self.knows_continuous);
            }
            _ => {}
        }
    }

    /// A fence came. An answer to our own says nothing new.
    pub fn fence(&mut self, flags: u32, payload: Few<u8, FENCE_BYTES>) {
        if flags & FENCE_REQUEST != 0 {
            let flags = flags & FENCE_KNOWN;
            // There was room before the message was taken.
            let _ = self.fences.push_back(Fence { flags, payload });
        }
    }

    /// It turned continuous updates off.
    pub fn continuous_ends(&mut self) {
        self.end_of_continuous = true;
    }

    /// It asked for another size, which it does not get.
    pub fn refuse_size(&mut self) {
        self.size = Some((RESIZE_BY_CLIENT, RESIZE_PROHIBITED));
    }

    /// The screen has another size now.
    pub fn resized(&mut self) {
        self.size = self.size.or(Some((0, 0)));
    }

    /// What may go between updates only.
    pub fn put_answers(&mut self, out: &mut Vec<u8>) {
        while let Some(fence) = self.fences.pop_front() {
            write::fence(fence.flags, &fence.payload, out);
        }
        if core::mem::take(&mut self.fence) {
            write::fence(FENCE_REQUEST, &[], out);
        }
        if core::mem::take(&mut self.end_of_continuous) {
            out.push(server::END_OF_CONTINUOUS_UPDATES);
        }
    }

    /// Pseudo-rectangles that are due, for a viewer with these abilities and a screen of this size; how many.
    pub fn put_rects(
        &mut self,
        abilities: &Abilities,
        size: Size,
        lamps: Leds,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut count = self.put_size(abilities.resize, size, out);
        let nothing = Size::default().whole();
        if core::mem::take(&mut self.hide_cursor) {
            write::header(nothing, encoding::CURSOR, out);
            count += 1;
        }
        if core::mem::take(&mut self.places) {
            write::header(nothing, encoding::QEMU_EXTENDED_KEY, out);
            count += 1;
        }
        if abilities.lamps && self.lamps != Some(lamps) {
            self.lamps = Some(lamps);
            write::header(nothing, encoding::QEMU_LED_STATE, out);
            // Scroll, Num and Caps Lock have the same bits.
            out.push(lamps.bits());
            count += 1;
        }
        count
    }

    fn put_size(&mut self, resize: Resize, size: Size, out: &mut Vec<u8>) -> usize {
        let Some((reason, status)) = self.size.take() else {
            return 0;
        };
        match resize {
            Resize::Never => 0,
            Resize::Plain => {
                write::header(size.whole(), encoding::DESKTOP_SIZE, out);
                1
            }
            Resize::Extended => {
                let head = Rect {
                    x: reason.into(),
                    y: status.into(),
                    ..size.whole()
                };
                write::header(head, encoding::EXTENDED_DESKTOP_SIZE, out);
                write::layout(size, out);
                1
            }
        }
    }
}
