//! What its owner does to a Linux guest that runs: points and scrolls, here and over the network, changes media, presses the power button.

use super::session::{BOOT, Lab, PROMPT, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::debian::Kernel;
use crate::loader::{self, Payload};
use crate::machine::{Desk, Machine};
use crate::package::{self, Architecture};
use crate::remote::Network;
use crate::vnc::Robot;
use crate::{initramfs, tree};
use anyhow::{Result, ensure};
use std::time::Instant;

pub(super) const CASES: &[Case] = &[Case {
    name: "owner",
    tier: Tier::Always,
    scope: Scope::Hypervisor,
    machines: Machines::Qemu,
    body: owner,
}];

/// Drivers of the drives, of the mouse and of the power button.
const MODULES: [&str; 6] = ["ata_piix", "sr_mod", "floppy", "psmouse", "evdev", "button"];

/// Turns the guest off when the power button's first event comes, as a desktop's daemon would.
const POWER_DAEMON: &str = "node=$(grep -A 5 'Power Button' /proc/bus/input/devices | grep -o 'event[0-9]*' | head -n 1); \
    (head -c 16 /dev/input/$node >/dev/null && poweroff &)";

const VNC_PORT: u16 = 5900;
const PASSWORD: &str = "geheim";

/// Events of Linux' own: type, code and value. Right, down.
const MOVED: [&str; 2] = ["2 0 40", "2 1 30"];
/// The last column and line of all.
const IN_THE_CORNER: [&str; 2] = ["3 0 65535", "3 1 65535"];
/// The left button down and up, the wheel away and back.
const CLICKED: [&str; 4] = ["1 272 1", "1 272 0", "2 8 1", "2 8 -1"];

fn owner(lab: &mut Lab) -> Result<()> {
    let network = Network::new(&[VNC_PORT])?;
    let mut session = lab.step("shell", |lab| {
        let mut session = start(lab, &network)?;
        session.console.expect("screen at 10.0.2.15:5900", BOOT)?;
        session.shell()?;
        Ok(session)
    })?;
    let robot = Robot::new(&network, VNC_PORT, PASSWORD)?;
    let by_hand = |session: &mut Session| {
        let desk = session.console.desk()?;
        desk.move_by(40, 30)?;
        desk.click("left")?;
        desk.click("wheel-up")?;
        desk.click("wheel-down")
    };
    let remotely = |from: [&str; 2], to: [&str; 2]| {
        let way = ["move", from[0], from[1], "move", to[0], to[1]];
        // By the protocol's numbers: the left button, the wheel.
        robot.act(&[&way[..], &["click", "1", "click", "4", "click", "5"]].concat())
    };
    lab.step("VMware's pointer", |_| {
        points(&mut session, "VMMouse", MOVED, by_hand)
    })?;
    lab.step("VMware's pointer by VNC", |_| {
        let act = |_: &mut Session| remotely(["0", "0"], ["719", "399"]);
        points(&mut session, "VMMouse", IN_THE_CORNER, act)
    })?;
    lab.step("wheel mouse", |_| {
        session.run("echo -n imps >/sys/devices/platform/i8042/serio1/protocol")?;
        points(&mut session, "ImPS/2", MOVED, by_hand)
    })?;
    lab.step("wheel mouse by VNC", |_| {
        let act = |_: &mut Session| remotely(["100", "100"], ["140", "130"]);
        points(&mut session, "ImPS/2", MOVED, act)
    })?;
    lab.step("CD", |_| change_cd(&mut session))?;
    lab.step("diskettes", |_| change_diskettes(&mut session))?;
    lab.step("power button", |_| {
        session.run(POWER_DAEMON)?;
        // What happens before it reads is told to nobody.
        session.run(
            "until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q input/event; do sleep 0.1; done",
        )?;
        session.enter_prompt()?;
        session.console.send("shutdown\r")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Debian's 686 kernel on a CD, and media to change.
fn start(lab: &Lab, network: &Network) -> Result<Session> {
    let kernel = Kernel::behind("linux-image-686-pae", Architecture::I386)?;
    let shell = package::fetch("busybox-static", Architecture::I386)?.join("bin/busybox");
    let initrd = lab.directory().join("initrd.cpio");
    tree::replace(&initrd, &initramfs::build_for(&kernel, &shell, &MODULES)?)?;
    let payload = Payload {
        kernel: kernel.image(),
        initrd: Some(initrd),
        append: format!("console=ttyS0{}", lab.emulator().kernel_options()),
    };
    let cd = std::fs::read(loader::iso_image(&payload, lab.directory())?)?;
    let [first, second] = ["first", "second"].map(|name| medium(name, 1440 << 10));
    let other = medium("other", 256 << 10);
    let config = format!(
        "boot = \"d\"\ndisk = [\"file:cd,hdc:cdrom,r\", \",,fda\"]\n\
         media = [\"other.iso\", \"first.img\", \"second.img\"]\nvncpasswd = \"{PASSWORD}\"\n"
    );
    let files = [
        ("cd", &cd[..]),
        ("other.iso", &other),
        ("first.img", &first),
        ("second.img", &second),
    ];
    let machine = Machine {
        desk: Desk::Attended,
        memory_mib: 640,
        extra: network.arguments("e1000"),
        ..lab.machine()
    };
    super::firmware::start_on(lab, &machine, &config, &files)
}

/// A medium that starts with its name.
fn medium(name: &str, bytes: usize) -> Vec<u8> {
    let mut medium = vec![0; bytes];
    medium[..name.len()].copy_from_slice(name.as_bytes());
    medium
}

/// A driver of that name tells of the movement, a click and the wheel that `act` makes.
fn points(
    session: &mut Session,
    driver: &str,
    movement: [&str; 2],
    act: impl FnOnce(&mut Session) -> Result<()>,
) -> Result<()> {
    session.run(&format!("grep {driver} /proc/bus/input/devices"))?;
    session.run("rm -f /tmp/ev*")?;
    session.run("for at in /dev/input/event*; do (cat $at >/tmp/ev${at##*event} &); done")?;
    // What happens before a reader is there is told to nobody.
    session.run(
        "until [ $(ls -l /proc/[0-9]*/fd 2>/dev/null | grep -c input/event) = \
         $(ls /dev/input/event* | wc -l) ]; do sleep 0.1; done",
    )?;
    act(session)?;
    let wanted = [&movement[..], &CLICKED].concat();
    let dump = "cat /tmp/ev* | hexdump -v -e '1/4 \"%u \" 1/4 \"%u \" 1/2 \"%u \" 1/2 \"%u \" 1/4 \"%d\" \"\\n\"' | cut -d' ' -f3-";
    let start = Instant::now();
    loop {
        let told = session.run(dump)?;
        let lines: Vec<_> = told.lines().map(str::trim).collect();
        let missing: Vec<_> = wanted.iter().filter(|line| !lines.contains(line)).collect();
        if missing.is_empty() {
            break;
        }
        ensure!(start.elapsed() < SOON, "no {missing:?} among {told:?}");
    }
    session.run("killall cat").map(drop)
}

/// The boot CD is locked while it is open, comes out when it is not, and another one is found in its place.
fn change_cd(session: &mut Session) -> Result<()> {
    session.run("exec 5</dev/sr0")?;
    change(session, "eject hdc", "hdc: the guest has locked it")?;
    session.run("exec 5<&-")?;
    change(session, "eject hdc", "hdc: the medium is out")?;
    session.run("! dd if=/dev/sr0 bs=2048 count=1 of=/dev/null")?;
    change(
        session,
        "insert hdc none.iso",
        "the bundle has no file `none.iso`",
    )?;
    change(
        session,
        "insert hdd other.iso",
        "hdd: no drive whose medium can be changed; there is hdc, fda",
    )?;
    change(session, "insert hdc other.iso", "hdc: `other.iso` is in")?;
    reads(session, "/dev/sr0", "other")
}

/// What was written to a diskette is on it when it comes back.
fn change_diskettes(session: &mut Session) -> Result<()> {
    change(session, "insert fda first.img", "fda: `first.img` is in")?;
    reads(session, "/dev/fd0", "first")?;
    session.run("printf written | dd of=/dev/fd0 bs=512 count=1 conv=notrunc,fsync")?;
    change(session, "insert fda cd", "and the largest diskette 2880")?;
    change(session, "insert fda second.img", "fda: `second.img` is in")?;
    reads(session, "/dev/fd0", "second")?;
    change(session, "insert fda first.img", "fda: `first.img` is in")?;
    reads(session, "/dev/fd0", "written")
}

/// Types a command at the prompt, waits for what the log says of it, and goes back.
fn change(session: &mut Session, command: &str, told: &str) -> Result<()> {
    session.enter_prompt()?;
    session.console.send(&format!("{command}\r"))?;
    session.console.expect(told, SOON)?;
    session.console.expect(PROMPT, SOON)?;
    session.leave_prompt()
}

/// The medium in the drive starts with that word.
fn reads(session: &mut Session, device: &str, word: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        // A drive that just got its medium may say so once instead of reading.
        let read = session.run(&format!(
            "dd if={device} bs=2048 count=1 2>/dev/null | head -c {}; true",
            word.len()
        ))?;
        if read == word {
            return Ok(());
        }
        ensure!(
            start.elapsed() < BOOT,
            "{device} reads {read:?}, not {word:?}"
        );
    }
}
