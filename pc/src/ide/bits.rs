//! Registers and opcodes of ATA devices (ATA/ATAPI-6, INCITS 361-2002, clauses 7 and 8), and of the PCI function around
//! them (82371SB data sheet, order 290550, "IDE interface"; Programming Interface for Bus Master IDE Controller, 1.0).

/// Status register (7.15).
pub(super) mod status {
    pub const BSY: u8 = 1 << 7;
    pub const DRDY: u8 = 1 << 6;
    /// Device fault.
    pub const DF: u8 = 1 << 5;
    /// Seek complete: obsolete, and expected by old software.
    pub const DSC: u8 = 1 << 4;
    pub const DRQ: u8 = 1 << 3;
    /// CHK for packet devices.
    pub const ERR: u8 = 1;
}

/// Error register (7.9 and the commands).
pub(super) mod error {
    /// Uncorrectable data.
    pub const UNC: u8 = 1 << 6;
    /// No such sector.
    pub const IDNF: u8 = 1 << 4;
    pub const ABRT: u8 = 1 << 2;
    /// The code of a passed diagnostic (table 26).
    pub const PASSED: u8 = 1;
}

/// Device register (7.7).
pub(super) mod device {
    /// The address is a logical block's.
    pub const LBA: u8 = 1 << 6;
    /// Device 1 is selected.
    pub const DEV: u8 = 1 << 4;
    /// Bits 7 and 5 are obsolete; old software sets them and reads them back.
    pub const HEAD: u8 = 0xf;
}

/// Device control register (7.8).
pub(super) mod control {
    /// Reads show the previous content of the task file.
    pub const HOB: u8 = 1 << 7;
    /// Software reset.
    pub const SRST: u8 = 1 << 2;
    /// INTRQ is not driven.
    pub const NIEN: u8 = 1 << 1;
}

/// Interrupt reason, the sector count register of packet devices (7.10).
pub(super) mod reason {
    /// Command or status, not data.
    pub const CD: u8 = 1;
    /// To the host.
    pub const IO: u8 = 1 << 1;
}

/// Commands (clause 8).
pub(super) mod command {
    pub const DEVICE_RESET: u8 = 0x08;
    pub const RECALIBRATE: u8 = 0x10;
    pub const RECALIBRATE_LAST: u8 = 0x1f;
    pub const READ_SECTORS: u8 = 0x20;
    pub const READ_SECTORS_NO_RETRY: u8 = 0x21;
    pub const READ_SECTORS_EXT: u8 = 0x24;
    pub const READ_DMA_EXT: u8 = 0x25;
    pub const READ_NATIVE_MAX_EXT: u8 = 0x27;
    pub const READ_MULTIPLE_EXT: u8 = 0x29;
    pub const WRITE_SECTORS: u8 = 0x30;
    pub const WRITE_SECTORS_NO_RETRY: u8 = 0x31;
    pub const WRITE_SECTORS_EXT: u8 = 0x34;
    pub const WRITE_DMA_EXT: u8 = 0x35;
    pub const WRITE_MULTIPLE_EXT: u8 = 0x39;
    pub const READ_VERIFY: u8 = 0x40;
    pub const READ_VERIFY_NO_RETRY: u8 = 0x41;
    pub const READ_VERIFY_EXT: u8 = 0x42;
    pub const SEEK: u8 = 0x70;
    pub const SEEK_LAST: u8 = 0x7f;
    pub const EXECUTE_DEVICE_DIAGNOSTIC: u8 = 0x90;
    pub const INITIALIZE_DEVICE_PARAMETERS: u8 = 0x91;
    pub const PACKET: u8 = 0xa0;
    pub const IDENTIFY_PACKET_DEVICE: u8 = 0xa1;
    pub const READ_MULTIPLE: u8 = 0xc4;
    pub const WRITE_MULTIPLE: u8 = 0xc5;
    pub const SET_MULTIPLE_MODE: u8 = 0xc6;
    pub const READ_DMA: u8 = 0xc8;
    pub const READ_DMA_NO_RETRY: u8 = 0xc9;
    pub const WRITE_DMA: u8 = 0xca;
    pub const WRITE_DMA_NO_RETRY: u8 = 0xcb;
    /// Power management: each has an older opcode too (ATA-2).
    pub const STANDBY_IMMEDIATE: [u8; 2] = [0xe0, 0x94];
    pub const IDLE_IMMEDIATE: [u8; 2] = [0xe1, 0x95];
    pub const STANDBY: [u8; 2] = [0xe2, 0x96];
    pub const IDLE: [u8; 2] = [0xe3, 0x97];
    pub const CHECK_POWER_MODE: [u8; 2] = [0xe5, 0x98];
    pub const SLEEP: [u8; 2] = [0xe6, 0x99];
    pub const FLUSH_CACHE: u8 = 0xe7;
    pub const FLUSH_CACHE_EXT: u8 = 0xea;
    pub const IDENTIFY_DEVICE: u8 = 0xec;
    pub const SET_FEATURES: u8 = 0xef;
    pub const READ_NATIVE_MAX: u8 = 0xf8;
}

/// Subcommands of SET FEATURES (table 44).
pub(super) mod feature {
    pub const WRITE_CACHE_ON: u8 = 0x02;
    pub const TRANSFER_MODE: u8 = 0x03;
    pub const WRITE_CACHE_OFF: u8 = 0x82;
    /// Read look-ahead and what survives a reset: nothing changes here.
    pub const HARMLESS: [u8; 4] = [0x55, 0xaa, 0x66, 0xcc];
}

/// The PCI function's own configuration registers.
pub(super) mod config {
    /// IDETIM for the primary channel; the secondary's follows.
    pub const IDETIM: u8 = 0x40;
    /// IDETIM, upper byte: the channel's ports are decoded.
    pub const IDETIM_DECODE: u8 = 1 << 7;
    /// SIDETIM: timings of the second drives.
    pub const SIDETIM: u8 = 0x44;
}

/// Bus master registers of a channel, within its 8 ports.
pub(super) mod bus_master {
    /// Ports of a channel.
    pub const PORTS: u64 = 8;
    /// BMICX: command.
    pub const COMMAND: u64 = 0;
    /// BMISX: status.
    pub const STATUS: u64 = 2;
    /// BMIDTPX: descriptor table pointer, 4 bytes.
    pub const TABLE: u64 = 4;

    /// Command: go.
    pub const START: u8 = 1;
    /// Command: the transfer writes memory.
    pub const TO_MEMORY: u8 = 1 << 3;

    /// Status: going.
    pub const ACTIVE: u8 = 1;
    /// Status: a memory access failed; cleared by writing 1.
    pub const ERROR: u8 = 1 << 1;
    /// Status: the drive's interrupt rose; cleared by writing 1.
    pub const INTERRUPT: u8 = 1 << 2;
    /// Status: drive 0 and 1 are set up for DMA, for software to note.
    pub const CAPABLE: u8 = 3 << 5;
}
