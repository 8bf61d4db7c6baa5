//! The page of registers in BAR 2, as on QEMU's adapter (`docs/specs/standard-vga`): EDID, the VGA's ports, the display
//! interface, and two registers of its own.

use super::Vga;
use super::edid::EDID_BYTES;
use hvm::{Instant, Width};

/// Bytes of the page.
pub(super) const PAGE_BYTES: u32 = 0x1000;
/// Ports 3C0h…3DFh.
const PORTS: u64 = 0x400;
const PORTS_END: u64 = 0x420;
const FIRST_PORT: u16 = 0x3c0;
/// Registers of the display interface, a word each.
const DISPI: u64 = 0x500;
const DISPI_END: u64 = 0x516;
/// How many bytes the adapter's own registers have.
const OWN_BYTES: u64 = 0x600;
/// Byte order of the framebuffer, and what it reads: little-endian.
const BYTE_ORDER: u64 = 0x604;
const LITTLE_ENDIAN: u64 = 0x1e1e_1e1e;

impl Vga {
    /// Reads the page.
    pub(super) fn page_read(
        &mut self,
        edid: &[u8; EDID_BYTES],
        offset: u64,
        width: Width,
        now: Instant,
    ) -> u64 {
        let bytes = (offset..).take(width.bytes());
        let value = match offset {
            PORTS..PORTS_END => le(bytes.map(|offset| match port(offset) {
                Some(port) => self.port_read(port, now),
                None => 0,
            })),
            DISPI..DISPI_END => le(bytes.map(|offset| {
                let [low, high] = match dispi_index(offset) {
                    Some(index) => self.dispi_read(index).to_le_bytes(),
                    None => [0; 2],
                };
                if offset & 1 == 0 { low } else { high }
            })),
            OWN_BYTES => 8,
            BYTE_ORDER => LITTLE_ENDIAN,
            _ => le(bytes.map(|offset| {
                let byte = usize::try_from(offset).ok().and_then(|at| edid.get(at));
                byte.copied().unwrap_or(0)
            })),
        };
        width.cut(value)
    }

    /// Writes it. The display interface takes words, and wider accesses as so many of them.
    pub(super) fn page_write(&mut self, offset: u64, width: Width, value: u64) {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..width.bytes()];
        match offset {
            PORTS..PORTS_END => {
                for (offset, byte) in (offset..).zip(bytes) {
                    if let Some(port) = port(offset) {
                        self.port_write(port, *byte);
                    }
                }
            }
            DISPI..DISPI_END => {
                for (offset, word) in (offset..).step_by(2).zip(bytes.chunks_exact(2)) {
                    if let Some(index) = dispi_index(offset) {
                        self.dispi_write(index, u16::from_le_bytes([word[0], word[1]]));
                    }
                }
            }
            _ => {}
        }
    }
}

fn port(offset: u64) -> Option<u16> {
    (PORTS..PORTS_END)
        .contains(&offset)
        .then(|| FIRST_PORT + (offset - PORTS) as u16)
}

fn dispi_index(offset: u64) -> Option<u16> {
    (DISPI..DISPI_END)
        .contains(&offset)
        .then(|| ((offset - DISPI) / 2) as u16)
}

/// Up to eight bytes as a number, the first lowest.
fn le(bytes: impl Iterator<Item = u8>) -> u64 {
    let mut number = [0; 8];
    for (into, byte) in number.iter_mut().zip(bytes) {
        *into = byte;
    }
    u64::from_le_bytes(number)
}
