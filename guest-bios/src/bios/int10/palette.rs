//! Palette registers and the DAC (INT 10h functions 0Bh and 10h).

use super::super::bda;
use super::super::call::{Call, Served};
use super::registers;
use hvm::regs::SegmentName;

const OVERSCAN: u8 = 0x11;
const MODE_CONTROL: u8 = 0x10;
const COLOUR_SELECT: u8 = 0x14;
/// Mode control: bit 3 attribute bit 7 blinks; bit 7 the colour page has 16 colours.
const BLINK: u8 = 8;
const PAGES_OF_16: u8 = 0x80;

/// Function 0Bh: BH = 0: border and background BL; BH = 1: CGA palette BL.
pub fn set_background(call: &mut Call<'_>) -> Served {
    let value = call.bl();
    let mut kept: u8 = call.load(bda::CGA_PALETTE)?;
    if call.bh() == 0 {
        kept = kept & !0x1f | value & 0x1f;
        let colour = value & 7 | (value & 8) << 1;
        registers::set_attribute(call, OVERSCAN, colour);
        registers::set_attribute(call, 0, colour);
    } else {
        kept = kept & !0x20 | (value & 1) << 5;
        for index in 1..4 {
            // Cyan, magenta, white or green, red, brown, in the intensity that was set.
            let colour = (index * 2 + (value & 1)) | kept & 0x10;
            registers::set_attribute(call, index, colour);
        }
    }
    call.store(bda::CGA_PALETTE, &kept)
}

/// Function 10h.
pub fn serve(call: &mut Call<'_>) -> Served {
    match call.al() {
        0x00 => registers::set_attribute(call, call.bl() & 0x1f, call.bh()),
        0x01 => registers::set_attribute(call, OVERSCAN, call.bh()),
        0x02 => {
            let at = call.linear(SegmentName::Es, call.dx().into());
            let values: [u8; 17] = call.load(at)?;
            for (index, value) in (0..16).zip(values) {
                registers::set_attribute(call, index, value);
            }
            registers::set_attribute(call, OVERSCAN, values[16]);
        }
        0x03 => {
            let mode = registers::attribute(call, MODE_CONTROL) & !BLINK;
            let blink = (call.bl() & 1) * BLINK;
            registers::set_attribute(call, MODE_CONTROL, mode | blink);
        }
        0x07 => {
            let value = registers::attribute(call, call.bl() & 0x1f);
            call.set_bh(value);
        }
        0x08 => {
            let value = registers::attribute(call, OVERSCAN);
            call.set_bh(value);
        }
        0x09 => {
            let mut values = [0; 17];
            for (index, value) in (0..16).zip(&mut values) {
                *value = registers::attribute(call, index);
            }
            values[16] = registers::attribute(call, OVERSCAN);
            call.store(call.linear(SegmentName::Es, call.dx().into()), &values)?;
        }
        0x10 => {
            let colour = [call.dh(), call.ch(), call.cl()];
            registers::set_colour(call, call.bl(), colour);
        }
        0x12 => {
            for (index, entry) in entries(call) {
                let colour = call.load(call.linear(SegmentName::Es, entry))?;
                registers::set_colour(call, index, colour);
            }
        }
        0x13 => select_page(call),
        0x15 => {
            let [red, green, blue] = registers::colour(call, call.bl());
            call.set_dh(red);
            call.set_ch(green);
            call.set_cl(blue);
        }
        0x17 => {
            for (index, entry) in entries(call) {
                let colour = registers::colour(call, index);
                call.store(call.linear(SegmentName::Es, entry), &colour)?;
            }
        }
        0x18 => registers::set_dac_mask(call, call.bl()),
        0x19 => {
            let mask = registers::dac_mask(call);
            call.set_bl(mask);
        }
        0x1a => {
            let mode = registers::attribute(call, MODE_CONTROL);
            let select = registers::attribute(call, COLOUR_SELECT);
            let sixteen = mode & PAGES_OF_16 != 0;
            call.set_bl(sixteen.into());
            call.set_bh(if sixteen {
                select & 15
            } else {
                select >> 2 & 3
            });
        }
        0x1b => {
            for index in entries(call).map(|(index, _)| index) {
                let [red, green, blue] = registers::colour(call, index).map(u32::from);
                // Luminance: 30 % red, 59 % green, 11 % blue.
                let grey = ((77 * red + 151 * green + 28 * blue) >> 8).min(63) as u8;
                registers::set_colour(call, index, [grey; 3]);
            }
        }
        _ => {}
    }
    Ok(())
}

/// CX colours from BX on, with their offsets from ES:DX; at most all 256.
fn entries(call: &Call<'_>) -> impl Iterator<Item = (u8, u32)> + use<> {
    let (first, table) = (call.bx() as u8, u32::from(call.dx()));
    (0..call.cx().min(256)).map(move |entry| {
        let offset = (table + 3 * u32::from(entry)) & 0xffff;
        (first.wrapping_add(entry as u8), offset)
    })
}

/// Function 1013h: BL = 0: size of the colour pages; BL = 1: the page.
fn select_page(call: &mut Call<'_>) {
    let mode = registers::attribute(call, MODE_CONTROL);
    if call.bl() == 0 {
        let size = (call.bh() & 1) << 7;
        registers::set_attribute(call, MODE_CONTROL, mode & !PAGES_OF_16 | size);
    } else {
        let page = if mode & PAGES_OF_16 != 0 {
            call.bh() & 15
        } else {
            (call.bh() & 3) << 2
        };
        registers::set_attribute(call, COLOUR_SELECT, page);
    }
}
