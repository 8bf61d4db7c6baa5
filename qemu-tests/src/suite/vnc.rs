//! The guest's screen, keyboard and pointer over the network.

use super::firmware::start_on;
use super::session::{BOOT, Lab, PROMPT, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::desk::Image;
use crate::loader;
use crate::machine::Desk;
use crate::remote::Network;
use crate::vnc::{Robot, SHOWN, Seat, Tiger, same, shows};
use anyhow::{Context, Result, anyhow, ensure};
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
        name: "vnc-extensions",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: extensions,
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
/// A screen of graphics, in pixels.
const LARGE: (usize, usize) = (800, 600);
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
    let place = lab.directory().join("tigervnc");
    let mut tiger = Tiger::start(&network, PORT, PASSWORD, Seat::TEXT, &place)?;
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
        comes_to(&mut tiger, |picture| shows(picture, &screen))
    })?;
    lab.step("a wrong password", |lab| {
        let robot = Robot::new(&network, PORT, "gehein")?;
        let seen = robot.capture(lab.directory(), "stranger");
        ensure!(seen.is_err(), "it was let in");
        Ok(())
    })
}

/// Waits until what a viewer shows is right.
fn comes_to(tiger: &mut Tiger, is_right: impl Fn(&Image) -> Result<()>) -> Result<()> {
    let start = Instant::now();
    loop {
        match is_right(&tiger.picture()?) {
            Ok(()) => return Ok(()),
            Err(error) if start.elapsed() > SHOWN => return Err(error),
            // A picture cannot be waited for, only looked at again.
            Err(_) => std::thread::sleep(Duration::from_millis(300)),
        }
    }
}

/// What `info` counts of somebody who looks on.
#[derive(Debug)]
struct Tally(String);

/// How many viewers of TigerVNC's there are.
const TIGERS: usize = 2;

impl Tally {
    /// Everybody's.
    fn all(session: &mut Session) -> Result<Vec<Self>> {
        session.console.send("info\r")?;
        // Log lines may come first, each with the prompt behind it.
        let told = session.console.expect(" buffers free", SOON)?;
        session.console.expect(PROMPT, SOON)?;
        let lines = told.lines();
        let tallies = lines.filter_map(|line| line.trim().strip_prefix("viewer: "));
        Ok(tallies.map(|tally| Self(tally.to_owned())).collect())
    }

    /// Waits until those of all viewers are right.
    fn come_to(session: &mut Session, are_right: impl Fn(&[Self]) -> Result<()>) -> Result<()> {
        let start = Instant::now();
        loop {
            let told = Self::all(session)?;
            let verdict = match told.len() {
                TIGERS => are_right(&told),
                _ => Err(anyhow!("{TIGERS} look on, and not {told:?}")),
            };
            match verdict {
                Ok(()) => return Ok(()),
                Err(error) if start.elapsed() > SHOWN => return Err(error),
                // Counts cannot be waited for, only looked at again.
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// The number in front of these words.
    fn of(&self, what: &str) -> Result<u32> {
        let mut parts = self.0.split(", ");
        let number = parts.find_map(|part| part.strip_suffix(what)?.trim().parse().ok());
        number.with_context(|| format!("{self:?} has no number of {what:?}"))
    }
}

/// The numbers of all of them in front of these words.
fn sum(told: &[Tally], what: &str) -> Result<u32> {
    told.iter().map(|tally| tally.of(what)).sum()
}

/// TigerVNC twice: on a German keyboard, and on a larger screen whose size it would like the guest to have. What both agree to with the
/// server beyond the RFC is used.
fn extensions(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[PORT])?;
    let mut session = lab.step("GRUB", |lab| {
        start(lab, &network, &format!("vncpasswd = '{PASSWORD}'"))
    })?;
    let sit = |lab: &Lab, name, seat| {
        let place = lab.directory().join(name);
        Tiger::start(&network, PORT, PASSWORD, seat, &place)
    };
    let german = Seat {
        layout: "de",
        ..Seat::TEXT
    };
    let large = Seat {
        size: LARGE,
        // Few colours, until it knows how fast the network is.
        options: &["-RemoteResize=1", "-FullColor=0"],
        ..Seat::TEXT
    };
    let mut german = sit(lab, "german", german)?;
    let mut large = sit(lab, "large", large)?;
    lab.step("keys are where they are, whatever is on them", |_| {
        let screen = session.screen()?;
        comes_to(&mut german, |picture| shows(picture, &screen))?;
        // Y and Z have each other's places.
        german.type_line("echo place xyz")?;
        session.screen_shows("\nplace xzy", SOON).map(drop)
    })?;
    lab.step("updates come unasked, fences are answered", |_| {
        Tally::come_to(&mut session, |told| {
            for tally in told {
                ensure!(tally.of("of them unasked")? > 0, "{tally:?}");
                ensure!(tally.of("answered")? > 0, "{tally:?}");
                ensure!(tally.of("by meaning")? == 0, "{tally:?}");
            }
            ensure!(sum(told, "keys by place")? > 0, "{told:?}");
            Ok(())
        })
    })?;
    lab.step("a size that a viewer wants is not the guest's", |_| {
        Tally::come_to(&mut session, |told| {
            let wishes = sum(told, "wished for")?;
            ensure!(wishes > 0, "nobody wanted another size: {told:?}");
            Ok(())
        })?;
        let screen = session.screen()?;
        comes_to(&mut german, |picture| shows(picture, &screen))
    })?;
    lab.step("the guest's new size is followed", |lab| {
        let robot = Robot::new(&network, PORT, PASSWORD)?;
        let (width, height) = LARGE;
        robot.type_line("insmod all_video; loadfont unicode")?;
        robot.type_line(&format!(
            "set gfxmode={width}x{height}; terminal_output gfxterm"
        ))?;
        session.screen_shows(&format!("graphics, {width}x{height}"), SOON)?;
        // It may still be drawn when it is captured first.
        comes_to(&mut large, |picture| {
            same(picture, &robot.capture(lab.directory(), "large")?)
        })?;
        Tally::come_to(&mut session, |told| {
            for tally in told {
                ensure!(tally.of("new sizes")? > 0, "{tally:?}");
            }
            Ok(())
        })?;
        german.picture().map(drop)?;
        // Between updates that nobody asks for, pixels have changed their format.
        let said = large.said()?;
        ensure!(said.contains("full color is now enabled"), "{said}");
        Ok(())
    })?;
    lab.step("prompt", |_| session.prompt_is_alive())
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
