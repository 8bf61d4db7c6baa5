//! The memory that generated code has: some pages low enough for 32-bit addresses, with holes between them, and the segments over it.

use hvm::regs::{Attributes, Segment};

/// Where it starts, as a linear address.
pub const BASE: u64 = 0x2000_0000;
/// Length of a page.
pub const PAGE: u64 = 4096;
/// Pages, holes included.
pub const PAGES: u64 = 8;
/// The page of code, as an offset. Around it are holes.
pub const CODE: u64 = PAGE;
/// Two pages that may be written.
pub const DATA: u64 = 3 * PAGE;
/// A page that may only be read, behind them; behind it is a hole.
pub const READ_ONLY: u64 = 5 * PAGE;

/// What a page allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Nothing is there.
    Hole,
    /// Reads and fetches.
    Code,
    /// Reads and writes.
    Data,
    /// Reads.
    ReadOnly,
}

/// The rights of the page with this number.
pub const fn rights(page: u64) -> Rights {
    match page {
        1 => Rights::Code,
        3 | 4 => Rights::Data,
        5 => Rights::ReadOnly,
        _ => Rights::Hole,
    }
}

/// Contents, from [`CODE`] on to the end of [`READ_ONLY`]; what lies in the hole between is of no meaning.
pub type Memory = [u8; ((READ_ONLY + PAGE) - CODE) as usize];

/// Where an offset lies in [`Memory`].
pub const fn index(offset: u64) -> usize {
    (offset - CODE) as usize
}

/// A descriptor of the local table.
#[derive(Clone, Copy, Debug)]
pub struct Local {
    /// Linear base.
    pub base: u32,
    /// As the descriptor has it, in bytes or pages.
    pub limit: u32,
    /// Attribute bits as [`Attributes`] has them.
    pub attributes: u32,
}

impl Local {
    const fn new(base: u32, limit: u32, attributes: u32) -> Self {
        Self {
            base,
            limit,
            attributes,
        }
    }

    /// The two halves of the descriptor.
    pub const fn raw(&self) -> u64 {
        let base = self.base as u64;
        let limit = self.limit as u64;
        limit & 0xffff
            | (base & 0xff_ffff) << 16
            | (self.attributes as u64 & 0xf0ff) << 40
            | (limit & 0xf_0000) << 32
            | (base & 0xff00_0000) << 32
    }

    /// The segment with this descriptor loaded.
    pub fn segment(&self, selector: u16) -> Segment {
        let limit = if self.attributes & Attributes::G.bits() != 0 {
            self.limit << 12 | 0xfff
        } else {
            self.limit
        };
        Segment::new(selector, self.attributes, limit, u64::from(self.base))
    }
}

const BASE_32: u32 = BASE as u32;

/// The local table. All that the kernel lets a process have has DPL 3, and no conforming segment is present.
pub const LOCALS: [Local; 16] = [
    Local::new(0, 0, 0),
    Local::new(0, 0xf_ffff, 0xc0fb),
    Local::new(BASE_32, 0xffff, 0x00fb),
    Local::new(BASE_32, 0x1fff, 0x40fb),
    Local::new(0, 0xf_ffff, 0xc0f3),
    Local::new(BASE_32, 0xffff, 0x00f3),
    Local::new(BASE_32, 0x4fff, 0x40f3),
    Local::new(BASE_32, 0xf_ffff, 0x40f1),
    Local::new(BASE_32, 0x37ff, 0x40f7),
    Local::new(BASE_32, 0x37ff, 0x00f7),
    Local::new(BASE_32, 0x1fff, 0x40f9),
    Local::new(BASE_32, 0x1fff, 0x407f),
    Local::new(BASE_32, 0xffff, 0x0073),
    Local::new(BASE_32, 0xffff, 0x007b),
    Local::new(BASE_32 - 0xc000, 0xffff, 0x00f3),
    Local::new(BASE_32, 0x17ff, 0x00fb),
];

/// The selector of a local descriptor, for CPL 3.
pub const fn local(index: u16) -> u16 {
    index << 3 | 7
}

/// Linux's global descriptors, as far as code at CPL 3 may tell them apart (its arch/x86/include/asm/segment.h): the kernel's three and
/// the user's 32-bit code, data and 64-bit code, all used already.
pub const GLOBALS: [u64; 7] = [
    0,
    0x00cf_9b00_0000_ffff,
    0x00af_9b00_0000_ffff,
    0x00cf_9300_0000_ffff,
    0x00cf_fb00_0000_ffff,
    0x00cf_f300_0000_ffff,
    0x00af_fb00_0000_ffff,
];
/// The user's data and 64-bit code.
pub const USER_DATA: u16 = 0x2b;
/// See [`USER_DATA`].
pub const USER_CODE: u16 = 0x33;
/// Limit of Linux's global table: 16 descriptors.
pub const GLOBAL_LIMIT: u16 = 127;
