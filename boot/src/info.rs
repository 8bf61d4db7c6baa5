//! The hand-over record. `repr(C)`, because two separately linked programs share it.

/// Length of the longest command line that is kept, in bytes. Longer ones are cut, and `BootInfo::command_line_cut` is set.
pub const MAX_COMMAND_LINE_BYTES: usize = 4096;
/// How many memory regions are kept after sorting and merging.
pub const MAX_MEMORY_REGIONS: usize = 512;

/// A range of host-physical memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysRange {
    /// First byte.
    pub base: u64,
    /// Length in bytes; 0 means absent.
    pub bytes: u64,
}

/// What a region of the firmware's memory map may be used for.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryKind {
    /// Free for us (E820 type 1; EFI conventional, loader and boot-services memory).
    Usable = 1,
    /// Never touch.
    #[default]
    Reserved = 2,
    /// ACPI tables; usable once they are read.
    AcpiReclaimable = 3,
    /// ACPI non-volatile storage.
    AcpiNvs = 4,
    /// Bad RAM.
    Unusable = 5,
    /// Persistent memory.
    Persistent = 7,
}

/// One region of the memory map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRegion {
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// Its use.
    pub kind: MemoryKind,
    /// Zero.
    pub reserved: u32,
}

/// The memory map, sorted by base, without overlaps (where the firmware's regions overlap the less usable kind wins).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MemoryMap {
    /// How many of `regions` are valid.
    pub len: u32,
    /// Zero.
    pub reserved: u32,
    /// The regions.
    pub regions: [MemoryRegion; MAX_MEMORY_REGIONS],
}

impl MemoryMap {
    /// The valid regions.
    pub fn regions(&self) -> &[MemoryRegion] {
        &self.regions[..(self.len as usize).min(MAX_MEMORY_REGIONS)]
    }
}

/// Where each colour sits in a pixel.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PixelFormat {
    /// Bits per pixel; 15, 16, 24 or 32.
    pub bits_per_pixel: u8,
    /// Lowest bit of red, and its width.
    pub red: (u8, u8),
    /// Lowest bit of green, and its width.
    pub green: (u8, u8),
    /// Lowest bit of blue, and its width.
    pub blue: (u8, u8),
}

/// The firmware's screen.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framebuffer {
    /// Headless, or unknown.
    #[default]
    None,
    /// VGA text mode at B8000h.
    Text {
        /// Characters per line.
        columns: u32,
        /// Lines.
        rows: u32,
    },
    /// A linear framebuffer.
    Linear {
        /// Physical address of the first pixel.
        base: u64,
        /// Bytes from line to line.
        pitch_bytes: u32,
        /// Visible pixels per line.
        width: u32,
        /// Lines.
        height: u32,
        /// Pixel layout.
        format: PixelFormat,
    },
}

/// Which entry was taken; for the log.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoaderKind {
    /// Linux boot protocol, 16-bit entry (SYSLINUX, iPXE, `qemu -kernel` with a BIOS).
    #[default]
    Linux16 = 1,
    /// Linux boot protocol, 32-bit entry (GRUB on a BIOS).
    Linux32 = 2,
    /// Linux boot protocol, 64-bit entry (kexec, EFI loaders that left boot services).
    Linux64 = 3,
    /// EFI handover entry of the Linux boot protocol (GRUB-EFI).
    EfiHandover = 4,
    /// PE/COFF entry: started by UEFI firmware itself.
    Efi = 5,
    /// PVH entry of `monovisor.elf`.
    Pvh = 6,
    /// Multiboot entry of `monovisor.elf`.
    Multiboot = 7,
}

/// The kernel's command line, as bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CommandLine {
    /// How many bytes are valid.
    pub len: u32,
    /// 1 if the loader's line was longer than this.
    pub cut: u32,
    /// The bytes; not NUL-terminated.
    pub bytes: [u8; MAX_COMMAND_LINE_BYTES],
}

impl CommandLine {
    /// The valid bytes, up to the first one that is not UTF-8.
    pub fn as_str(&self) -> &str {
        let bytes = &self.bytes[..(self.len as usize).min(MAX_COMMAND_LINE_BYTES)];
        match core::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => core::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or(""),
        }
    }
}

/// All that the kernel learns from the loader.
///
/// At the kernel's entry: 64-bit mode, interrupts off, RDI = physical address of this record (below 4 GiB and outside
/// every `Usable` byte that the kernel may allocate: the `boot` range covers it). CR3's tables, which also lie in the
/// `boot` range, map 0…4 GiB one to one, the record included, and the kernel image at its linked address
/// (FFFF_FFFF_8000_0000h upward); both writable and executable, until the kernel installs its own. EFER.NXE is set where
/// the CPU has it. The kernel brings its own stack, GDT and IDT.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct BootInfo {
    /// [`BootInfo::MAGIC`].
    pub magic: u64,
    /// `size_of::<BootInfo>()`, so that a stale half of the image is noticed.
    pub bytes: u64,
    /// TSC at our first instruction that can read it.
    pub entry_tsc: u64,
    /// Which entry was taken.
    pub loader: LoaderKind,
    /// 1 if a setup_data or EFI record says that Secure Boot is on.
    pub secure_boot: u32,
    /// ACPI RSDP, physical; 0 = not handed over (the kernel then searches the BIOS areas, ACPI 5.2.5.1).
    pub rsdp: u64,
    /// EFI system table, physical; 0 = none.
    pub efi_system_table: u64,
    /// The screen.
    pub framebuffer: Framebuffer,
    /// The bundle (initrd) as loaded; absent if `bytes` is 0. May lie above 4 GiB.
    pub bundle: PhysRange,
    /// The kernel image's physical place: linked address FFFF_FFFF_8000_0000h is `kernel.base`. 2 MiB-aligned, and
    /// below 4 GiB.
    pub kernel: PhysRange,
    /// The page tables and this record; free for reuse once the kernel has its own tables and has copied this record.
    /// The entry code itself lies elsewhere and is free from the start.
    pub boot: PhysRange,
    /// The memory map. The ranges above lie in `Usable` regions of it and are *not* cut out.
    pub memory: MemoryMap,
    /// The command line.
    pub command_line: CommandLine,
}

impl BootInfo {
    /// What is known before anything is: nothing but that this is a record.
    pub const EMPTY: Self = Self {
        magic: Self::MAGIC,
        bytes: size_of::<Self>() as u64,
        entry_tsc: 0,
        loader: LoaderKind::Linux16,
        secure_boot: 0,
        rsdp: 0,
        efi_system_table: 0,
        framebuffer: Framebuffer::None,
        bundle: PhysRange { base: 0, bytes: 0 },
        kernel: PhysRange { base: 0, bytes: 0 },
        boot: PhysRange { base: 0, bytes: 0 },
        memory: MemoryMap::EMPTY,
        command_line: CommandLine::EMPTY,
    };
    /// "MONOVISR" in little-endian ASCII.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"MONOVISR");
    /// Linked address of the kernel image's first byte.
    pub const KERNEL_VIRTUAL_BASE: u64 = 0xffff_ffff_8000_0000;
}
