//! What VBE tells of the adapter and of a mode (VESA BIOS Extension 3.0, functions 4F00h and 4F01h).

use super::super::super::call::{Call, Served};
use super::super::super::pci;
use super::dispi::{self, Register};
use super::modes::{MODES, Mode};
use super::{Answer, FAILED};
use crate::rom;
use crate::rom::video::{MODE_LIST, OEM_STRING, PRODUCT};
use hvm::Width;
use hvm::regs::SegmentName;
use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromZeros, Immutable, IntoBytes};

/// A far pointer: offset, segment.
type Pointer = [U16; 2];

fn in_rom(offset: u16) -> Pointer {
    [offset.into(), rom::video::SEGMENT.into()]
}

/// VbeInfoBlock, what all versions have of it, and VBE 2's part.
#[derive(Clone, Copy, FromZeros, IntoBytes, Immutable)]
#[repr(C, packed)]
struct Controller {
    signature: [u8; 4],
    version: U16,
    oem: Pointer,
    capabilities: U32,
    modes: Pointer,
    memory_64_kib: U16,
    revision: U16,
    vendor: Pointer,
    product: Pointer,
    product_revision: Pointer,
    reserved: [u8; 222],
}

/// Function 4F00h: to ES:DI, 256 bytes, or 512 if the caller wrote "VBE2" there.
pub fn controller(call: &mut Call<'_>) -> Served<Answer> {
    const DAC_SWITCHES: u32 = 1;
    const OEM_DATA: [u8; 256] = [0; 256];
    let at = call.linear(SegmentName::Es, call.di().into());
    let asked: [u8; 4] = call.load(at)?;
    let mut block = Controller::new_zeroed();
    block.signature = *b"VESA";
    block.version = 0x0300.into();
    block.oem = in_rom(OEM_STRING);
    block.capabilities = DAC_SWITCHES.into();
    block.modes = in_rom(MODE_LIST);
    block.memory_64_kib = dispi::read(call, Register::Memory).into();
    if asked == *b"VBE2" {
        block.revision = 0x0100.into();
        block.vendor = in_rom(OEM_STRING);
        block.product = in_rom(PRODUCT);
        block.product_revision = in_rom(PRODUCT);
        call.store(at.wrapping_add(256), &OEM_DATA)?;
    }
    call.store(at, &block)?;
    Ok(Ok(()))
}

/// ModeInfoBlock.
#[derive(Clone, Copy, FromZeros, IntoBytes, Immutable)]
#[repr(C, packed)]
struct ModeInfo {
    attributes: U16,
    window_attributes: [u8; 2],
    granularity_kib: U16,
    window_kib: U16,
    window_segments: [U16; 2],
    window_function: Pointer,
    pitch: U16,
    width: U16,
    height: U16,
    character_width: u8,
    character_height: u8,
    planes: u8,
    depth: u8,
    banks: u8,
    memory_model: u8,
    bank_kib: u8,
    image_pages: u8,
    one: u8,
    fields: [[u8; 2]; 4],
    direct_color: u8,
    framebuffer: U32,
    reserved: [u8; 6],
    linear_pitch: U16,
    banked_pages: u8,
    linear_pages: u8,
    linear_fields: [[u8; 2]; 4],
    pixel_clock_hz: U32,
    rest: [u8; 190],
}

/// Function 4F01h: mode CX to ES:DI.
pub fn mode(call: &mut Call<'_>) -> Served<Answer> {
    const LINEAR_OR_WINDOW: u16 = 0x3fff;
    let Some(mode) = Mode::find(call.cx() & LINEAR_OR_WINDOW) else {
        return Ok(Err(FAILED));
    };
    let memory = u32::from(dispi::read(call, Register::Memory)) << 16;
    let framebuffer = framebuffer(call);
    let info = mode_info(mode, memory, framebuffer);
    call.store(call.linear(SegmentName::Es, call.di().into()), &info)?;
    Ok(Ok(()))
}

fn mode_info(mode: &Mode, memory: u32, framebuffer: Option<u32>) -> ModeInfo {
    /// Extended information, colour, graphics.
    const ATTRIBUTES: u16 = 0x1a;
    const SUPPORTED: u16 = 1;
    const LINEAR: u16 = 0x80;
    const WINDOW_READ_WRITE: u8 = 7;
    const PACKED: u8 = 4;
    const DIRECT: u8 = 6;
    let fits = mode.bytes() <= memory;
    let pages = (memory / mode.bytes().max(1)).saturating_sub(1).min(255) as u8;
    let fields = mode.fields().0.map(|(size, at)| [size, at]);
    let mut info = ModeInfo::new_zeroed();
    let mut attributes = ATTRIBUTES;
    if fits {
        attributes |= SUPPORTED;
    }
    if framebuffer.is_some() {
        attributes |= LINEAR;
    }
    info.attributes = attributes.into();
    info.window_attributes = [WINDOW_READ_WRITE, 0];
    info.granularity_kib = 64.into();
    info.window_kib = 64.into();
    info.window_segments = [0xa000.into(), 0.into()];
    info.window_function = [rom::WINDOW_FUNCTION.into(), rom::SEGMENT.into()];
    info.pitch = mode.pitch().into();
    info.width = mode.width.into();
    info.height = mode.height.into();
    info.character_width = 8;
    info.character_height = 16;
    info.planes = 1;
    info.depth = mode.depth;
    info.banks = 1;
    info.memory_model = if mode.depth == 8 { PACKED } else { DIRECT };
    info.image_pages = pages;
    info.one = 1;
    info.fields = fields;
    info.framebuffer = framebuffer.unwrap_or(0).into();
    info.linear_pitch = mode.pitch().into();
    info.banked_pages = pages;
    info.linear_pages = pages;
    info.linear_fields = fields;
    info.pixel_clock_hz = 230_000_000.into();
    info
}

/// Where the adapter's BARs are: its framebuffer, if it decodes memory.
pub fn framebuffer(call: &mut Call<'_>) -> Option<u32> {
    bar(call, 0)
}

/// A memory BAR of the display.
fn bar(call: &mut Call<'_>, index: u8) -> Option<u32> {
    const VGA: u32 = 0x03_0000;
    const MEMORY: u32 = 2;
    pci::find(call, |call, function| {
        if function.read(call, pci::CLASS, Width::Dword) >> 8 != VGA {
            return None;
        }
        let decodes = function.read(call, pci::COMMAND, Width::Word) & MEMORY != 0;
        let base = function.read(call, pci::BAR0 + 4 * index, Width::Dword) & !15;
        Some((decodes && base != 0).then_some(base))
    })?
}

/// Function 4F15h: the monitor's EDID, which the adapter has in its register page.
pub fn edid(call: &mut Call<'_>) -> Served<Answer> {
    const REGISTERS: u8 = 2;
    const DDC2_IN_A_SECOND: u16 = 0x0102;
    let Some(page) = bar(call, REGISTERS) else {
        return Ok(Err(FAILED));
    };
    match call.bl() {
        0 => call.set_bx(DDC2_IN_A_SECOND),
        1 if call.dx() == 0 => {
            let mut block = [0; 128];
            call.read_physical(guest_mem::Gpa(page.into()), &mut block);
            if block[..2] != [0, 0xff] {
                return Ok(Err(FAILED));
            }
            call.store(call.linear(SegmentName::Es, call.di().into()), &block)?;
        }
        _ => return Ok(Err(FAILED)),
    }
    Ok(Ok(()))
}

const _: () = {
    assert!(size_of::<Controller>() == 256 && size_of::<ModeInfo>() == 256);
    assert!(MODES.len() <= rom::video::MODE_LIST_ROOM);
};
