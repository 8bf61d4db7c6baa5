//! The CRT controller's registers.

use super::Change;
use super::bits::crtc::*;
use serde::{Deserialize, Serialize};

/// Registers at 3D4h and 3D5h, or 3B4h and 3B5h.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Crtc {
    pub(super) index: u8,
    registers: [u8; COUNT],
}

impl Crtc {
    /// Reads the register that the index names.
    pub(super) fn read(&self) -> u8 {
        let register = self.registers.get(usize::from(self.index));
        register.copied().unwrap_or(0)
    }

    /// Writes it, unless it is protected.
    pub(super) fn write(&mut self, value: u8) -> Change {
        let index = usize::from(self.index);
        let protected = self.registers[RETRACE_END] & PROTECT != 0 && index <= OVERFLOW;
        let open = match index {
            OVERFLOW if protected => OVERFLOW_LINE_COMPARE,
            _ if protected => 0,
            _ => 0xff,
        };
        let Some(register) = self.registers.get_mut(index) else {
            return Change::Nothing;
        };
        let value = *register & !open | value & open;
        if core::mem::replace(register, value) == value {
            return Change::Nothing;
        }
        match index {
            CURSOR_START | CURSOR_END | CURSOR_HIGH | CURSOR_LOW => Change::Cursor,
            _ => Change::Picture,
        }
    }

    #[inline]
    fn get(&self, index: usize) -> u8 {
        self.registers[index]
    }

    fn has(&self, index: usize, bit: u8) -> bool {
        self.get(index) & bit != 0
    }

    /// A vertical register of eight bits with bits 8 and 9 from the overflow register.
    fn vertical(&self, index: usize, bit_8: u32, bit_9: u32) -> u32 {
        let overflow = u32::from(self.get(OVERFLOW));
        u32::from(self.get(index)) | (overflow >> bit_8 & 1) << 8 | (overflow >> bit_9 & 1) << 9
    }

    /// Characters in a visible line, 1 to 256.
    pub(super) fn columns(&self) -> u32 {
        u32::from(self.get(HORIZONTAL_END)) + 1
    }

    /// Character clocks in a line with its retrace.
    pub(super) fn total_columns(&self) -> u32 {
        u32::from(self.get(HORIZONTAL_TOTAL)) + 5
    }

    /// Visible lines as the vertical counter counts them, 1 to 1024.
    pub(super) fn lines(&self) -> u32 {
        self.vertical(VERTICAL_END, 1, 6) + 1
    }

    /// Lines with retrace.
    pub(super) fn total_lines(&self) -> u32 {
        self.vertical(VERTICAL_TOTAL, 0, 5) + 2
    }

    /// The line in which vertical retrace starts.
    pub(super) fn retrace_start(&self) -> u32 {
        self.vertical(RETRACE_START, 2, 7)
    }

    /// Low four bits of the line in which it ends.
    pub(super) fn retrace_end(&self) -> u32 {
        u32::from(self.get(RETRACE_END) & 0xf)
    }

    /// The line after which the picture goes on from address 0.
    pub(super) fn line_compare(&self) -> u32 {
        let bit_8 = u32::from(self.get(OVERFLOW) >> 4 & 1) << 8;
        let bit_9 = u32::from(self.get(MAXIMUM_SCAN) >> 6 & 1) << 9;
        u32::from(self.get(LINE_COMPARE)) | bit_8 | bit_9
    }

    /// Scan lines for each step of the vertical counter.
    pub(super) fn lines_per_count(&self) -> u32 {
        if self.has(MODE, HALF_VERTICAL) { 2 } else { 1 }
    }

    /// How often each line of a row is shown.
    pub(super) fn repeats(&self) -> u32 {
        if self.has(MAXIMUM_SCAN, DOUBLE_SCAN) {
            2
        } else {
            1
        }
    }

    /// Lines of a row of characters, 1 to 32.
    pub(super) fn row_lines(&self) -> u32 {
        u32::from(self.get(MAXIMUM_SCAN) & 0x1f) + 1
    }

    pub(super) fn preset_row_scan(&self) -> u32 {
        u32::from(self.get(PRESET_ROW_SCAN) & 0x1f)
    }

    /// Start address with byte panning.
    pub(super) fn start(&self) -> u16 {
        let start = u16::from_be_bytes([self.get(START_HIGH), self.get(START_LOW)]);
        start.wrapping_add(u16::from(self.get(PRESET_ROW_SCAN) >> 5 & 3))
    }

    /// How much the address counter grows from row to row.
    pub(super) fn row_step(&self) -> u16 {
        2 * u16::from(self.get(OFFSET))
    }

    /// The address counter grows once in so many characters, as a shift.
    pub(super) fn count_shift(&self) -> u32 {
        if self.has(UNDERLINE, COUNT_BY_4) {
            2
        } else if self.has(MODE, COUNT_BY_2) {
            1
        } else {
            0
        }
    }

    pub(super) fn underline(&self) -> u32 {
        u32::from(self.get(UNDERLINE) & 0x1f)
    }

    /// No sync: no picture.
    pub(super) fn stopped(&self) -> bool {
        !self.has(MODE, SYNC)
    }

    /// Where the cursor is, as the address counter counts, with its skew.
    pub(super) fn cursor_address(&self) -> u16 {
        let address = u16::from_be_bytes([self.get(CURSOR_HIGH), self.get(CURSOR_LOW)]);
        address.wrapping_add(u16::from(self.get(CURSOR_END) >> 5 & 3))
    }

    /// The lines of a row that the cursor fills, if it is on.
    pub(super) fn cursor_lines(&self) -> Option<core::ops::RangeInclusive<u32>> {
        let first = u32::from(self.get(CURSOR_START) & 0x1f);
        let last = u32::from(self.get(CURSOR_END) & 0x1f);
        let on = !self.has(CURSOR_START, CURSOR_OFF) && first <= last && first < self.row_lines();
        on.then_some(first..=last)
    }

    /// The memory address for a value of the address counter (mode control and underline registers).
    #[inline]
    pub(super) fn address(&self, counter: u16, row_scan: u32) -> u16 {
        let mode = self.get(MODE);
        let mut address = if self.has(UNDERLINE, DOUBLEWORD) {
            counter << 2 | counter >> 12 & 3
        } else if mode & BYTE != 0 {
            counter
        } else {
            let wrapped = if mode & WRAP_15 != 0 { 15 } else { 13 };
            counter << 1 | counter >> wrapped & 1
        };
        for (open, bit, row_bit) in [(NO_ROW_SCAN_13, 13, 0), (NO_ROW_SCAN_14, 14, 1)] {
            if mode & open == 0 {
                address = address & !(1 << bit) | (row_scan as u16 >> row_bit & 1) << bit;
            }
        }
        address
    }
}
