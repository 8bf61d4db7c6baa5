//! What INT 10h tells of its state (function 1Bh), and what it saves of the VGA's (function 1Ch, and VBE's 4F04h).

use super::super::bda;
use super::super::call::{Call, Served};
use super::modes;
use super::registers;
use super::vbe::dispi::{self, Register};
use super::vbe::{Answer, FAILED};
use crate::rom::video;
use guest_mem::Gva;
use hvm::regs::SegmentName;
use zerocopy::byteorder::little_endian::U16;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes};

/// The dynamic state table (IBM VGA BIOS, function 1Bh).
#[derive(Clone, Copy, FromZeros, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Dynamic {
    functionality: [U16; 2],
    /// The data area from [`bda::VIDEO_MODE`] on: mode, columns, page, cursors, port, CGA registers.
    area: [u8; 0x1e],
    rows: u8,
    character_height: U16,
    combination: [u8; 2],
    colours: U16,
    pages: u8,
    scan_lines: u8,
    character_blocks: [u8; 2],
    flags: u8,
    reserved: [u8; 3],
    memory: u8,
    save_pointers: u8,
    more: [u8; 13],
}

/// Function 1Bh: the table to ES:DI. BX names the only one.
pub fn tell(call: &mut Call<'_>) -> Served {
    const VGA: u8 = 0x1b;
    /// All modes on all displays, and the cursor emulated.
    const FLAGS: u8 = 0x11;
    const MEMORY_256_KIB: u8 = 3;
    if call.bx() != 0 {
        return Ok(());
    }
    let number: u8 = call.load(bda::VIDEO_MODE)?;
    let last_row: u8 = call.load(bda::LAST_ROW)?;
    let height: u16 = call.load(bda::CHARACTER_HEIGHT)?;
    let combination: u8 = call.load(bda::DISPLAY_COMBINATION)?;
    let mut table = Dynamic::new_zeroed();
    table.functionality = [video::FUNCTIONALITY.into(), video::SEGMENT.into()];
    table.area = call.load(bda::VIDEO_MODE)?;
    table.rows = last_row.saturating_add(1);
    table.character_height = height.into();
    table.combination = [combination, 0];
    if let Some(mode) = modes::find(number) {
        let (colours, lines) = mode.shown();
        table.colours = colours.into();
        table.pages = mode.pages();
        table.scan_lines = lines;
    }
    table.flags = FLAGS;
    table.memory = MEMORY_256_KIB;
    call.store(call.linear(SegmentName::Es, call.di().into()), &table)?;
    call.set_al(VGA);
    Ok(())
}

/// What CX selects of the state.
#[derive(Clone, Copy)]
struct Parts(u16);

const HARDWARE: u16 = 1;
const DATA_AREA: u16 = 2;
const COLOURS: u16 = 4;
/// VBE's own.
const EXTENDED: u16 = 8;

impl Parts {
    fn has(self, part: u16) -> bool {
        self.0 & part != 0
    }

    /// In units of 64 bytes.
    fn blocks(self) -> u16 {
        const BLOCK: usize = 64;
        let sizes = [
            (HARDWARE, size_of::<Hardware>()),
            (DATA_AREA, size_of::<Area>()),
            (COLOURS, size_of::<Colours>()),
            (EXTENDED, size_of::<Extended>()),
        ];
        let chosen = sizes.into_iter().filter(|(part, _)| self.has(*part));
        chosen
            .map(|(_, bytes)| bytes)
            .sum::<usize>()
            .div_ceil(BLOCK) as u16
    }
}

/// The VGA's registers.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Hardware {
    miscellaneous: u8,
    sequencer: [u8; 4],
    crtc: [u8; 25],
    attribute: [u8; 21],
    graphics: [u8; 9],
}

/// The data area's two parts about video, and the two font vectors.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Area {
    modes: [u8; 0x1e],
    more: [u8; 7],
    fonts: [[u8; 4]; 2],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Colours {
    mask: u8,
    palette: [[u8; 3]; 256],
}

/// The display interface's registers, with the one that turns it on last.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Extended([U16; 8]);

const EXTENDED_REGISTERS: [Register; 8] = [
    Register::Width,
    Register::Height,
    Register::Depth,
    Register::VirtualWidth,
    Register::XOffset,
    Register::YOffset,
    Register::Bank,
    Register::Enable,
];

/// Function 1Ch: AL = 0 tells how much room is needed, in BX; 1 saves to ES:BX, 2 loads from there.
pub fn serve(call: &mut Call<'_>) -> Served {
    const SUPPORTED: u8 = 0x1c;
    let parts = Parts(call.cx() & 7);
    let at = call.linear(SegmentName::Es, call.bx().into());
    match call.al() {
        0 => call.set_bx(parts.blocks()),
        1 => save(call, parts, at)?,
        2 => load(call, parts, at)?,
        _ => return Ok(()),
    }
    call.set_al(SUPPORTED);
    Ok(())
}

/// Function 4F04h: the same by DL, with VBE's state.
pub fn extended(call: &mut Call<'_>) -> Served<Answer> {
    let parts = Parts(call.cx() & 15);
    let at = call.linear(SegmentName::Es, call.bx().into());
    match call.dl() {
        0 => call.set_bx(parts.blocks()),
        1 => save(call, parts, at)?,
        2 => load(call, parts, at)?,
        _ => return Ok(Err(FAILED)),
    }
    Ok(Ok(()))
}

const MORE_AREA: Gva = bda::LAST_ROW;
const FONT_VECTORS: [Gva; 2] = [Gva(4 * 0x1f), Gva(4 * 0x43)];

/// Puts a value at a place that moves on behind it.
fn put<T: IntoBytes + Immutable>(call: &mut Call<'_>, at: &mut Gva, value: &T) -> Served {
    call.store(call.wrap(*at), value)?;
    *at = at.wrapping_add(size_of::<T>() as u64);
    Ok(())
}

fn take<T: FromBytes + IntoBytes>(call: &mut Call<'_>, at: &mut Gva) -> Served<T> {
    let value = call.load(call.wrap(*at))?;
    *at = at.wrapping_add(size_of::<T>() as u64);
    Ok(value)
}

fn save(call: &mut Call<'_>, parts: Parts, mut at: Gva) -> Served {
    if parts.has(HARDWARE) {
        let hardware = hardware(call);
        put(call, &mut at, &hardware)?;
    }
    if parts.has(DATA_AREA) {
        let area = Area {
            modes: call.load(bda::VIDEO_MODE)?,
            more: call.load(MORE_AREA)?,
            fonts: [call.load(FONT_VECTORS[0])?, call.load(FONT_VECTORS[1])?],
        };
        put(call, &mut at, &area)?;
    }
    if parts.has(COLOURS) {
        let mut colours = Colours {
            mask: registers::dac_mask(call),
            palette: [[0; 3]; 256],
        };
        for (index, colour) in (0..=255).zip(&mut colours.palette) {
            *colour = registers::colour(call, index);
        }
        put(call, &mut at, &colours)?;
    }
    if parts.has(EXTENDED) {
        let extended =
            Extended(EXTENDED_REGISTERS.map(|register| dispi::read(call, register).into()));
        put(call, &mut at, &extended)?;
    }
    Ok(())
}

/// All is read before anything changes, so that a page fault finds the screen as it was.
fn load(call: &mut Call<'_>, parts: Parts, mut at: Gva) -> Served {
    let hardware = match parts.has(HARDWARE) {
        true => Some(take::<Hardware>(call, &mut at)?),
        false => None,
    };
    let area = match parts.has(DATA_AREA) {
        true => Some(take::<Area>(call, &mut at)?),
        false => None,
    };
    let colours = match parts.has(COLOURS) {
        true => Some(take::<Colours>(call, &mut at)?),
        false => None,
    };
    let extended = match parts.has(EXTENDED) {
        true => Some(take::<Extended>(call, &mut at)?),
        false => None,
    };
    if extended.is_some() {
        dispi::turn_off(call);
    }
    if let Some(hardware) = hardware {
        set_hardware(call, &hardware);
    }
    if let Some(Area { modes, more, fonts }) = area {
        call.store(bda::VIDEO_MODE, &modes)?;
        call.store(MORE_AREA, &more)?;
        call.store(FONT_VECTORS[0], &fonts[0])?;
        call.store(FONT_VECTORS[1], &fonts[1])?;
    }
    if let Some(colours) = colours {
        registers::set_dac_mask(call, colours.mask);
        for (index, colour) in (0..=255).zip(colours.palette) {
            registers::set_colour(call, index, colour);
        }
    }
    if let Some(Extended(values)) = extended {
        set_extended(call, values);
    }
    Ok(())
}

fn hardware(call: &mut Call<'_>) -> Hardware {
    fn each<const N: usize>(mut read: impl FnMut(u8) -> u8) -> [u8; N] {
        core::array::from_fn(|index| read(index as u8))
    }
    Hardware {
        miscellaneous: registers::miscellaneous(call),
        sequencer: each(|index| registers::sequencer(call, index + 1)),
        crtc: each(|index| registers::crtc(call, index)),
        attribute: each(|index| registers::attribute(call, index)),
        graphics: each(|index| registers::graphics(call, index)),
    }
}

fn set_hardware(call: &mut Call<'_>, hardware: &Hardware) {
    registers::set_miscellaneous(call, hardware.miscellaneous);
    for (index, value) in (1..).zip(hardware.sequencer) {
        registers::set_sequencer(call, index, value);
    }
    registers::open_crtc(call);
    for (index, value) in (0..).zip(hardware.crtc) {
        registers::set_crtc(call, index, value);
    }
    for (index, value) in (0..).zip(hardware.attribute) {
        registers::set_attribute(call, index, value);
    }
    for (index, value) in (0..).zip(hardware.graphics) {
        registers::set_graphics(call, index, value);
    }
}

/// The sizes while it is off, then what it shows and the rest, which turning it on has set to its defaults.
fn set_extended(call: &mut Call<'_>, values: [U16; 8]) {
    let [sizes @ .., enable] = values;
    for (register, value) in EXTENDED_REGISTERS.into_iter().zip(sizes).take(3) {
        dispi::write(call, register, value.get());
    }
    if enable.get() & dispi::ENABLED == 0 {
        return;
    }
    dispi::write(call, Register::Enable, enable.get() | dispi::KEEP_MEMORY);
    for (register, value) in EXTENDED_REGISTERS.into_iter().zip(sizes).skip(3) {
        dispi::write(call, register, value.get());
    }
}

const _: () = assert!(size_of::<Dynamic>() == 64);
