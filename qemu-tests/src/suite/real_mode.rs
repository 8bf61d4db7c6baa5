//! VT-x without unrestricted guest, where the emulator runs real mode: how much of that a boot takes.

use super::seat::Seat;
use super::session::{BOOT, Lab, Session};
use super::{Case, Machines, Scope, Tier, linux};
use crate::loader;
use crate::medium::packaged;
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "real-mode-grub",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Restricted,
        body: grub,
    },
    Case {
        name: "real-mode-linux",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Restricted,
        body: kernel,
    },
];

/// Twice what was counted: from reset to GRUB's menu by its rescue CD, and to a shell by GRUB's CD and Debian's kernel for amd64.
const GRUB_STEPS: u64 = 20_000;
const LINUX_STEPS: u64 = 110_000;

fn grub(lab: &mut Lab) -> Result<()> {
    let image = packaged(
        "grub-rescue-pc",
        "usr/lib/grub-rescue/grub-rescue-cdrom.iso",
    )?;
    lab.step("menu, in so many steps", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("GNU GRUB  version 2", BOOT)?;
        took_at_most(&mut seat.session, GRUB_STEPS)
    })
}

fn kernel(lab: &mut Lab) -> Result<()> {
    let payload = linux::AMD64.payload(lab)?;
    let cd = loader::iso_image(&payload, lab.directory())?;
    lab.step("shell, in so many steps", |lab| {
        let mut session = lab.start_pc(&Pc::with(Place::Cd, cd))?;
        session.shell()?;
        session.enter_prompt()?;
        took_at_most(&mut session, LINUX_STEPS)
    })
}

/// The emulator has had to do with real mode, and not with much more.
fn took_at_most(session: &mut Session, limit: u64) -> Result<()> {
    let info = session.ask("info")?;
    let mut words = info.split_whitespace();
    let steps = words
        .find(|word| *word == "emulated")
        .and_then(|_| words.next())
        .and_then(|count| count.parse::<u64>().ok())
        .with_context(|| format!("`info` tells no emulated steps: {info:?}"))?;
    ensure!(
        (100..=limit).contains(&steps),
        "{steps} steps were emulated; at most {limit} are expected"
    );
    Ok(())
}
