//! The 93C46 behind the chip: 64 words, a bit at a time by the EEPROM command register.

use serde::{Deserialize, Serialize};

/// Words.
const WORDS: usize = 64;

/// EEPROM command register: data out of the part.
const DATA_OUT: u8 = 1;
/// Data into it.
const DATA_IN: u8 = 1 << 1;
/// Clock.
const CLOCK: u8 = 1 << 2;
/// Chip select.
const SELECT: u8 = 1 << 3;
/// What may be written.
const WRITABLE: u8 = 0xce;

/// Words with configuration registers (data sheet, "EEPROM (93C46) Contents"): CONFIG3 above MSR's byte, CONFIG1 above CONFIG0, CONFIG4 above
/// a reserved byte, CONFIG5 above one for the transceiver.
const CONFIG3: usize = 6;
const CONFIG0: usize = 10;
const CONFIG4: usize = 12;
const CONFIG5: usize = 15;
/// CONFIG1: registers are decoded in memory and in ports, and power management is among the capabilities.
const CONFIG1_DEFAULT: u16 = 0x0d;

/// What the two upper bits of the command register say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Registers are locked.
    Normal,
    /// Registers are loaded anew.
    Load,
    /// The part is driven by hand.
    Program,
    /// Configuration registers may be written.
    Unlocked,
}

/// What the part is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Waiting for a start bit.
    Idle,
    /// Taking an opcode and an address: bits so far, and how many.
    Command(u8, u8),
    /// Giving data: what is left of the word, the bits that are, and the next address.
    Reading(u16, u8, u8),
    /// Taking data: bits so far, how many, and where it goes; none: everywhere.
    Writing(u16, u8, Option<u8>),
}

/// The part, and the register that drives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eeprom {
    words: alloc::vec::Vec<u16>,
    register: u8,
    phase: Phase,
    /// Writes are allowed.
    writable: bool,
    output: bool,
}

impl Eeprom {
    /// One that holds what a card's maker puts there (data sheet, "EEPROM Contents").
    pub fn new(mac: [u8; 6]) -> Self {
        let mut words = alloc::vec![0; WORDS];
        words[0] = 0x8129;
        words[1] = super::bits::VENDOR;
        words[2] = super::bits::DEVICE;
        words[3] = super::bits::VENDOR;
        words[4] = super::bits::DEVICE;
        // MNGNT and MXLAT.
        words[5] = 0x4020;
        words[CONFIG0] = CONFIG1_DEFAULT << 8;
        for (word, pair) in words[7..10].iter_mut().zip(mac.chunks(2)) {
            *word = u16::from_le_bytes([pair[0], pair[1]]);
        }
        Self {
            words,
            register: 0,
            phase: Phase::Idle,
            writable: false,
            output: true,
        }
    }

    /// The address that the chip loads from it.
    pub fn mac(&self) -> [u8; 6] {
        let mut mac = [0; 6];
        for (pair, word) in mac.chunks_mut(2).zip(self.words.iter().skip(7)) {
            pair.copy_from_slice(&word.to_le_bytes()[..pair.len()]);
        }
        mac
    }

    /// CONFIG0, 1, 3, 4, 5, as the chip loads them from it.
    pub fn config(&self) -> [u8; 5] {
        let word = |index: usize| self.words.get(index).copied().unwrap_or(0).to_le_bytes();
        let ([c0, c1], [_, c3]) = (word(CONFIG0), word(CONFIG3));
        let ([_, c4], [_, c5]) = (word(CONFIG4), word(CONFIG5));
        [c0, c1, c3, c4, c5]
    }

    /// True if this can be a saved state.
    pub fn is_sound(&self) -> bool {
        self.words.len() == WORDS
    }

    /// The mode that the register says.
    pub fn mode(&self) -> Mode {
        match self.register >> 6 {
            0 => Mode::Normal,
            1 => Mode::Load,
            2 => Mode::Program,
            _ => Mode::Unlocked,
        }
    }

    /// Back to normal mode, the part deselected.
    pub fn reset(&mut self) {
        self.register = 0;
        self.phase = Phase::Idle;
    }

    /// Reads the command register.
    pub fn read(&self) -> u8 {
        self.register | if self.output { DATA_OUT } else { 0 }
    }

    /// Writes it.
    pub fn write(&mut self, value: u8) {
        let before = self.register;
        self.register = value & WRITABLE;
        if self.mode() != Mode::Program || value & SELECT == 0 {
            self.phase = Phase::Idle;
            self.output = true;
            return;
        }
        if value & CLOCK != 0 && before & CLOCK == 0 {
            self.clock(u8::from(value & DATA_IN != 0));
        }
    }

    /// A rising edge.
    fn clock(&mut self, bit: u8) {
        self.phase = match self.phase {
            Phase::Idle if bit == 1 => Phase::Command(0, 0),
            Phase::Idle => Phase::Idle,
            Phase::Command(bits, count) => {
                let bits = bits << 1 | bit;
                if count < 7 {
                    Phase::Command(bits, count + 1)
                } else {
                    self.start(bits >> 6, bits & 0x3f)
                }
            }
            Phase::Reading(word, left, next) => {
                self.output = word & 0x8000 != 0;
                if left > 1 {
                    Phase::Reading(word << 1, left - 1, next)
                } else {
                    // Reading on gives the next word.
                    self.reading(next)
                }
            }
            Phase::Writing(word, count, place) => {
                let word = word << 1 | u16::from(bit);
                if count < 15 {
                    Phase::Writing(word, count + 1, place)
                } else {
                    self.store(word, place);
                    Phase::Idle
                }
            }
        };
    }

    /// An opcode and its address are there.
    fn start(&mut self, opcode: u8, address: u8) -> Phase {
        match (opcode, address >> 4) {
            (0b10, _) => {
                // A zero bit goes before the data.
                self.output = false;
                self.reading(address)
            }
            (0b01, _) => Phase::Writing(0, 0, Some(address)),
            (0b11, _) => {
                self.store(0xffff, Some(address));
                Phase::Idle
            }
            (_, 0b11) => {
                self.writable = true;
                Phase::Idle
            }
            (_, 0b00) => {
                self.writable = false;
                Phase::Idle
            }
            (_, 0b10) => {
                self.store(0xffff, None);
                Phase::Idle
            }
            _ => Phase::Writing(0, 0, None),
        }
    }

    fn reading(&self, address: u8) -> Phase {
        let word = self.words.get(usize::from(address)).copied().unwrap_or(0);
        Phase::Reading(word, 16, (address + 1) % WORDS as u8)
    }

    fn store(&mut self, word: u16, place: Option<u8>) {
        if !self.writable {
            return;
        }
        match place {
            Some(address) => {
                if let Some(old) = self.words.get_mut(usize::from(address)) {
                    *old = word;
                }
            }
            None => self.words.fill(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: [u8; 6] = [2, 0, 0, 0x11, 0x22, 0x33];

    /// Sends `count` bits, most significant first.
    fn send(part: &mut Eeprom, bits: u32, count: u32) {
        for at in (0..count).rev() {
            let data = if bits >> at & 1 != 0 { DATA_IN } else { 0 };
            part.write(0x80 | SELECT | data);
            part.write(0x80 | SELECT | data | CLOCK);
        }
    }

    fn take(part: &mut Eeprom) -> u16 {
        (0..16).fold(0, |word, _| {
            part.write(0x80 | SELECT);
            part.write(0x80 | SELECT | CLOCK);
            word << 1 | u16::from(part.read() & DATA_OUT)
        })
    }

    fn read(part: &mut Eeprom, address: u32) -> u16 {
        part.write(0x80);
        send(part, 0b110 << 6 | address, 11);
        assert_eq!(part.read() & DATA_OUT, 0, "a zero goes first");
        take(part)
    }

    #[test]
    fn words_come_out_bit_by_bit() {
        let mut part = Eeprom::new(MAC);
        assert_eq!(read(&mut part, 0), 0x8129);
        assert_eq!(read(&mut part, 7), 0x0002);
        assert_eq!(take(&mut part), 0x1100, "and the next without asking");
        assert_eq!(part.mac(), MAC);
    }

    #[test]
    fn words_are_written_once_writing_is_on() {
        let mut part = Eeprom::new(MAC);
        let write = |part: &mut Eeprom| {
            part.write(0x80);
            send(part, 0b101 << 6 | 9, 9);
            send(part, 0xbeef, 16);
        };
        write(&mut part);
        assert_eq!(read(&mut part, 9), 0x3322);
        part.write(0x80);
        send(&mut part, 0b100_110000, 9);
        write(&mut part);
        assert_eq!(read(&mut part, 9), 0xbeef);
    }

    proptest! {
        #[test]
        fn any_trace_is_answered(values: alloc::vec::Vec<u8>) {
            let mut part = Eeprom::new(MAC);
            for value in values {
                part.write(0x88 | value);
                part.read();
            }
            prop_assert!(part.is_sound());
        }
    }
}
