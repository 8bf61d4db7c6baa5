//! Guests that the BIOS boots from the network: QEMU's DHCP and TFTP server stands outside, before the host's card.

use super::firmware::{SPOKEN, speaking_disk};
use super::seat::Seat;
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Tier};
use crate::command;
use crate::lan::{self, Lan, Weather};
use crate::medium::core::{self, Starter};
use crate::medium::packaged;
use crate::package::{self, Architecture};
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::in_qemu("netboot-pxelinux", Tier::Always, |lab| {
        pxelinux(lab, "rtl8139", "pxelinux.0")
    }),
    Case::in_qemu("netboot-pxelinux-virtio", Tier::Full, |lab| {
        pxelinux(lab, "virtio", "pxelinux.0")
    }),
    Case::in_qemu("netboot-lpxelinux", Tier::Full, |lab| {
        pxelinux(lab, "rtl8139-c", "lpxelinux.0")
    }),
    Case::in_qemu("netboot-lpxelinux-virtio", Tier::Full, |lab| {
        pxelinux(lab, "virtio", "lpxelinux.0")
    }),
    Case::in_qemu("netboot-undionly", Tier::Full, |lab| {
        ipxe(lab, "rtl8139", "undionly.kpxe", "undionly")
    }),
    Case::in_qemu("netboot-undionly-virtio", Tier::Full, |lab| {
        ipxe(lab, "virtio", "undionly.kpxe", "undionly")
    }),
    Case::in_qemu("netboot-undionly-keep", Tier::Full, |lab| {
        ipxe(lab, "rtl8139", "undionly.kkpxe", "undionly")
    }),
    Case::in_qemu("netboot-ipxe", Tier::Full, |lab| {
        ipxe(lab, "rtl8139", "ipxe.pxe", "rtl8139")
    }),
    Case::in_qemu("netboot-ipxe-virtio", Tier::Full, |lab| {
        ipxe(lab, "virtio", "ipxe.pxe", "virtio-net")
    }),
    Case::in_qemu("netboot-grub", Tier::Full, |lab| grub(lab, "rtl8139")),
    Case::in_qemu("netboot-grub-virtio", Tier::Full, |lab| grub(lab, "virtio")),
    Case::in_qemu("netboot-grub-http", Tier::Full, grub_http),
    Case::in_qemu("netboot-chained", Tier::Full, chained),
    Case::in_qemu("netboot-memdisk", Tier::Full, memdisk),
    Case::in_qemu("netboot-menu", Tier::Full, menu),
    Case::in_qemu("netboot-installer", Tier::Full, installer),
    Case::in_qemu("netboot-faults", Tier::Full, faults),
];

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
pub(super) fn server(directory: &Path, file: &str) -> Vec<String> {
    network(&format!(",tftp={},bootfile={file}", directory.display()))
}

/// A fresh directory for a server.
pub(super) fn stage(lab: &Lab) -> Result<PathBuf> {
    let stage = lab.directory().join("tftp");
    fs::create_dir_all(&stage)?;
    Ok(stage)
}

/// Copies the default guest's kernel and small system to a server's directory; returns the kernel's command line.
pub(super) fn stage_guest(lab: &Lab, stage: &Path) -> Result<String> {
    let guest = lab.guest().payload();
    let initrd = guest.initrd.context("the guest has no initrd")?;
    fs::copy(&guest.kernel, stage.join("linux"))?;
    fs::copy(initrd, stage.join("initrd"))?;
    Ok(guest.append)
}

/// Copies PXELINUX there, with further modules and this configuration.
fn stage_pxelinux(stage: &Path, loader: &str, modules: &[&str], config: &str) -> Result<()> {
    let path = packaged("pxelinux", &format!("usr/lib/PXELINUX/{loader}"))?;
    fs::copy(path, stage.join(loader))?;
    for module in ["ldlinux.c32"].iter().chain(modules) {
        let file = format!("usr/lib/syslinux/modules/bios/{module}");
        fs::copy(packaged("syslinux-common", &file)?, stage.join(module))?;
    }
    fs::create_dir_all(stage.join("pxelinux.cfg"))?;
    fs::write(stage.join("pxelinux.cfg/default"), config)?;
    Ok(())
}

/// PXELINUX loads Debian's kernel and a small system, and that comes to its shell.
fn pxelinux(lab: &mut Lab, model: &str, loader: &str) -> Result<()> {
    let stage = stage(lab)?;
    let append = stage_guest(lab, &stage)?;
    let config =
        format!("default linux\nlabel linux\nkernel linux\nappend initrd=initrd {append}\n");
    stage_pxelinux(&stage, loader, &[], &config)?;
    let mut session = start(lab, model, loader, server(&stage, loader))?;
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

/// Starts a PC that gets this boot program of such a network.
fn start(lab: &mut Lab, model: &str, loader: &str, network: Vec<String>) -> Result<Session> {
    let mut machine = lab.machine();
    machine.memory_mib = 768;
    machine.extra = network;
    lab.step("boot program", |lab| {
        let mut session = lab.start_pc_on(&mut machine, &pc(model))?;
        let log = format!("BIOS: starting {loader} of ");
        session.console.expect(&log, BOOT)?;
        Ok(session)
    })
}

/// What GRUB has to do to start the default guest from this server.
pub(super) fn grub_script(server: &str, append: &str) -> String {
    format!(
        "net_ls_cards\nnet_ls_addr\nlinux ({server})/linux {append}\ninitrd ({server})/initrd\nboot\n"
    )
}

/// GRUB has UNDI's frames for a stack of its own, and starts Linux from TFTP.
fn grub(lab: &mut Lab, model: &str) -> Result<()> {
    let stage = stage(lab)?;
    let append = stage_guest(lab, &stage)?;
    let script = grub_script("tftp,10.0.2.2", &append);
    core::make(&stage.join("grub.0"), Starter::Pxe, &script)?;
    let mut session = start(lab, model, "grub.0", server(&stage, "grub.0"))?;
    lab.step("shell", |_| session.shell().map(drop))
}

/// The same from HTTP, by TCP of its own.
fn grub_http(lab: &mut Lab) -> Result<()> {
    let www = lab.directory().join("www");
    let options = format!(
        "--enable-tftp --tftp-root={} --dhcp-boot=grub.0",
        www.display()
    );
    let lan = Lan::start_with(lab.directory(), Weather::default(), &options)?;
    let append = stage_guest(lab, &www)?;
    let script = grub_script(&format!("http,{}", lan::ADDRESS), &append);
    core::make(&www.join("grub.0"), Starter::Pxe, &script)?;
    let mut session = start(lab, "rtl8139-c", "grub.0", lan.arguments("e1000"))?;
    lab.step("shell", |_| session.shell().map(drop))
}

/// PXELINUX hands the stack on to GRUB, as another boot server's program.
fn chained(lab: &mut Lab) -> Result<()> {
    let stage = stage(lab)?;
    let append = stage_guest(lab, &stage)?;
    let script = grub_script("tftp,10.0.2.2", &append);
    core::make(&stage.join("grub.0"), Starter::Pxe, &script)?;
    let config = "default next\nlabel next\nkernel pxechn.c32\nappend 10.0.2.2::grub.0\n";
    let modules = ["pxechn.c32", "libutil.c32", "libcom32.c32"];
    stage_pxelinux(&stage, "pxelinux.0", &modules, config)?;
    let mut session = start(lab, "virtio", "pxelinux.0", server(&stage, "pxelinux.0"))?;
    lab.step("shell", |_| session.shell().map(drop))
}

/// MEMDISK has a diskette from the network, which starts GRUB.
fn memdisk(lab: &mut Lab) -> Result<()> {
    let stage = stage(lab)?;
    let memdisk = packaged("syslinux-common", "usr/lib/syslinux/memdisk")?;
    fs::copy(memdisk, stage.join("memdisk"))?;
    let floppy = packaged(
        "grub-rescue-pc",
        "usr/lib/grub-rescue/grub-rescue-floppy.img",
    )?;
    fs::copy(floppy, stage.join("floppy.img"))?;
    let config = "default disk\nlabel disk\nkernel memdisk\nappend initrd=floppy.img\n";
    stage_pxelinux(&stage, "pxelinux.0", &[], config)?;
    lab.step("menu", |lab| {
        let mut seat = take(lab, &pc("rtl8139"), server(&stage, "pxelinux.0"))?;
        seat.shows("GNU GRUB  version 2", BOOT).map(drop)
    })
}

/// iPXE takes the card over, by the BIOS' driver or its own, and boots a script of the server's by TFTP, asked for by hand: by itself it
/// would load itself again, there being one file in DHCP.
fn ipxe(lab: &mut Lab, model: &str, loader: &str, driver: &str) -> Result<()> {
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
        seat.shows(&format!("The script {driver} 10.0.2."), SOON)
            .map(drop)
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
