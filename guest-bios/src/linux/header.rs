//! Offsets and bits of the setup header and of `struct boot_params` (boot.rst, "The Real-Mode Kernel Header"; zero-page.rst).
//! The header has the same offsets in the file and in the boot parameters.

// The setup header.
pub const SETUP_SECTS: usize = 0x1f1;
pub const SYSSIZE: usize = 0x1f4;
pub const VID_MODE: usize = 0x1fa;
pub const BOOT_FLAG: usize = 0x1fe;
/// Low byte of the short jump over the header: the header ends so many bytes after 202h.
pub const JUMP_OFFSET: usize = 0x201;
pub const MAGIC: usize = 0x202;
pub const VERSION: usize = 0x206;
pub const TYPE_OF_LOADER: usize = 0x210;
pub const LOADFLAGS: usize = 0x211;
pub const CODE32_START: usize = 0x214;
pub const RAMDISK_IMAGE: usize = 0x218;
pub const RAMDISK_SIZE: usize = 0x21c;
pub const CMD_LINE_PTR: usize = 0x228;
pub const INITRD_ADDR_MAX: usize = 0x22c;
pub const KERNEL_ALIGNMENT: usize = 0x230;
pub const RELOCATABLE_KERNEL: usize = 0x234;
pub const XLOADFLAGS: usize = 0x236;
pub const CMDLINE_SIZE: usize = 0x238;
pub const PREF_ADDRESS: usize = 0x258;
pub const INIT_SIZE: usize = 0x260;
/// One past INIT_SIZE, the last field that a kernel of version 2.12 must have for us.
pub const NEEDED_END: usize = 0x264;

pub const BOOT_FLAG_VALUE: u16 = 0xaa55;
pub const MAGIC_VALUE: &[u8; 4] = b"HdrS";
/// First version with XLOADFLAGS, which tell that there is a 64-bit entry.
pub const MIN_VERSION: u16 = 0x020c;
pub const LOADED_HIGH: u8 = 1 << 0;
pub const XLF_KERNEL_64: u16 = 1 << 0;
pub const SECTOR_BYTES: usize = 512;
/// SETUP_SECTS = 0 means 4, for kernels before it was a field.
pub const DEFAULT_SETUP_SECTS: usize = 4;
/// The 64-bit entry, from the protected-mode kernel's first byte.
pub const ENTRY_64: u64 = 0x200;
/// "A loader without a number".
pub const LOADER_UNKNOWN: u8 = 0xff;
pub const VID_MODE_NORMAL: u16 = 0xffff;

// Boot parameters outside of the header.
pub const BOOT_PARAMS_BYTES: usize = 4096;
pub const ACPI_RSDP_ADDR: usize = 0x070;
pub const E820_ENTRIES: usize = 0x1e8;
/// The header's copy must end before the fields that follow it.
pub const HEADER_END: usize = 0x290;
pub const E820_TABLE: usize = 0x2d0;
pub const E820_ENTRY_BYTES: usize = 20;
pub const E820_MAX_ENTRIES: usize = 128;
