//! A command packet: bytes, with the fields that several commands share.

use super::bits::PACKET_BYTES;

/// The 12 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet(pub(super) [u8; PACKET_BYTES]);

impl Packet {
    /// From what the host wrote; missing bytes are zeros.
    pub(super) fn from_slice(bytes: &[u8]) -> Self {
        let mut packet = [0; PACKET_BYTES];
        for (into, &byte) in packet.iter_mut().zip(bytes) {
            *into = byte;
        }
        Self(packet)
    }

    pub(super) fn opcode(&self) -> u8 {
        self.0[0]
    }

    /// Bytes `at` and following.
    pub(super) fn u16(&self, at: usize) -> u16 {
        let byte = |at: usize| self.0.get(at).copied().unwrap_or(0);
        u16::from_be_bytes([byte(at), byte(at + 1)])
    }

    pub(super) fn u24(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 8 | u32::from(self.u16(at + 1) & 0xff)
    }

    pub(super) fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2))
    }
}

/// Most bytes of a reply, zeros at its end not counted.
const MOST: usize = 96;

/// A reply under construction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    bytes: [u8; MOST],
    len: usize,
    /// Its length with the zeros that follow.
    padded: usize,
}

impl Reply {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; MOST],
            len: 0,
            padded: 0,
        }
    }

    /// Appends; all replies are short, and what would not fit is dropped.
    pub(super) fn push(&mut self, bytes: &[u8]) -> &mut Self {
        for (into, &byte) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *into = byte;
            self.len += 1;
        }
        self.padded = self.padded.max(self.len);
        self
    }

    /// Lets zeros follow, up to a length.
    pub(super) fn pad_to(&mut self, bytes: usize) {
        self.padded = self.padded.max(bytes);
    }

    /// Overwrites from `at` on, once it is known what goes there.
    pub(super) fn set(&mut self, at: usize, bytes: &[u8]) {
        for (into, &byte) in self.bytes[..self.len].iter_mut().skip(at).zip(bytes) {
            *into = byte;
        }
    }

    /// The bytes that follow the first `header` ones, for length fields.
    pub(super) fn bytes_after(&self, header: usize) -> u16 {
        self.padded.saturating_sub(header) as u16
    }

    /// Its length.
    pub(super) fn bytes(&self) -> usize {
        self.padded
    }

    /// Copies as much of it as there is room for.
    pub(super) fn copy_to(&self, into: &mut [u8]) {
        into.fill(0);
        for (into, &byte) in into.iter_mut().zip(&self.bytes[..self.len]) {
            *into = byte;
        }
    }
}

impl From<&[u8]> for Reply {
    fn from(bytes: &[u8]) -> Self {
        let mut reply = Self::new();
        reply.push(bytes);
        reply
    }
}
