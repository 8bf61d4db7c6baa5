//! Shadow paging beside nested paging: the same guest, the same machine.

use super::counted::{number_after, single, transcript};
use super::figures::Figures;
use super::{Bench, COMMAND_LINE, GUEST_MIB, HOST_MIB, monovisor};
use crate::bundle::Guest;
use crate::initramfs;
use crate::program::{Form, build};
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// What the guest says of itself.
struct Told {
    init: u64,
    fork: u64,
    turn: u64,
    fill: u64,
}

/// What the guest starts.
pub fn ramdisk(bench: &Bench) -> Result<PathBuf> {
    let directory = bench.place("monovisor-paging")?;
    let ramdisk = directory.join("initrd.cpio");
    let init = fs::read(build("paging", Form::Executable)?)?;
    fs::write(&ramdisk, initramfs::build_with_init(&bench.kernel, &init)?)?;
    Ok(ramdisk)
}

/// Measures both.
pub fn measure(bench: &Bench) -> Result<Figures> {
    let ramdisk = ramdisk(bench)?;
    let run = |paging: &str, place: &str| {
        let mut guest = Guest::new(bench.kernel.image());
        guest.ramdisk = Some(ramdisk.clone());
        guest.memory_mib = GUEST_MIB;
        guest.cmdline = COMMAND_LINE.to_owned();
        guest.settings = format!("paging = \"{paging}\"\n");
        told(&guest, &bench.place(place)?)
    };
    let nested = run("nested", "monovisor-paging-nested")?;
    let shadow = run("shadow", "monovisor-paging-shadow")?;
    let ratio = |shadow: u64, nested: u64| shadow as f64 / nested as f64;
    let mut figures = Figures::from([
        ("shadow_fork", shadow.fork as f64),
        ("shadow_switch", shadow.turn as f64),
    ]);
    figures.extend([
        ("shadow_boot_ratio_to_npt", ratio(shadow.init, nested.init)),
        ("shadow_fork_ratio_to_npt", ratio(shadow.fork, nested.fork)),
        (
            "shadow_switch_ratio_to_npt",
            ratio(shadow.turn, nested.turn),
        ),
        (
            "shadow_fill",
            shadow.fill.saturating_sub(nested.fill) as f64,
        ),
    ]);
    Ok(figures)
}

/// What a guest under shadow paging said: instructions of a fork, exec and exit, and of a turn of two processes.
pub fn absolute(said: &str) -> Result<Figures> {
    let told = read(said)?;
    Ok(Figures::from([
        ("shadow_fork", told.fork as f64),
        ("shadow_switch", told.turn as f64),
    ]))
}

fn told(guest: &Guest, directory: &Path) -> Result<Told> {
    let payload = monovisor(guest, directory)?;
    read(&transcript(
        &payload,
        single(HOST_MIB),
        directory,
        "PAGING done",
    )?)
}

fn read(said: &str) -> Result<Told> {
    Ok(Told {
        init: number_after(said, "INIT at ")?,
        fork: number_after(said, "FORK of ")?,
        turn: number_after(said, "TURN of ")?,
        fill: number_after(said, "FILL of ")?,
    })
}
