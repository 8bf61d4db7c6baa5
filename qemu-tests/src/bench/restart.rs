//! From a guest's reset, by port CF9h, to its boot sector.

use super::counted::{number_after, transcript_with};
use super::{Bench, GUEST_MIB, HOST_MIB};
use crate::loader::{Firmware, Loader, Payload};
use crate::program::{Form, build};
use crate::{bundle, tree};
use anyhow::Result;
use std::fs;
use std::path::PathBuf;

/// The ACPI timer's rate; on the counted machine an instruction takes a nanosecond.
const TIMER_HZ: u64 = 3_579_545;
const DISK_BYTES: usize = 1 << 20;

fn disk(bench: &Bench) -> Result<PathBuf> {
    let mut image = fs::read(build("reset", Form::Sector)?)?;
    image.resize(DISK_BYTES, 0);
    let path = bench.place("reset-guest")?.join("disk.img");
    fs::write(&path, image)?;
    Ok(path)
}

/// Instructions under Monovisor.
pub fn monovisor(bench: &Bench) -> Result<u64> {
    let directory = bench.place("monovisor-reset")?;
    let settings =
        format!("memory = {GUEST_MIB}\nboot = \"c\"\ndisk = [\"file:disk.img,hda,w\"]\n");
    let bundle = directory.join("bundle.cpio");
    bundle::pack_files(&settings, &[("disk.img", &disk(bench)?)], &bundle)?;
    let payload = Payload {
        kernel: tree::image(),
        initrd: Some(bundle),
        append: String::new(),
    };
    let arguments = Loader::Direct(Firmware::Bios).arguments(&payload, &directory)?;
    let said = transcript_with(&arguments, HOST_MIB, &directory, "\nRESET ")?;
    Ok(number_after(&said, "\nRESET ")? * 1_000_000_000 / TIMER_HZ)
}
