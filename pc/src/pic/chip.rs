//! One 8259A (Intel 8259A data sheet, order 231468).

use super::bits::*;
use serde::{Deserialize, Serialize};

/// Which initialization word is expected at A0 = 1 next; none: it is OCW1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Expects {
    #[default]
    Mask,
    Icw2,
    Icw3,
    Icw4,
}

/// What the chip answers to an acknowledge cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Request 0…7; 7 when nothing was there any more (a spurious interrupt).
    pub(super) request: u8,
    /// The vector.
    pub(super) vector: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chip {
    /// Levels of the request pins.
    lines: u8,
    /// Requests seen as edges and not yet acknowledged.
    latched: u8,
    /// Pins that are level-triggered. The PIIX takes this from its ELCR and ignores LTIM (82371SB data sheet, "ICW1").
    level: u8,
    mask: u8,
    service: u8,
    base: u8,
    icw1: u8,
    icw4: u8,
    expects: Expects,
    /// The pin of lowest priority; rotation changes it.
    lowest: u8,
    rotate_on_aeoi: bool,
    special_mask: bool,
    read_service: bool,
    poll: bool,
    /// Pins that carry a slave's output, for special fully nested mode.
    cascade: u8,
}

impl Chip {
    /// After power-up: as the first ICW1 leaves it, and nothing passes until then.
    pub(super) fn new(cascade: u8) -> Self {
        Self {
            cascade,
            mask: 0xff,
            lowest: 7,
            ..Self::default()
        }
    }

    /// Levels of the pins.
    pub(super) fn lines(&self) -> u8 {
        self.lines
    }

    pub(super) fn mask(&self) -> u8 {
        self.mask
    }

    pub(super) fn level(&self) -> u8 {
        self.level
    }

    pub(super) fn set_level(&mut self, level: u8) {
        self.level = level;
        self.latched &= !level;
    }

    /// Moves a request pin. An edge counts only as long as the pin stays high (data sheet, "Edge and level triggered modes").
    #[inline]
    pub(super) fn set_line(&mut self, pin: u8, high: bool) {
        let bit = 1 << (pin & 7);
        if !high {
            self.lines &= !bit;
            self.latched &= !bit;
        } else if self.lines & bit == 0 {
            self.lines |= bit;
            self.latched |= bit & !self.level;
        }
    }

    /// The interrupt request register.
    fn requests(&self) -> u8 {
        self.latched | self.lines & self.level
    }

    /// The bits of `set` turned so that bit 0 is the pin of highest priority.
    fn by_priority(&self, set: u8) -> u8 {
        set.rotate_right((u32::from(self.lowest) + 1) & 7)
    }

    /// The pin at that place in the order.
    fn pin_at(&self, place: u32) -> u8 {
        (place as u8).wrapping_add(self.lowest).wrapping_add(1) & 7
    }

    /// The pin that drives INT now.
    #[inline]
    pub(super) fn winner(&self) -> Option<u8> {
        let requests = self.requests() & !self.mask;
        if requests == 0 {
            return None;
        }
        let mut service = self.service;
        if self.special_mask {
            service &= !self.mask;
        }
        let place = self.by_priority(requests).trailing_zeros();
        let pin = self.pin_at(place);
        if self.icw4 & ICW4_SFNM != 0 {
            // A slave may interrupt its own service routine with a higher request.
            service &= !(self.cascade & 1 << pin);
        }
        (place < self.by_priority(service).trailing_zeros()).then_some(pin)
    }

    /// The acknowledge sequence. Without a request, request 7 is answered and nothing goes into service.
    #[inline]
    pub(super) fn acknowledge(&mut self) -> Answer {
        let Some(pin) = self.winner() else {
            return Answer {
                request: 7,
                vector: self.base | 7,
            };
        };
        let bit = 1 << pin;
        self.latched &= !bit;
        if self.icw4 & ICW4_AEOI == 0 {
            self.service |= bit;
        } else if self.rotate_on_aeoi {
            self.lowest = pin;
        }
        Answer {
            request: pin,
            vector: self.base | pin,
        }
    }

    /// Reads A0 = 0 or 1.
    #[inline]
    pub(super) fn read(&self, a0: u8) -> u8 {
        match (a0, self.read_service) {
            (0, false) => self.requests(),
            (0, true) => self.service,
            _ => self.mask,
        }
    }

    /// The poll word, if a poll command makes the next read an acknowledge over the data bus.
    #[inline]
    pub(super) fn poll(&mut self) -> Option<u8> {
        if !core::mem::take(&mut self.poll) {
            return None;
        }
        let word = match self.winner() {
            Some(_) => POLL_PENDING | self.acknowledge().request,
            None => 0,
        };
        Some(word)
    }

    #[inline]
    pub(super) fn write(&mut self, a0: u8, value: u8) {
        match a0 {
            0 if value & ICW1 != 0 => self.initialize(value),
            0 if value & OCW3 != 0 => self.write_ocw3(value),
            0 => self.write_ocw2(value),
            _ => self.write_data(value),
        }
    }

    /// ICW1 (data sheet, "Initialization command words 1 and 2", a to f).
    fn initialize(&mut self, icw1: u8) {
        *self = Self {
            lines: self.lines,
            level: self.level,
            base: self.base,
            cascade: self.cascade,
            icw1,
            icw4: 0,
            expects: Expects::Icw2,
            lowest: 7,
            ..Self::default()
        };
    }

    fn write_data(&mut self, value: u8) {
        self.expects = match self.expects {
            Expects::Mask => {
                self.mask = value;
                Expects::Mask
            }
            Expects::Icw2 => {
                self.base = value & ICW2_BASE;
                if self.icw1 & ICW1_SINGLE == 0 {
                    Expects::Icw3
                } else {
                    self.after_icw3()
                }
            }
            // Which pin is cascaded is wired on a PC; the word itself changes nothing.
            Expects::Icw3 => self.after_icw3(),
            Expects::Icw4 => {
                self.icw4 = value;
                Expects::Mask
            }
        };
    }

    fn after_icw3(&self) -> Expects {
        if self.icw1 & ICW1_IC4 != 0 {
            Expects::Icw4
        } else {
            Expects::Mask
        }
    }

    /// End of interrupt and rotation: R, SL and EOI in bits 7 to 5, the pin in bits 2 to 0.
    fn write_ocw2(&mut self, value: u8) {
        let named = value & 7;
        match value >> 5 {
            0b000 => self.rotate_on_aeoi = false,
            0b100 => self.rotate_on_aeoi = true,
            0b001 => {
                self.end_highest();
            }
            0b101 => {
                if let Some(pin) = self.end_highest() {
                    self.lowest = pin;
                }
            }
            0b011 => self.service &= !(1 << named),
            0b111 => {
                self.service &= !(1 << named);
                self.lowest = named;
            }
            0b110 => self.lowest = named,
            _ => {}
        }
    }

    /// Non-specific EOI: the highest in service; in special mask mode, masked ones are passed over.
    fn end_highest(&mut self) -> Option<u8> {
        let mut service = self.service;
        if self.special_mask {
            service &= !self.mask;
        }
        if service == 0 {
            return None;
        }
        let pin = self.pin_at(self.by_priority(service).trailing_zeros());
        self.service &= !(1 << pin);
        Some(pin)
    }

    fn write_ocw3(&mut self, value: u8) {
        if value & OCW3_SET_SPECIAL != 0 {
            self.special_mask = value & OCW3_SPECIAL != 0;
        }
        // Poll overrides a read command in the same word.
        if value & OCW3_POLL != 0 {
            self.poll = true;
        } else if value & OCW3_READ != 0 {
            self.read_service = value & OCW3_READ_ISR != 0;
        }
    }

    /// Makes a restored record one that the chip can be in.
    pub(super) fn sanitize(mut self) -> Self {
        self.lowest &= 7;
        self.base &= ICW2_BASE;
        self
    }
}
