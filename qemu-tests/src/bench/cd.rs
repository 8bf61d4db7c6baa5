//! From power-on through GRUB on a CD to the first instruction of the guest's `init`.
//!
//! The guest's CD is the same file on both sides: GRUB, a kernel, an initramfs. Under Monovisor it lies in the bundle, and the machine
//! starts from the CD that `monovisor build` makes of hypervisor and bundle.

use super::counted::{number_after, transcript_with};
use super::{Bench, GUEST_MIB, HOST_MIB};
use crate::bundle;
use crate::loader::{self, Payload};
use crate::tree;
use anyhow::Result;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The guest's PC has a VGA, so the bare machine has one, too.
fn arguments(image: &Path) -> [OsString; 6] {
    let image = image.as_os_str().to_owned();
    let fixed = ["-vga", "std", "-boot", "d", "-cdrom"].map(OsString::from);
    let [vga, std, boot, d, cdrom] = fixed;
    [vga, std, boot, d, cdrom, image]
}

fn guest(bench: &Bench) -> Result<PathBuf> {
    let payload = bench.payload(&bench.kernel.image(), Some(&bench.ramdisk));
    loader::iso_image(&payload, &bench.place("iso-guest")?)
}

fn init(image: &Path, memory_mib: u32, directory: &Path) -> Result<u64> {
    let said = transcript_with(&arguments(image), memory_mib, directory, "\nTSC ")?;
    number_after(&said, "\nTSC ")
}

/// TSC at `init` without a hypervisor.
pub fn bare(bench: &Bench) -> Result<u64> {
    init(&guest(bench)?, GUEST_MIB, &bench.place("bare-iso")?)
}

/// The same, under Monovisor.
pub fn monovisor(bench: &Bench) -> Result<u64> {
    let directory = bench.place("monovisor-iso")?;
    let settings =
        format!("memory = {GUEST_MIB}\nboot = \"d\"\ndisk = [\"file:boot.iso,hdc:cdrom,r\"]\n");
    let bundle = directory.join("bundle.cpio");
    bundle::pack_files(&settings, &[("boot.iso", &guest(bench)?)], &bundle)?;
    let payload = Payload {
        kernel: tree::image(),
        initrd: Some(bundle),
        append: String::new(),
    };
    let image = loader::iso_image(&payload, &directory)?;
    init(&image, HOST_MIB, &directory)
}
