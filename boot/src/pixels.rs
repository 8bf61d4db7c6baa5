//! Framebuffers as firmware describes them, checked.

use crate::{Framebuffer, PixelFormat};

impl PixelFormat {
    /// 32 bits: blue lowest, then green, then red (EFI PixelBlueGreenRedReserved8BitPerColor).
    pub const BGRX: Self = Self {
        bits_per_pixel: 32,
        red: (16, 8),
        green: (8, 8),
        blue: (0, 8),
    };
    /// 32 bits: red lowest, then green, then blue (EFI PixelRedGreenBlueReserved8BitPerColor).
    pub const RGBX: Self = Self {
        bits_per_pixel: 32,
        red: (0, 8),
        green: (8, 8),
        blue: (16, 8),
    };

    /// A format of 32-bit pixels from the bits of each colour; `None` if a colour's bits are not one run.
    pub fn from_masks(red: u32, green: u32, blue: u32) -> Option<Self> {
        Some(Self {
            bits_per_pixel: 32,
            red: run(red)?,
            green: run(green)?,
            blue: run(blue)?,
        })
    }
}

impl Framebuffer {
    /// A linear framebuffer, or [`Framebuffer::None`] if the description contradicts itself or is of no use.
    pub fn linear(
        base: u64,
        pitch_bytes: u32,
        width: u32,
        height: u32,
        format: PixelFormat,
    ) -> Self {
        let pixel_bytes = u32::from(format.bits_per_pixel).div_ceil(8);
        let line_bytes = width.checked_mul(pixel_bytes);
        let known = matches!(format.bits_per_pixel, 15 | 16 | 24 | 32);
        let colours = [format.red, format.green, format.blue];
        let colours_fit = colours.iter().all(|&(lowest, bits)| {
            bits > 0 && u32::from(lowest) + u32::from(bits) <= pixel_bytes * 8
        });
        let lines_fit = line_bytes.is_some_and(|bytes| 0 < bytes && bytes <= pitch_bytes);
        if !known || !colours_fit || !lines_fit || base == 0 || height == 0 {
            return Self::None;
        }
        Self::Linear {
            base,
            pitch_bytes,
            width,
            height,
            format,
        }
    }
}

/// Lowest bit and width of a mask that is one run of ones.
fn run(mask: u32) -> Option<(u8, u8)> {
    let (lowest, bits) = (mask.trailing_zeros(), mask.count_ones());
    let is_run = bits > 0 && mask >> lowest == u32::MAX >> (32 - bits);
    is_run.then_some((lowest as u8, bits as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_become_runs() {
        assert_eq!(
            PixelFormat::from_masks(0xff_0000, 0xff00, 0xff),
            Some(PixelFormat::BGRX)
        );
        assert_eq!(run(u32::MAX), Some((0, 32)));
        assert_eq!(PixelFormat::from_masks(0, 0xff00, 0xff), None);
        assert_eq!(PixelFormat::from_masks(0b101, 0xff00, 0xff_0000), None);
    }

    #[test]
    fn contradictions_are_no_framebuffer() {
        let none = Framebuffer::None;
        assert_ne!(
            Framebuffer::linear(1, 4096, 1024, 768, PixelFormat::BGRX),
            none
        );
        assert_eq!(
            Framebuffer::linear(0, 4096, 1024, 768, PixelFormat::BGRX),
            none
        );
        assert_eq!(
            Framebuffer::linear(1, 4095, 1024, 768, PixelFormat::BGRX),
            none
        );
        assert_eq!(
            Framebuffer::linear(1, 4096, u32::MAX, 768, PixelFormat::BGRX),
            none
        );
        assert_eq!(
            Framebuffer::linear(1, 4096, 1024, 0, PixelFormat::BGRX),
            none
        );
        assert_eq!(
            Framebuffer::linear(1, 4096, 1024, 768, PixelFormat::default()),
            none
        );
    }
}
