//! Instructions that count, find, gather and scatter bits (SDM vol. 2, BMI1, BMI2, ADX and their elders).

use super::alu::{self, Outcome};
use super::{Bus, Execution, Flow, Stop};
use crate::Width;
use crate::event::Exception;
use crate::regs::{Registers, Rflags};
use iced_x86::Mnemonic;

/// CRC32 (iSCSI's polynomial), as shifted to the right.
const POLYNOMIAL: u32 = 0x82f6_3b78;

fn when(flag: Rflags, is_set: bool) -> Rflags {
    if is_set { flag } else { Rflags::empty() }
}

/// The outcome of BMI1's and BMI2's arithmetic: SF and ZF of the result, a CF of its own, OF clear.
fn outcome(width: Width, value: u64, carry: bool) -> Outcome {
    let result = alu::logic(width, value);
    Outcome {
        flags: result.flags | when(Rflags::CF, carry),
        ..result
    }
}

/// The low `count` bits, of 64.
fn low_bits(count: u64) -> u64 {
    match count {
        64.. => u64::MAX,
        _ => (1 << count) - 1,
    }
}

/// PDEP: the low bits of `value` to where `mask` has ones.
fn scatter(value: u64, mut mask: u64) -> u64 {
    let (mut result, mut bit) = (0, 1);
    while mask != 0 {
        if value & bit != 0 {
            result |= mask & mask.wrapping_neg();
        }
        mask &= mask - 1;
        bit <<= 1;
    }
    result
}

/// PEXT: and back.
fn gather(value: u64, mut mask: u64) -> u64 {
    let (mut result, mut bit) = (0, 1);
    while mask != 0 {
        if value & mask & mask.wrapping_neg() != 0 {
            result |= bit;
        }
        mask &= mask - 1;
        bit <<= 1;
    }
    result
}

impl<C: Registers + ?Sized, B: Bus + ?Sized> Execution<'_, C, B> {
    /// BSF and BSR: the target stays where there is no bit, as AMD says and Intel's CPUs do.
    pub(super) fn scan(&mut self, find: fn(Width, u64) -> u32) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let value = self.value(1, to.width)?;
        if value != 0 {
            self.write_part(to, u64::from(find(to.width, value)));
        }
        self.set_flags(&Outcome {
            value: 0,
            flags: when(Rflags::ZF, value == 0),
            changed: Rflags::ZF,
        });
        Ok(Flow::Next)
    }

    /// POPCNT.
    pub(super) fn count_ones(&mut self) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let value = self.value(1, to.width)?;
        self.write_part(to, u64::from(value.count_ones()));
        self.set_flags(&Outcome {
            value: 0,
            flags: when(Rflags::ZF, value == 0),
            changed: alu::STATUS,
        });
        Ok(Flow::Next)
    }

    /// TZCNT and LZCNT.
    pub(super) fn count_zeros(&mut self, count: fn(Width, u64) -> u32) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let value = self.value(1, to.width)?;
        let zeros = if value == 0 {
            to.width.bits()
        } else {
            count(to.width, value)
        };
        self.write_part(to, u64::from(zeros));
        self.set_flags(&Outcome {
            value: 0,
            flags: when(Rflags::CF, value == 0) | when(Rflags::ZF, zeros == 0),
            changed: Rflags::CF | Rflags::ZF,
        });
        Ok(Flow::Next)
    }

    /// The BMI instructions, which take three operands and are encoded with VEX.
    pub(super) fn manipulate_bits(&mut self) -> Result<Flow, Stop> {
        if self.is_real_mode() || self.is_virtual_8086() {
            return Err(Exception::INVALID_OPCODE.into());
        }
        let to = self.register(0)?;
        let width = to.width;
        let a = self.value(1, width)?;
        let b = match self.instruction.op_count() {
            3 => self.value(2, width)?,
            _ => 0,
        };
        let shift = (b & u64::from(width.bits() - 1)) as u32;
        let outcome = match self.instruction.mnemonic() {
            Mnemonic::Andn => outcome(width, !a & b, false),
            Mnemonic::Blsi => outcome(width, a & a.wrapping_neg(), a != 0),
            Mnemonic::Blsmsk => outcome(width, a ^ a.wrapping_sub(1), a == 0),
            Mnemonic::Blsr => outcome(width, a & a.wrapping_sub(1), a == 0),
            Mnemonic::Bextr => {
                let (first, count) = (b & 0xff, b >> 8 & 0xff);
                let moved = a.checked_shr(first as u32).unwrap_or(0);
                outcome(width, moved & low_bits(count), false)
            }
            Mnemonic::Bzhi => {
                let count = b & 0xff;
                let is_wide = count >= u64::from(width.bits());
                outcome(width, a & low_bits(count), is_wide)
            }
            Mnemonic::Pdep => alu::plain(scatter(a, b)),
            Mnemonic::Pext => alu::plain(gather(a, b)),
            Mnemonic::Shlx => alu::plain(a << shift),
            Mnemonic::Shrx => alu::plain(a >> shift),
            Mnemonic::Sarx => {
                let unused = 64 - width.bits();
                alu::plain(((a << unused) as i64 >> unused >> shift) as u64)
            }
            // RORX.
            _ => alu::plain(match width {
                Width::Qword => a.rotate_right(shift),
                _ => u64::from((a as u32).rotate_right(shift)),
            }),
        };
        self.write_part(to, outcome.value);
        self.set_flags(&outcome);
        Ok(Flow::Next)
    }

    /// ADCX and ADOX: an addition whose carry is one flag alone.
    pub(super) fn add_with(&mut self, flag: Rflags) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let value = self.value(1, to.width)?;
        let carry = u64::from(self.cpu.rflags() & flag.bits() != 0);
        let sum = alu::add(to.width, self.read_part(to), value, carry);
        self.write_part(to, sum.value);
        self.set_flags(&Outcome {
            value: 0,
            flags: when(flag, sum.flags.contains(Rflags::CF)),
            changed: flag,
        });
        Ok(Flow::Next)
    }

    /// CRC32.
    pub(super) fn accumulate_checksum(&mut self) -> Result<Flow, Stop> {
        let to = self.register(0)?;
        let width = self.width(1)?;
        let value = self.value(1, width)?;
        let mut sum = self.read_part(to) as u32;
        for byte in value.to_le_bytes().into_iter().take(width.bytes()) {
            sum ^= u32::from(byte);
            for _ in 0..8 {
                sum = (sum >> 1) ^ (POLYNOMIAL * (sum & 1));
            }
        }
        self.write_part(to, u64::from(sum));
        Ok(Flow::Next)
    }
}
