//! Ways to get a kernel and its initrd into a machine: one for each loader that Monovisor promises to serve.

use crate::command;
use anyhow::{Context, Result, anyhow, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a loader loads, by the Linux boot protocol or as an EFI application.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The kernel: Monovisor's image, or a guest's.
    pub kernel: PathBuf,
    /// The initrd: the bundle, or a guest's initramfs.
    pub initrd: Option<PathBuf>,
    /// The kernel's command line.
    pub append: String,
}

/// The machine's firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS.
    Bios,
    /// OVMF.
    Uefi,
}

/// A way to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// QEMU's `-kernel` and `-initrd`.
    Direct(Firmware),
    /// The appliance's ISO image as a CD: ISOLINUX under a BIOS, GRUB under UEFI.
    Iso(Firmware),
    /// The same image as a USB stick.
    Stick(Firmware),
    /// GRUB for a BIOS, on a CD.
    Grub,
    /// The network card's iPXE and QEMU's TFTP server.
    Pxe,
    /// None: the BIOS boots from media that the machine has anyhow, and the payload stays out.
    Own,
    /// `EFI/BOOT/BOOTX64.EFI` on a FAT volume, started by the firmware; the bundle lies beside it.
    EfiFile,
}

const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";

impl Loader {
    /// Every way to boot a payload.
    pub const ALL: [Self; 9] = [
        Self::Direct(Firmware::Bios),
        Self::Direct(Firmware::Uefi),
        Self::Iso(Firmware::Bios),
        Self::Iso(Firmware::Uefi),
        Self::Stick(Firmware::Bios),
        Self::Stick(Firmware::Uefi),
        Self::Grub,
        Self::Pxe,
        Self::EfiFile,
    ];

    /// A short name, part of tests' names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct(Firmware::Bios) => "direct-bios",
            Self::Direct(Firmware::Uefi) => "direct-uefi",
            Self::Iso(Firmware::Bios) => "iso-bios",
            Self::Iso(Firmware::Uefi) => "iso-uefi",
            Self::Stick(Firmware::Bios) => "stick-bios",
            Self::Stick(Firmware::Uefi) => "stick-uefi",
            Self::Grub => "grub-bios",
            Self::Pxe => "pxe",
            Self::Own => "own",
            Self::EfiFile => "efi-file",
        }
    }

    /// The firmware that it needs.
    pub fn firmware(self) -> Firmware {
        match self {
            Self::Direct(firmware) | Self::Iso(firmware) | Self::Stick(firmware) => firmware,
            Self::Grub | Self::Pxe | Self::Own => Firmware::Bios,
            Self::EfiFile => Firmware::Uefi,
        }
    }

    /// Builds the medium in `directory` and returns QEMU's arguments that boot from it.
    pub fn arguments(self, payload: &Payload, directory: &Path) -> Result<Vec<OsString>> {
        present(payload)?;
        let mut arguments = match self.firmware() {
            Firmware::Bios => Vec::new(),
            Firmware::Uefi => ovmf(directory)?,
        };
        arguments.extend(match self {
            Self::Direct(_) => direct(payload),
            Self::Iso(_) => cd(iso_image(payload, directory)?),
            Self::Stick(_) => stick(&iso_image(payload, directory)?),
            Self::Grub => cd(grub_iso(payload, &grub_script(payload), directory)?),
            Self::Pxe => pxe(payload, directory)?,
            Self::Own => Vec::new(),
            Self::EfiFile => efi_file(payload, directory)?,
        });
        Ok(arguments)
    }
}

fn present(payload: &Payload) -> Result<()> {
    for path in std::iter::once(&payload.kernel).chain(&payload.initrd) {
        if !path.is_file() {
            bail!("{} is missing or is no file", path.display());
        }
    }
    Ok(())
}

/// OVMF with variables of its own, so that nothing is remembered from boot to boot.
fn ovmf(directory: &Path) -> Result<Vec<OsString>> {
    let variables = directory.join("efi-variables.fd");
    fs::copy(OVMF_VARIABLES, &variables)
        .with_context(|| format!("cannot copy {OVMF_VARIABLES} (package ovmf)"))?;
    Ok(vec![
        "-drive".into(),
        format!("if=pflash,unit=0,format=raw,readonly=on,file={OVMF_CODE}").into(),
        "-drive".into(),
        format!("if=pflash,unit=1,format=raw,file={}", variables.display()).into(),
    ])
}

fn direct(payload: &Payload) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-kernel".into(), payload.kernel.clone().into()];
    if let Some(initrd) = &payload.initrd {
        arguments.extend(["-initrd".into(), initrd.clone().into()]);
    }
    if !payload.append.is_empty() {
        arguments.extend(["-append".into(), payload.append.clone().into()]);
    }
    arguments
}

fn cd(image: PathBuf) -> Vec<OsString> {
    vec!["-cdrom".into(), image.into(), "-boot".into(), "d".into()]
}

fn stick(image: &Path) -> Vec<OsString> {
    let drive = format!("if=none,id=stick,format=raw,file={}", image.display());
    vec![
        "-device".into(),
        "qemu-xhci".into(),
        "-drive".into(),
        drive.into(),
        "-device".into(),
        "usb-storage,drive=stick,bootindex=0".into(),
    ]
}

/// Makes `boot.iso` in `directory`: the image that `monovisor build` makes, which boots under both firmwares. A kernel that needs
/// a command line, or has no initrd, is no appliance; it gets an image of the same kind.
pub fn iso_image(payload: &Payload, directory: &Path) -> Result<PathBuf> {
    present(payload)?;
    let image = directory.join("boot.iso");
    match &payload.initrd {
        Some(bundle) if payload.append.is_empty() => {
            monovisor::iso::make(&payload.kernel, bundle, &image)
                .map_err(|error| anyhow!("{error}"))?;
        }
        _ => return grub_iso(payload, &grub_script(payload), directory),
    }
    Ok(image)
}

/// What GRUB has to do for a [`grub_iso`].
fn grub_script(payload: &Payload) -> String {
    let initrd = match payload.initrd {
        Some(_) => "initrd /boot/initrd\n",
        None => "",
    };
    format!("linux /boot/kernel {}\n{initrd}boot\n", payload.append)
}

/// GRUB with any kernel and initrd, as `/boot/kernel` and `/boot/initrd`, and a script.
pub fn grub_iso(payload: &Payload, script: &str, directory: &Path) -> Result<PathBuf> {
    let image = directory.join("boot.iso");
    let stage = emptied(&directory.join("iso"))?;
    let boot = stage.join("boot");
    fs::create_dir_all(boot.join("grub"))?;
    link(&payload.kernel, &boot.join("kernel"))?;
    if let Some(initrd) = &payload.initrd {
        link(initrd, &boot.join("initrd"))?;
    }
    fs::write(boot.join("grub/grub.cfg"), script)?;
    let mut make = Command::new("grub-mkrescue");
    command::output(make.arg("-o").arg(&image).arg(&stage))?;
    Ok(image)
}

/// A script for iPXE in a directory that QEMU serves over TFTP.
fn pxe(payload: &Payload, directory: &Path) -> Result<Vec<OsString>> {
    let tree = emptied(&directory.join("tftp"))?;
    link(&payload.kernel, &tree.join("kernel"))?;
    let mut script = format!("#!ipxe\nkernel kernel {}\n", payload.append);
    if let Some(initrd) = &payload.initrd {
        link(initrd, &tree.join("initrd"))?;
        script.push_str("initrd initrd\n");
    }
    script.push_str("boot\n");
    fs::write(tree.join("boot.ipxe"), script)?;
    Ok(vec![
        "-netdev".into(),
        format!("user,id=pxe,tftp={},bootfile=boot.ipxe", tree.display()).into(),
        "-device".into(),
        "virtio-net-pci,netdev=pxe,bootindex=0".into(),
    ])
}

/// A FAT32 volume, the kernel as the removable-media path of UEFI 2.10 section 3.5.1.1.
fn efi_file(payload: &Payload, directory: &Path) -> Result<Vec<OsString>> {
    let image = directory.join("efi.img");
    fs::File::create(&image)?.set_len(128 << 20)?;
    command::output(
        Command::new("mformat")
            .args(["-F", "-i"])
            .arg(&image)
            .arg("::"),
    )?;
    command::output(
        Command::new("mmd")
            .arg("-i")
            .arg(&image)
            .args(["::/EFI", "::/EFI/BOOT"]),
    )?;
    let copy = |from: &Path, to: &str| {
        command::output(
            Command::new("mcopy")
                .arg("-i")
                .arg(&image)
                .arg(from)
                .arg(to),
        )
    };
    copy(&payload.kernel, "::/EFI/BOOT/BOOTX64.EFI")?;
    if let Some(initrd) = &payload.initrd {
        copy(initrd, "::/EFI/BOOT/monovisor.cpio")?;
    }
    Ok(vec![
        "-drive".into(),
        format!("format=raw,file={}", image.display()).into(),
    ])
}

/// A fresh, empty directory.
fn emptied(directory: &Path) -> Result<PathBuf> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    Ok(directory.to_owned())
}

/// A hard link where possible: bundles are large and read only.
fn link(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    }
    Ok(())
}
