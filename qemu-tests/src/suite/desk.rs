//! The guest's keyboard and screen, by way of the host's.

use super::firmware::start_on;
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::desk::GLYPH_WIDTH;
use crate::loader::{self, Firmware, Loader};
use crate::machine::{Desk, Machine};
use crate::remote::Network;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "desk-keyboard",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: keyboard,
    },
    Case {
        name: "desk-status",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: status,
    },
    Case {
        name: "desk-none",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: none,
    },
];

/// Where GRUB's own screen asks.
const GRUB_PROMPT: &str = "grub>";

/// A machine that somebody sits at.
fn attended(lab: &Lab, loader: Loader) -> Machine {
    let mut machine = lab.machine_with(loader);
    machine.desk = Desk::Attended;
    machine
}

/// Starts GRUB from a CD without anything to do, the default guest's kernel beside it.
fn start_grub(lab: &Lab, machine: &Machine, settings: &str) -> Result<Session> {
    let image = loader::grub_iso(&lab.guest().payload(), "", lab.directory())?;
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    let config = format!("boot = \"d\"\ndisk = [\"file:boot.iso,hdc:cdrom,r\"]\n{settings}");
    start_on(lab, machine, &config, &[("boot.iso", &image)])
}

/// GRUB is told by hand what to boot, and a shell on Linux' own console is typed to; the screen shows both.
fn keyboard(lab: &mut Lab) -> Result<()> {
    let mut session = lab.step("GRUB", |lab| {
        let mut session = start_grub(lab, &attended(lab, lab.emulator().loader()), "")?;
        session.console.expect("guest starts", SOON)?;
        session.enter_prompt()?;
        session.screen_shows(GRUB_PROMPT, BOOT)?;
        let desk = session.console.desk()?;
        desk.type_text("linux /boot/kernel console=tty0 console=ttyS0 word=Typed_1\n")?;
        // Behind the prompt only: a BIOS keeps fifteen keys for a program that is busy.
        session.screen_shows("word=Typed_1\ngrub>", BOOT)?;
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

/// A host that UEFI started has a framebuffer: it shows GRUB's screen, and after Ctrl-Alt-Esc Monovisor's own page; what is typed there is
/// not for the guest.
fn status(lab: &mut Lab) -> Result<()> {
    let chord = ["ctrl", "alt", "esc"];
    let mut session = lab.step("guest's screen", |lab| {
        let loader = Loader::Direct(Firmware::Uefi);
        let mut machine = attended(lab, loader);
        machine.extra = Network::new(&[])?.arguments("e1000");
        let mut session = start_grub(lab, &machine, "vnc = 1\ninsecure = 1\n")?;
        session.console.expect("guest starts", BOOT)?;
        session.enter_prompt()?;
        session.screen_shows(GRUB_PROMPT, BOOT)?;
        let png = lab.directory().join("guest.png");
        session.console.desk()?.save_png(&png)?;
        Ok(session)
    })?;
    lab.step("status page", |lab| {
        session.console.desk()?.press(&chord)?;
        // It is written anew each second, and the host's address takes some.
        let page = host_shows(&mut session, lab, "screen at 10.0.2.15:5900")?;
        for words in [
            "Ctrl-Alt-Esc goes back",
            "guest:   `guest`, running",
            "VNC without a password",
            "build ",
        ] {
            ensure!(
                page.contains(words),
                "the page does not say {words:?}:\n{page}"
            );
        }
        let png = lab.directory().join("status.png");
        session.console.desk()?.save_png(&png)
    })?;
    lab.step("back", |lab| {
        session.console.desk()?.type_text("echo stray")?;
        session.console.desk()?.press(&chord)?;
        session.console.desk()?.type_text("echo typed\n")?;
        let screen = session.screen_shows("\ntyped", SOON)?;
        ensure!(
            !screen.contains("stray"),
            "the guest was typed to:\n{screen}"
        );
        let png = lab.directory().join("back.png");
        session.console.desk()?.save_png(&png)
    })
}

/// A host without display and keyboard controller: nothing is said of it but that, and the guest's own screen is there.
fn none(lab: &mut Lab) -> Result<()> {
    let mut session = lab.step("GRUB", |lab| {
        let mut machine = lab.machine();
        machine.extra = ["-vga", "none", "-machine", "i8042=off"]
            .map(str::to_owned)
            .into();
        let mut session = start_grub(lab, &machine, "")?;
        let said = session.console.expect("guest starts", SOON)?;
        ensure!(!said.contains("warning: "), "there are warnings:\n{said}");
        ensure!(
            said.contains("no PS/2 keyboard controller"),
            "nothing is said of the keyboard:\n{said}"
        );
        session.enter_prompt()?;
        session.screen_shows(GRUB_PROMPT, BOOT)?;
        Ok(session)
    })?;
    lab.step("prompt", |_| session.prompt_is_alive())
}

/// Waits until the host's screen, drawn by Monovisor itself, shows `words`, and returns its text.
fn host_shows(session: &mut Session, lab: &Lab, words: &str) -> Result<String> {
    let start = Instant::now();
    loop {
        let text = session
            .console
            .desk()?
            .picture(lab.directory())?
            .text(GLYPH_WIDTH);
        if text.contains(words) {
            return Ok(text);
        }
        ensure!(
            start.elapsed() < SOON,
            "the host's screen does not show {words:?}, but\n{text}"
        );
        // A picture cannot be waited for, only looked at again.
        std::thread::sleep(Duration::from_millis(300));
    }
}
