//! The screen: the Graphics Output Protocol's current mode (UEFI 2.10, 12.9).

use super::firmware::Firmware;
use boot::{Framebuffer, PixelFormat};
use uefi_raw::protocol::console::{
    GraphicsOutputModeInformation, GraphicsOutputProtocol, GraphicsPixelFormat,
};

/// What is on; none when pixels can only be drawn by the firmware.
pub fn framebuffer(firmware: &Firmware) -> Framebuffer {
    let Some(output) =
        firmware.first_protocol::<GraphicsOutputProtocol>(&GraphicsOutputProtocol::GUID)
    else {
        return Framebuffer::None;
    };
    // SAFETY: the protocol's pointers are valid while the boot services live.
    let (mode, info) = unsafe { (&*(*output).mode, &*(*(*output).mode).info) };
    let Some(format) = format(info) else {
        return Framebuffer::None;
    };
    let pitch_bytes = info.pixels_per_scan_line.saturating_mul(4);
    let (width, height) = (info.horizontal_resolution, info.vertical_resolution);
    Framebuffer::linear(mode.frame_buffer_base, pitch_bytes, width, height, format)
}

fn format(info: &GraphicsOutputModeInformation) -> Option<PixelFormat> {
    let masks = &info.pixel_information;
    match info.pixel_format {
        GraphicsPixelFormat::PIXEL_RED_GREEN_BLUE_RESERVED_8_BIT_PER_COLOR => {
            Some(PixelFormat::RGBX)
        }
        GraphicsPixelFormat::PIXEL_BLUE_GREEN_RED_RESERVED_8_BIT_PER_COLOR => {
            Some(PixelFormat::BGRX)
        }
        GraphicsPixelFormat::PIXEL_BIT_MASK => {
            PixelFormat::from_masks(masks.red, masks.green, masks.blue)
        }
        _ => None,
    }
}
