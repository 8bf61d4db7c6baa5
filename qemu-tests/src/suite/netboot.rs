//! Guests that the BIOS boots from the network: QEMU's DHCP and TFTP server stands outside, before the host's card.

use super::firmware::{SPOKEN, speaking_disk};
use super::seat::Seat;
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::command;
use crate::lan::{Lan, Weather};
use crate::medium::packaged;
use crate::package::{self, Architecture};
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    case("netboot-pxelinux", Tier::Always, |lab| {
        pxelinux(lab, "rtl8139", "pxelinux.0")
    }),
    case("netboot-pxelinux-virtio", Tier::Full, |lab| {
        pxelinux(lab, "virtio", "pxelinux.0")
    }),
    case("netboot-lpxelinux", Tier::Full, |lab| {
        pxelinux(lab, "rtl8139-c", "lpxelinux.0")
    }),
    case("netboot-lpxelinux-virtio", Tier::Full, |lab| {
        pxelinux(lab, "virtio", "lpxelinux.0")
    }),
    case("netboot-undionly", Tier::Full, |lab| {
        undionly(lab, "rtl8139", "undionly.kpxe")
    }),
    case("netboot-undionly-virtio", Tier::Full, |lab| {
        undionly(lab, "virtio", "undionly.kpxe")
    }),
    case("netboot-undionly-keep", Tier::Full, |lab| {
        undionly(lab, "rtl8139", "undionly.kkpxe")
    }),
    case("netboot-menu", Tier::Full, menu),
    case("netboot-installer", Tier::Full, installer),
    case("netboot-faults", Tier::Full, faults),
];

const fn case(name: &'static str, tier: Tier, body: fn(&mut Lab) -> Result<()>) -> Case {
    Case {
        name,
        tier,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body,
    }
}

/// For a system of some 40 MiB to come over the network.
const LONG: Duration = Duration::from_secs(400);

/// A PC that boots from the network by a card of this model.
fn pc(model: &str) -> Pc {
    Pc {
        memory_mib: 512,
        boot: "n",
        media: Vec::new(),
        settings: format!("vif = [\"model={model},mac=00:16:3e:00:00:11\"]\n"),
    }
}

/// QEMU's arguments for a card of the host's on a network of these options.
fn network(options: &str) -> Vec<String> {
    [
        "-netdev",
        &format!("user,id=outside,restrict=on{options}"),
        "-device",
        "e1000,netdev=outside",
    ]
    .map(str::to_owned)
    .into()
}

/// QEMU's arguments for a server of this directory, which says to boot a file of it.
fn server(directory: &Path, file: &str) -> Vec<String> {
    network(&format!(",tftp={},bootfile={file}", directory.display()))
}

/// A fresh directory for a server.
fn stage(lab: &Lab) -> Result<PathBuf> {
    let stage = lab.directory().join("tftp");
    fs::create_dir_all(&stage)?;
    Ok(stage)
}

/// PXELINUX loads Debian's kernel and a small system, and that comes to its shell.
fn pxelinux(lab: &mut Lab, model: &str, loader: &str) -> Result<()> {
    let stage = stage(lab)?;
    let path = packaged("pxelinux", &format!("usr/lib/PXELINUX/{loader}"))?;
    fs::copy(path, stage.join(loader))?;
    let library = packaged(
        "syslinux-common",
        "usr/lib/syslinux/modules/bios/ldlinux.c32",
    )?;
    fs::copy(library, stage.join("ldlinux.c32"))?;
    let guest = lab.guest().payload();
    fs::copy(&guest.kernel, stage.join("linux"))?;
    let initrd = guest.initrd.context("the guest has no initrd")?;
    fs::copy(initrd, stage.join("initrd"))?;
    let config = format!(
        "default linux\nlabel linux\nkernel linux\nappend initrd=initrd {}\n",
        guest.append
    );
    fs::create_dir_all(stage.join("pxelinux.cfg"))?;
    fs::write(stage.join("pxelinux.cfg/default"), config)?;
    let mut machine = lab.machine();
    machine.memory_mib = 768;
    machine.extra = server(&stage, loader);
    let mut session = lab.step("boot program", |lab| {
        let mut session = lab.start_pc_on(&mut machine, &pc(model))?;
        let log = format!("BIOS: starting {loader} of 10.0.2.2");
        session.console.expect(&log, BOOT)?;
        Ok(session)
    })?;
    lab.step("shell", |_| session.shell().map(drop))?;
    lab.step("the loader gave the memory back", |_| {
        session.enter_prompt()?;
        let screen = session.screen()?;
        ensure!(screen.contains("PXELINUX"), "the screen shows\n{screen}");
        ensure!(
            !screen.contains("Failed to free"),
            "the screen shows\n{screen}"
        );
        Ok(())
    })
}

/// iPXE takes the card's driver over, and boots a script of the server's by TFTP, asked for by hand: by itself it would load itself
/// again, there being one file in DHCP.
fn undionly(lab: &mut Lab, model: &str, loader: &str) -> Result<()> {
    let stage = stage(lab)?;
    let path = packaged("ipxe", &format!("usr/lib/ipxe/{loader}"))?;
    fs::copy(path, stage.join(loader))?;
    let script = "#!ipxe\necho The script ${net0/chip} ${net0/ip}\nshell\n";
    fs::write(stage.join("script"), script)?;
    let mut seat = lab.step("banner", |lab| {
        let mut seat = take(lab, &pc(model), server(&stage, loader))?;
        seat.shows("Open Source Network Boot Firmware", BOOT)?;
        Ok(seat)
    })?;
    lab.step("script", |_| {
        seat.until_pressing("ctrl-b", "iPXE>")?;
        seat.types("dhcp\n")?;
        seat.shows(". ok", SOON)?;
        seat.types("chain tftp://10.0.2.2/script\n")?;
        seat.shows("The script undionly 10.0.2.", SOON).map(drop)
    })
}

/// dnsmasq's menu is asked for, and its second item is PXELINUX; its first, when nobody is there, is the disk.
fn menu(lab: &mut Lab) -> Result<()> {
    let www = lab.directory().join("www");
    let options = format!(
        "--enable-tftp --tftp-root={} --pxe-prompt='Which one?',20 \
            --pxe-service=x86PC,'This disk',0 --pxe-service=x86PC,'A loader',pxelinux",
        www.display()
    );
    let lan = Lan::start_with(lab.directory(), Weather::default(), &options)?;
    for (package, path) in [
        ("pxelinux", "usr/lib/PXELINUX/pxelinux.0"),
        (
            "syslinux-common",
            "usr/lib/syslinux/modules/bios/ldlinux.c32",
        ),
    ] {
        let file = packaged(package, path)?;
        let name = file.file_name().context("it has no name")?;
        fs::copy(&file, www.join(name))?;
    }
    let disk = lab.directory().join("disk");
    fs::write(&disk, speaking_disk())?;
    let mut pc = pc("virtio").and(Place::Disk, disk);
    pc.boot = "nc";
    lab.step("nobody chooses", |lab| {
        let mut machine = lab.machine();
        machine.memory_mib = 768;
        machine.extra = lan.arguments("e1000");
        let mut session = lab.start_pc_on(&mut machine, &pc)?;
        session.console.expect(SPOKEN, BOOT)?;
        told(&mut session, "Which one? (F8 or m, within 20 s)")
    })?;
    let mut seat = lab.step("the menu is asked for", |lab| {
        let mut seat = take(lab, &pc, lan.arguments("e1000"))?;
        seat.until_pressing("f8", "2  A loader")?;
        Ok(seat)
    })?;
    lab.step("its second item starts", |_| {
        seat.types("2")?;
        seat.shows("PXELINUX", SOON).map(drop)
    })
}

/// Somebody before a PC on such a network.
fn take(lab: &Lab, pc: &Pc, arguments: Vec<String>) -> Result<Seat> {
    let mut machine = lab.machine();
    machine.extra = arguments;
    Seat::take_on(lab, &mut machine, pc)
}

/// Debian's installer, from the tree that Debian packages for servers, to its first question.
fn installer(lab: &mut Lab) -> Result<()> {
    let package = package::fetch("debian-installer-12-netboot-amd64", Architecture::Amd64)?;
    let tree = package.join("usr/lib/debian-installer/images/12/amd64/text");
    let stage = stage(lab)?;
    let mut copy = Command::new("cp");
    command::output(copy.arg("-rL").arg(tree.join(".")).arg(&stage))?;
    let mut pc = pc("rtl8139");
    pc.memory_mib = 1024;
    let mut seat = lab.step("menu", |lab| {
        let mut seat = take(lab, &pc, server(&stage, "pxelinux.0"))?;
        seat.shows("graphics, 640x480", BOOT)?;
        Ok(seat)
    })?;
    lab.step("boot prompt", |_| seat.until_pressing("esc", "boot:"))?;
    lab.step("first question", |_| {
        seat.types("install vga=normal fb=false nomodeset\n")?;
        seat.shows("Choose the language", LONG).map(drop)
    })
}

/// What goes wrong is told on the screen and in the log, and the next device starts.
fn faults(lab: &mut Lab) -> Result<()> {
    let stage = stage(lab)?;
    fs::write(stage.join("long"), vec![0; 700 << 10])?;
    fs::write(stage.join("empty"), [])?;
    let disk = lab.directory().join("disk");
    fs::write(&disk, speaking_disk())?;
    let mut pc = pc("virtio").and(Place::Disk, disk);
    pc.boot = "nc";
    let hub = [
        "-netdev",
        "hubport,id=outside,hubid=0",
        "-device",
        "e1000,netdev=outside",
    ];
    let faults = [
        (Vec::new(), "no cable is plugged in"),
        (hub.map(str::to_owned).into(), "no DHCP server answered"),
        (network(""), "names no boot file"),
        (network(",bootfile=any"), "the TFTP server"),
        (
            server(&stage, "missing"),
            "the TFTP server has no such file",
        ),
        (server(&stage, "long"), "is longer than the"),
        (server(&stage, "empty"), "is empty"),
    ];
    for (arguments, reason) in faults {
        lab.step(reason, |lab| {
            let mut machine = lab.machine();
            machine.memory_mib = 768;
            machine.extra = arguments;
            let mut session = lab.start_pc_on(&mut machine, &pc)?;
            let said = session.console.expect(SPOKEN, BOOT)?;
            ensure!(
                said.contains("BIOS: boot from network: "),
                "the log names no device"
            );
            told(&mut session, reason)?;
            session.prompt_is_alive()
        })?;
    }
    Ok(())
}

/// The screen names the reason.
fn told(session: &mut Session, reason: &str) -> Result<()> {
    session.enter_prompt()?;
    let screen = session.screen()?.replace('\n', "");
    ensure!(screen.contains(reason), "the screen shows\n{screen}");
    Ok(())
}
