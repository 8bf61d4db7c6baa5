//! Numbers of the protocol: RFC 6143, and the community's extensions of it ("The RFB Protocol", rfbproto).

/// Messages of clients (RFC 6143, 7.5).
pub mod client {
    pub const SET_PIXEL_FORMAT: u8 = 0;
    pub const SET_ENCODINGS: u8 = 2;
    pub const UPDATE_REQUEST: u8 = 3;
    pub const KEY_EVENT: u8 = 4;
    pub const POINTER_EVENT: u8 = 5;
    pub const CUT_TEXT: u8 = 6;
    pub const ENABLE_CONTINUOUS_UPDATES: u8 = 150;
    pub const FENCE: u8 = 248;
    pub const SET_DESKTOP_SIZE: u8 = 251;
    pub const QEMU: u8 = 255;
    pub const QEMU_EXTENDED_KEY: u8 = 0;
}

/// Messages of servers (RFC 6143, 7.6).
pub mod server {
    pub const UPDATE: u8 = 0;
    pub const SET_COLOUR_MAP: u8 = 1;
    pub const END_OF_CONTINUOUS_UPDATES: u8 = 150;
    pub const FENCE: u8 = 248;
}

/// Encodings (RFC 6143, 7.7) and pseudo-encodings (7.8).
pub mod encoding {
    pub const RAW: i32 = 0;
    pub const COPY_RECT: i32 = 1;
    pub const HEXTILE: i32 = 5;
    pub const ZRLE: i32 = 16;
    pub const DESKTOP_SIZE: i32 = -223;
    pub const CURSOR: i32 = -239;
    pub const QEMU_EXTENDED_KEY: i32 = -258;
    pub const QEMU_LED_STATE: i32 = -261;
    pub const EXTENDED_DESKTOP_SIZE: i32 = -308;
    pub const FENCE: i32 = -312;
    pub const CONTINUOUS_UPDATES: i32 = -313;
}

/// Security types (RFC 6143, 7.1.2).
pub mod security {
    pub const NONE: u8 = 1;
    pub const VNC: u8 = 2;
}

/// A fence asks for an answer.
pub const FENCE_REQUEST: u32 = 1 << 31;
/// Block before, block after, sync next: what an answer may repeat.
pub const FENCE_KNOWN: u32 = 7;
/// The longest payload of a fence.
pub const FENCE_BYTES: usize = 64;

/// A client that asked for another size does not get it: "resize is administratively prohibited".
pub const RESIZE_PROHIBITED: u16 = 1;
/// The size changed because a client asked.
pub const RESIZE_BY_CLIENT: u16 = 1;

/// Subencodings of a hextile (RFC 6143, 7.7.4).
pub mod hextile {
    pub const RAW: u8 = 1;
    pub const BACKGROUND: u8 = 1 << 1;
    pub const FOREGROUND: u8 = 1 << 2;
    pub const ANY_SUBRECTS: u8 = 1 << 3;
    pub const SUBRECTS_COLOURED: u8 = 1 << 4;
}

/// Subencodings of a ZRLE tile (RFC 6143, 7.7.6): 0 is raw, 1 one colour, 2 to 16 a packed palette.
pub mod zrle {
    pub const RAW: u8 = 0;
    pub const SOLID: u8 = 1;
    pub const PLAIN_RLE: u8 = 128;
    /// The palette's size is added.
    pub const PALETTE_RLE: u8 = 128;
    pub const MAX_PACKED: usize = 16;
    pub const MAX_PALETTE: usize = 127;
}
