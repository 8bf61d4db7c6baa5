//! The guest's screen, keyboard and pointer over the network.

use super::firmware::start_on;
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::loader;
use crate::machine::Desk;
use crate::remote::Network;
use crate::vnc::{Robot, SHOWN, Tiger, shows};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "vnc-viewers",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: viewers,
    },
    Case {
        name: "vnc-stalled",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: stalled,
    },
];

const PORT: u16 = 5901;
const PASSWORD: &str = "geheim";
/// Where GRUB's own screen asks.
const GRUB_PROMPT: &str = "grub>";

/// GRUB from a CD, with nothing to do, on a screen that is served; Monovisor's prompt is in front.
fn start(lab: &Lab, network: &Network, settings: &str) -> Result<Session> {
    let mut machine = lab.machine();
    machine.extra = network.arguments("e1000");
    machine.desk = Desk::Attended;
    let image = loader::grub_iso(&lab.guest().payload(), "", lab.directory())?;
    let image = fs::read(&image).with_context(|| format!("cannot read {}", image.display()))?;
    let config = format!(
        "boot = \"d\"\ndisk = [\"file:boot.iso,hdc:cdrom,r\"]\nvnc = 1\nvncdisplay = 1\n{settings}\n"
    );
    let mut session = start_on(lab, &machine, &config, &[("boot.iso", &image)])?;
    session
        .console
        .expect("screen at 10.0.2.15:5901, VNC", BOOT)?;
    session.enter_prompt()?;
    session.screen_shows(GRUB_PROMPT, BOOT)?;
    Ok(session)
}

/// vncdotool types and captures, beside TigerVNC that looks on; who does not know the password sees nothing.
fn viewers(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[PORT])?;
    let mut session = lab.step("GRUB", |lab| {
        start(lab, &network, &format!("vncpasswd = '{PASSWORD}'"))
    })?;
    let robot = Robot::new(&network, PORT, PASSWORD)?;
    let mut tiger = Tiger::start(&network, PORT, PASSWORD, lab.directory())?;
    lab.step("vncdotool types", |_| {
        robot.type_line("echo Typed_over: {VNC}")?;
        session.screen_shows("\nTyped_over: {VNC}", SOON).map(drop)
    })?;
    lab.step("the screen scrolls", |_| {
        // More lines than there are on a screen.
        robot
            .type_line("for n in 1 2 3 4 5 6; do for m in a b c d e f; do echo $n$m; done; done")?;
        session.screen_shows("\n6f\n", SOON).map(drop)
    })?;
    lab.step("vncdotool captures", |lab| {
        let picture = robot.capture(lab.directory(), "vncdotool")?;
        shows(&picture, &session.screen()?)
    })?;
    lab.step("TigerVNC shows the same", |_| {
        let screen = session.screen()?;
        let start = Instant::now();
        loop {
            let picture = tiger.picture()?;
            match shows(&picture, &screen) {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > SHOWN => return Err(error),
                // A picture cannot be waited for, only looked at again.
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    })?;
    lab.step("a wrong password", |lab| {
        let robot = Robot::new(&network, PORT, "gehein")?;
        let seen = robot.capture(lab.directory(), "stranger");
        ensure!(seen.is_err(), "it was let in");
        Ok(())
    })
}

/// What of a viewer's data QEMU's network holds when nobody takes more of it: beyond a window or two it cannot go.
const STUCK_BYTES: u64 = 64 * 1024;

/// A viewer that asks for everything and reads nothing: the guest and another viewer go on.
fn stalled(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[PORT])?;
    let mut session = lab.step("GRUB", |lab| start(lab, &network, "insecure = 1"))?;
    let mut deaf = network.connect(PORT)?;
    lab.step("a viewer that does not read", |_| {
        deaf.expect("RFB 003.008\n", SOON)?;
        deaf.send(b"RFB 003.008\n\x01\x01")?;
        // Raw pixels of the whole screen, again and again, until no buffer on the way takes more. Questions that come together have one
        // answer, so each is asked by itself.
        let end = Instant::now() + SOON;
        let mut held = 0;
        while held < STUCK_BYTES {
            ensure!(Instant::now() < end, "{held} bytes are held up");
            deaf.send(&[3, 0, 0, 0, 0, 0, 2, 208, 1, 144])?;
            std::thread::sleep(Duration::from_millis(100));
            held = session.console.desk()?.bytes_held_up()?;
        }
        Ok(())
    })?;
    lab.step("others go on", |lab| {
        let robot = Robot::new(&network, PORT, "")?;
        robot.type_line("echo still here")?;
        session.screen_shows("\nstill here", SOON)?;
        let picture = robot.capture(lab.directory(), "other")?;
        shows(&picture, &session.screen()?)
    })?;
    lab.step("prompt", |_| session.prompt_is_alive())
}
