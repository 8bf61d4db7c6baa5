//! Numbers of QEMU's firmware configuration device (QEMU, docs/specs/fw_cfg.rst).

/// Items that every device has.
pub(super) const SIGNATURE: u16 = 0x0000;
pub(super) const FEATURES: u16 = 0x0001;
pub(super) const DIRECTORY: u16 = 0x0019;
/// Files have selectors from here on.
pub(super) const FIRST_FILE: u16 = 0x0020;
/// Selector: write mode, which nothing uses any more.
pub(super) const WRITE_MODE: u16 = 1 << 14;
/// Selectors of items that belong to the architecture.
pub(super) const ARCHITECTURE: u16 = 1 << 15;

/// Features: data port, DMA.
pub(super) const DATA_PORT: u32 = 1;
pub(super) const DMA: u32 = 1 << 1;

/// What the DMA address register reads as, in memory order.
pub(super) const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";

/// DMA control word.
pub(super) const ERROR: u32 = 1;
pub(super) const READ: u32 = 1 << 1;
pub(super) const SKIP: u32 = 1 << 2;
pub(super) const SELECT: u32 = 1 << 3;
pub(super) const WRITE: u32 = 1 << 4;

/// A directory entry: size, selector, reserved, name.
pub(super) const ENTRY_BYTES: usize = 64;
/// The longest name, its zero byte not counted.
pub(super) const NAME_BYTES: usize = 55;
