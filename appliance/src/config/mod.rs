//! The configuration: `monovisor.toml`, with the key names of xl.cfg(5).
//!
//! Every key of xl.cfg(5), and of xm before it, is known: honoured, or ignored with a [`Note`] that says why. Any other
//! key is an error. Values have the types of the manual page; as in xl, a number may be quoted, and 0 and 1 are booleans
//! (so are `true` and `false`). Keys of our own: `initrd` (another name for `ramdisk`), `boot_menu_s`, `firmware_vars`,
//! `insecure`, `kvm`, `media`, `ntp`, `paging`, `password`, `prompt`, `syslog`, `tsc_mhz`, `video_rom` and `without`.
//!
//! The syntax is TOML, and the statements of xl's own syntax load as they are: see [`syntax`](self::syntax) for the two
//! liberties taken. `key=value` words of the hypervisor's command line override the file (`command_line`).
//!
//! Defaults: `memory` is all that the host has less what Monovisor keeps; `vcpus` is 1; `name` is `guest`;
//! `on_poweroff = "destroy"` and `on_reboot = "restart"` as in xl. Unlike xl, `on_crash` and `on_watchdog` default to
//! `"preserve"`: the report of what happened must stay readable on a machine that has no dom0 to keep it.

mod action;
mod command_line;
mod consoles;
mod disk;
mod error;
mod interpret;
mod key;
mod placement;
mod servers;
mod setting;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;
mod translation;
mod viridian;

pub use action::{Action, Actions};
pub use consoles::{Admission, Consoles, Dialect, Endpoint, Terminal, Vnc};
pub use disk::{Access, Bus, DiskSpec, Format, Medium, Vdev};
pub use error::{ConfigError, Note, Place};
pub use placement::{Placement, PlacementError};
pub use servers::Servers;
pub use viridian::{Group, Viridian};

use alloc::string::String;
use alloc::vec::Vec;
use net::vif::Vif;

/// Most virtual CPUs that a guest can have.
pub const MAX_VCPUS: u32 = 64;
/// The longest wait for a key that asks for the boot menu.
pub const MAX_BOOT_MENU_S: u64 = 60;
/// The fastest time-stamp counter that can be asked for.
pub const MAX_TSC_MHZ: u64 = 100_000;
/// Most memory that can be asked for: what 52 physical address bits reach.
pub const MAX_MEMORY_MIB: u64 = 1 << 32;

/// One guest, described. Every value is within its documented range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The guest's name.
    pub name: String,
    /// Guest RAM; `None`: all that the host has less what Monovisor keeps.
    pub memory: Option<Memory>,
    /// Virtual CPUs, 1 to [`MAX_VCPUS`].
    pub vcpus: u32,
    /// Which of the host's CPUs they may run on; `None`: the hypervisor chooses.
    pub cpus: Option<Placement>,
    /// What starts in the guest.
    pub boot: Boot,
    /// Block devices in their order.
    pub disks: Vec<DiskSpec>,
    /// Further files of the bundle, to be put into drives later.
    pub media: Vec<BlobName>,
    /// Network interfaces in their order.
    pub vifs: Vec<Vif>,
    /// The guest's first serial port.
    pub serial: Serial,
    /// Which consoles are served over the network.
    pub consoles: Consoles,
    /// Servers that the host itself uses.
    pub servers: Servers,
    /// What to do when the guest stops.
    pub actions: Actions,
    /// Which kind of page tables to run the guest on.
    pub paging: Paging,
    /// Budget for shadow page tables; `None`: sized from the guest's memory.
    pub shadow_memory_mib: Option<u64>,
    /// What of Hyper-V's interface the guest is offered.
    pub viridian: Viridian,
    /// Whether it is shown KVM's.
    pub kvm: bool,
    /// Options of the host's CPU that are not to be used: for tests, and to get around errata.
    pub without: Vec<Without>,
    /// The rate of the guest's time-stamp counter; `None`: the host's.
    pub tsc: Option<TscRate>,
}

/// A rate that the configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscRate {
    /// In MHz, 1 to [`MAX_TSC_MHZ`].
    pub mhz: u64,
    /// Where it is written, for a report that the host cannot do it.
    pub place: Place,
}

/// An option of the host's CPU by name; the names are the hypervisor's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Without {
    /// The name as written.
    pub name: String,
    /// Where.
    pub place: Place,
}

/// An amount of memory that the configuration names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// The amount, 1 to [`MAX_MEMORY_MIB`].
    pub mib: u64,
    /// Where it is written, for a report that the host has less.
    pub place: Place,
}

/// The name of a blob in the bundle (or, before packing, of a file on the host), and which key named it where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobName {
    /// The name as written.
    pub name: String,
    /// The key that names it.
    pub key: &'static str,
    /// Where.
    pub place: Place,
}

/// What starts in the guest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// A Linux kernel, loaded directly.
    Linux {
        /// The bzImage.
        kernel: BlobName,
        /// Its initrd.
        initrd: Option<BlobName>,
        /// Its command line: `cmdline`, or else `root=` with `root`, then `extra`, as in xl.
        command_line: String,
    },
    /// Firmware, which boots from a device.
    Firmware {
        /// Which.
        firmware: Firmware,
        /// Devices to try, in order.
        order: Vec<BootDevice>,
        /// Seconds that Monovisor's BIOS waits for a key that asks for its boot menu, 0 to [`MAX_BOOT_MENU_S`].
        menu_s: u64,
        /// The key that asked for firmware, if one did; otherwise it is because no `kernel` is named.
        named_by: Option<(&'static str, Place)>,
    },
}

/// Which firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// Monovisor's own BIOS.
    Builtin,
    /// A user's own.
    Image(FirmwareImage),
}

/// A user's own firmware: SeaBIOS or OVMF as their builds leave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareImage {
    /// The ROM image.
    pub code: BlobName,
    /// The variable store of UEFI firmware, if it is a file of its own.
    pub variables: Option<BlobName>,
    /// The video BIOS, for firmware that has none.
    pub video_rom: Option<BlobName>,
}

/// A device to boot from: the letters of `boot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootDevice {
    /// `a`: the first floppy.
    Floppy,
    /// `c`: the first hard disk.
    Disk,
    /// `d`: the CD-ROM.
    Cdrom,
    /// `n`: the network.
    Network,
}

/// The guest's first serial port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serial {
    /// On Monovisor's console.
    #[default]
    Console,
    /// Not connected.
    None,
}

/// The kind of page tables to run the guest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paging {
    /// Nested where the CPU has it, else shadow.
    #[default]
    Auto,
    /// Nested (EPT or NPT), or not at all.
    Nested,
    /// Shadow page tables.
    Shadow,
}

/// A configuration and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The guest.
    pub config: Config,
    /// Keys and words that were ignored, and why.
    pub notes: Vec<Note>,
}

impl Config {
    /// Reads a configuration file, with the hypervisor's command line on top of it.
    pub fn load(toml: &str, command_line: &str) -> Result<Loaded, ConfigError> {
        let mut notes = Vec::new();
        let mut settings = syntax::settings(toml)?;
        command_line::overlay(&mut settings, command_line, &mut notes)?;
        interpret::config(settings, notes)
    }
}
