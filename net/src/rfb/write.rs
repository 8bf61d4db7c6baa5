//! What servers say, as bytes.

use super::bits::{encoding, server};
use super::format::PixelFormat;
use alloc::vec::Vec;
use hvm::display::{Rect, Size};

/// The head of a rectangle (RFC 6143, 7.6.1).
pub fn header(rect: Rect, encoding: i32, out: &mut Vec<u8>) {
    for number in [rect.x, rect.y, rect.width, rect.height] {
        out.extend_from_slice(&(number as u16).to_be_bytes());
    }
    out.extend_from_slice(&encoding.to_be_bytes());
}

/// A rectangle that the viewer has elsewhere on its screen (RFC 6143, 7.7.2).
pub fn copy(from: (u16, u16), rect: Rect, out: &mut Vec<u8>) {
    header(rect, encoding::COPY_RECT, out);
    out.extend_from_slice(&from.0.to_be_bytes());
    out.extend_from_slice(&from.1.to_be_bytes());
}

/// One screen that is the whole desktop (rfbproto, "ExtendedDesktopSize").
pub fn layout(size: Size, out: &mut Vec<u8>) {
    out.extend_from_slice(&[1, 0, 0, 0]);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&(size.width as u16).to_be_bytes());
    out.extend_from_slice(&(size.height as u16).to_be_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// rfbproto, "ServerFence".
pub fn fence(flags: u32, payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[server::FENCE, 0, 0, 0]);
    out.extend_from_slice(&flags.to_be_bytes());
    out.push(payload.len() as u8);
    out.extend_from_slice(payload);
}

/// RFC 6143, 7.6.2: all entries of [`PixelFormat::MAP`].
pub fn map(out: &mut Vec<u8>) {
    out.extend_from_slice(&[server::SET_COLOUR_MAP, 0, 0, 0]);
    out.extend_from_slice(&PixelFormat::MAP_ENTRIES.to_be_bytes());
    for entry in 0..PixelFormat::MAP_ENTRIES {
        let PixelFormat { max, shift, .. } = PixelFormat::MAP;
        for (max, shift) in max.into_iter().zip(shift) {
            let value = u32::from(entry >> shift & max) * 0xffff / u32::from(max);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
    }
}
