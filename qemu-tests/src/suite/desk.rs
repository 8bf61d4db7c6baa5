//! The guest's keyboard and screen, by way of the host's.

use super::firmware::start_on;
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::loader;
use crate::machine::{Desk, Machine};
use anyhow::{Context, Result};
use std::fs;

pub(super) const CASES: &[Case] = &[Case {
    name: "desk-keyboard",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::Qemu,
    body: keyboard,
}];

/// Where GRUB's own screen asks.
const GRUB_PROMPT: &str = "grub>";

/// A machine that somebody sits at.
fn attended(lab: &Lab) -> Machine {
    let mut machine = lab.machine();
    machine.desk = Desk::Attended;
    machine
}

/// Starts GRUB from a CD without anything to do, the default guest's kernel beside it.
fn start_grub(lab: &Lab, machine: &Machine) -> Result<Session> {
    let image = loader::grub_iso(&lab.guest().payload(), "", lab.directory())?;
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    let config = "boot = \"d\"\ndisk = [\"file:boot.iso,hdc:cdrom,r\"]\n";
    start_on(lab, machine, config, &[("boot.iso", &image)])
}

/// GRUB is told by hand what to boot, and a shell on Linux' own console is typed to; the screen shows both.
fn keyboard(lab: &mut Lab) -> Result<()> {
    let mut session = lab.step("GRUB", |lab| {
        let mut session = start_grub(lab, &attended(lab))?;
        session.console.expect("guest starts", SOON)?;
        session.enter_prompt()?;
        session.screen_shows(GRUB_PROMPT, BOOT)?;
        let desk = session.console.desk()?;
        desk.type_text("linux /boot/kernel console=tty0 console=ttyS0 word=Typed_1\n")?;
        session.screen_shows("word=Typed_1", SOON)?;
        let desk = session.console.desk()?;
        desk.type_text("initrd /boot/initrd\n")?;
        session.screen_shows("initrd\ngrub>", BOOT)?;
        session.console.desk()?.type_text("boot\n")?;
        session.leave_prompt()?;
        session.shell()?;
        session.run("grep word=Typed_1 /proc/cmdline")?;
        Ok(session)
    })?;
    lab.step("Linux", |lab| {
        session.run("(setsid sh -c 'exec sh </dev/tty1 >/dev/tty1 2>&1' &)")?;
        session.enter_prompt()?;
        let desk = session.console.desk()?;
        desk.type_text("clear; echo \"[$((6 * 7))]\" | tr '[]' '{}'\n")?;
        session.screen_shows("{42}", SOON)?;
        let png = lab.directory().join("screen.png");
        session.console.desk()?.save_png(&png)
    })
}
