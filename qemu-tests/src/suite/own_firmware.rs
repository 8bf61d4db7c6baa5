//! Guests that boot through firmware of the user's own: Debian's SeaBIOS and OVMF, as packaged.

use super::firmware::start_sized;
use super::netboot::{grub_script, server, stage, stage_guest};
use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::debian::Kernel;
use crate::lan::{self, Lan, Weather};
use crate::medium::core::{self, Starter};
use crate::{initramfs, loader, tree};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "own-seabios",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: seabios,
    },
    Case {
        name: "own-ovmf",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: ovmf,
    },
    Case {
        name: "own-ovmf-shell",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: ovmf_shell,
    },
    Case {
        name: "own-ovmf-network",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: ovmf_network,
    },
    Case {
        name: "own-ovmf-http",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: ovmf_http,
    },
    Case {
        name: "own-video-rom",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: video_rom,
    },
    Case {
        name: "own-firmware-bad",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: bad_images,
    },
];

const SEABIOS: &str = "/usr/share/seabios/bios-256k.bin";
const VIDEO_ROM: &str = "/usr/share/seabios/vgabios-stdvga.bin";
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
const MIB: usize = 1 << 20;
/// What OVMF says when it has found something to boot, and the longest until then: it unpacks itself, emulated twice over.
const STARTING: &str = "BdsDxe: starting";
const UEFI: Duration = BOOT.saturating_mul(2);

/// SeaBIOS boots GRUB from a CD; the kernel finds the tables that the firmware was given, and disks of both kinds.
fn seabios(lab: &mut Lab) -> Result<()> {
    let rom = read(SEABIOS, "seabios")?;
    let cd = boot_cd(lab)?;
    let disk = vec![0; 4 * MIB];
    let config = "firmware = \"rom\"\nboot = \"d\"\n\
                  disk = [\"file:disk,hda,w\", \"file:cd,hdc:cdrom,r\", \"file:disk,vdb,w\"]\n";
    let files = [("rom", &rom[..]), ("cd", &cd), ("disk", &disk)];
    let mut session = lab.step("shell", |lab| {
        let mut session = start(lab, config, &files)?;
        session.console.expect("SeaBIOS (version", SOON)?;
        let said = session.shell()?;
        for line in ["SMBIOS 2.8 present", "RSDP 0x00000000000F", "MONOVS"] {
            ensure!(said.contains(line), "the kernel did not say {line:?}");
        }
        Ok(session)
    })?;
    lab.step("reboot", |_| {
        session.leave("reboot")?;
        session.console.expect("SeaBIOS (version", SOON)?;
        session.shell().map(drop)
    })?;
    lab.step("poweroff", |_| power_off(&mut session))
}

/// OVMF boots GRUB from a CD; a variable that the kernel writes is there after a reboot.
fn ovmf(lab: &mut Lab) -> Result<()> {
    const VARIABLE: &str = "Monovisor-6d6f6e6f-7669-736f-7220-677565737400";
    let code = read(OVMF_CODE, "ovmf")?;
    let variables = read(OVMF_VARIABLES, "ovmf")?;
    let cd = uefi_cd(lab)?;
    let config = "firmware = \"code\"\nfirmware_vars = \"vars\"\nboot = \"d\"\n\
                  disk = [\"file:cd,hdc:cdrom,r\"]\n";
    let files = [("code", &code[..]), ("vars", &variables), ("cd", &cd)];
    let mut session = lab.step("shell", |lab| {
        let mut session = start(lab, config, &files)?;
        session.console.expect(STARTING, UEFI)?;
        let said = session.shell()?;
        ensure!(said.contains("efi: EFI v2"), "the kernel found no UEFI");
        Ok(session)
    })?;
    lab.step("variable", |_| {
        let file = format!("/sys/firmware/efi/efivars/{VARIABLE}");
        let mount = "mount -t efivarfs none /sys/firmware/efi/efivars";
        session.run(mount)?;
        session.run(&format!("printf '\\007\\0\\0\\0kept' > {file}"))?;
        session.leave("reboot")?;
        session.console.expect(STARTING, UEFI)?;
        session.shell()?;
        session.run(mount)?;
        let kept = session.run(&format!("tail -c 4 {file}"))?;
        ensure!(kept == "kept", "the variable holds {kept:?}");
        Ok(())
    })?;
    lab.step("poweroff", |_| power_off(&mut session))
}

/// With nothing to boot OVMF ends in its shell, which is typed to; the image is the one with the store at its start.
fn ovmf_shell(lab: &mut Lab) -> Result<()> {
    let image = [read(OVMF_VARIABLES, "ovmf")?, read(OVMF_CODE, "ovmf")?].concat();
    let mut session = lab.step("shell", |lab| {
        let mut session = start(lab, "firmware = \"rom\"\n", &[("rom", &image)])?;
        session.console.expect("UEFI Interactive Shell", UEFI)?;
        session.console.expect("any other key to continue", SOON)?;
        session.console.send("\x1b")?;
        session.console.expect("Shell> ", SOON)?;
        Ok(session)
    })?;
    lab.step("command", |_| {
        session.console.send("ver\r")?;
        session.console.expect("UEFI v2.", SOON)?;
        session.console.expect("Shell> ", SOON).map(drop)
    })?;
    lab.step("poweroff", |_| {
        session.console.send("reset -s\r")?;
        session.console.ended(SOON).map(drop)
    })
}

/// OVMF drives the virtio card, and gets GRUB from the network, which gets Linux by the same driver.
fn ovmf_network(lab: &mut Lab) -> Result<()> {
    let stage = stage(lab)?;
    let append = stage_guest(lab, &stage)?;
    let script = grub_script("tftp,10.0.2.2", &append);
    core::make(&stage.join("grub.efi"), Starter::Uefi, &script)?;
    let network = server(&stage, "grub.efi");
    ovmf_on(lab, network, "NBP file downloaded successfully")
}

/// The same by HTTP, from a server that answers HTTP's clients with an address (UEFI 2.10, 24.7); who asks for PXE is told of no such file.
fn ovmf_http(lab: &mut Lab) -> Result<()> {
    let (www, at) = (lab.directory().join("www"), lan::ADDRESS);
    let options = format!(
        "--enable-tftp --tftp-root={} --dhcp-boot=none --dhcp-vendorclass=set:http,HTTPClient \
         --dhcp-option-force=tag:http,60,HTTPClient --dhcp-boot=tag:http,http://{at}/grub.efi",
        www.display()
    );
    let lan = Lan::start_with(lab.directory(), Weather::default(), &options)?;
    let append = stage_guest(lab, &www)?;
    // What firmware got by HTTP leaves GRUB without an address.
    let script = grub_script(&format!("http,{at}"), &append);
    let script = format!("net_dhcp\n{script}");
    core::make(&www.join("grub.efi"), Starter::Uefi, &script)?;
    ovmf_on(
        lab,
        lan.arguments("e1000"),
        &format!("URI: http://{at}/grub.efi"),
    )
}

/// OVMF on this network says so when it has its boot program, and that brings the default guest to its shell.
fn ovmf_on(lab: &mut Lab, network: Vec<String>, said: &str) -> Result<()> {
    let code = read(OVMF_CODE, "ovmf")?;
    let variables = read(OVMF_VARIABLES, "ovmf")?;
    let config = "firmware = \"code\"\nfirmware_vars = \"vars\"\n\
                  vif = [\"model=virtio,mac=00:16:3e:00:00:11\"]\n";
    let files = [("code", &code[..]), ("vars", &variables)];
    let mut machine = lab.machine();
    machine.memory_mib = 1024;
    machine.extra = network;
    let mut session = lab.step("boot program", |lab| {
        let mut session = start_sized(lab, &machine, 512, config, &files)?;
        session.console.expect(said, UEFI)?;
        Ok(session)
    })?;
    lab.step("shell", |_| {
        let said = session.shell()?;
        ensure!(said.contains("efi: EFI v2"), "the kernel found no UEFI");
        Ok(())
    })
}

/// With the display's ROM SeaBIOS speaks on the screen.
fn video_rom(lab: &mut Lab) -> Result<()> {
    let rom = read(SEABIOS, "seabios")?;
    let video = read(VIDEO_ROM, "seabios")?;
    lab.step("screen", |lab| {
        let config =
            "firmware = \"rom\"\nvideo_rom = \"video\"\nboot = \"a\"\ndisk = [\",,fda\"]\n";
        let files = [("rom", &rom[..]), ("video", &video)];
        let mut session = start(lab, config, &files)?;
        session.console.expect("guest starts", SOON)?;
        session.enter_prompt()?;
        session.screen_shows("SeaBIOS (version", SOON)?;
        session.screen_shows("No bootable device", BOOT).map(drop)
    })
}

/// Files that are no firmware are named for what they are.
fn bad_images(lab: &mut Lab) -> Result<()> {
    let rom = read(SEABIOS, "seabios")?;
    let cut = &rom[1..];
    let blank = vec![0xff; 0x2_0000];
    let mut large = vec![0; 17 * MIB];
    large[17 * MIB - 16..][..2].copy_from_slice(&[0xeb, 0xfe]);
    for (name, image, complaint) in [
        ("cut off", cut, "a multiple of 4096"),
        ("blank", &blank, "hold no code"),
        ("empty", &[][..], "the file is empty"),
        ("too large", &large, "there is room for 16384 KiB"),
    ] {
        lab.step(name, |lab| {
            let files = [("rom", image)];
            let mut session = start(lab, "firmware = \"rom\"\n", &files)?;
            let said = session.offered_prompt()?;
            ensure!(
                said.contains(complaint),
                "nothing of {complaint:?} in {said:?}"
            );
            session.prompt_is_alive()
        })?;
    }
    Ok(())
}

/// Starts a guest in 512 MiB, which UEFI and GRUB take half of.
fn start(lab: &Lab, config: &str, files: &[(&str, &[u8])]) -> Result<Session> {
    let mut machine = lab.machine();
    machine.memory_mib = 1024;
    start_sized(lab, &machine, 512, config, files)
}

fn read(path: &str, package: &str) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {path} (package {package})"))
}

/// The default guest on a CD that boots under both kinds of firmware.
fn boot_cd(lab: &Lab) -> Result<Vec<u8>> {
    let image = loader::iso_image(&lab.guest().payload(), lab.directory())?;
    fs::read(&image).with_context(|| format!("cannot read {}", image.display()))
}

/// The same with what Linux needs to show UEFI's variables.
fn uefi_cd(lab: &Lab) -> Result<Vec<u8>> {
    let kernel = Kernel::fetch()?;
    let mut guest = lab.guest();
    let ramdisk = lab.directory().join("initrd.cpio");
    tree::replace(&ramdisk, &initramfs::build_with(&kernel, &["efivarfs"])?)?;
    guest.ramdisk = Some(ramdisk);
    let image = loader::iso_image(&guest.payload(), lab.directory())?;
    fs::read(&image).with_context(|| format!("cannot read {}", image.display()))
}

fn power_off(session: &mut Session) -> Result<()> {
    session.leave("poweroff")?;
    session.console.ended(SOON).map(drop)
}
