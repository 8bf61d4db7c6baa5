//! Appliance bundles for the emulator: the guest's files and its `monovisor.toml` in one cpio archive.

use crate::debian::Kernel;
use crate::loader::Payload;
use crate::{command, initramfs, tree};
use anyhow::{Context, Result};
use appliance::{CONFIG_NAME, newc::Writer};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a guest's disks hang on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// Paravirtual.
    Virtio,
    /// The PIIX3's channels.
    Ide,
}

/// How a guest boots by itself, through firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Raw images by what they are, in xl's words: `hda`, `hdc:cdrom`, `fda`.
    pub drives: Vec<(&'static str, PathBuf)>,
    /// The order, in xl's letters.
    pub order: Option<String>,
    /// Firmware in place of the built-in BIOS.
    pub firmware: Option<PathBuf>,
    /// Its variables, where they are a file of their own.
    pub firmware_vars: Option<PathBuf>,
}

/// A guest: its files on this machine and its settings.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The guest's kernel, a bzImage; of no meaning where `boot` is given.
    pub kernel: PathBuf,
    /// How it boots where it is not started directly.
    pub boot: Option<Boot>,
    /// Its initramfs.
    pub ramdisk: Option<PathBuf>,
    /// Its command line.
    pub cmdline: String,
    /// Raw images, in the order of the guest's drives.
    pub disks: Vec<PathBuf>,
    /// What they hang on.
    pub bus: Bus,
    /// Guest memory.
    pub memory_mib: u32,
    /// Guest CPUs.
    pub vcpus: u32,
    /// Further lines of `monovisor.toml`, as they are.
    pub settings: String,
}

impl Guest {
    /// A guest that is only a kernel.
    pub fn new(kernel: PathBuf) -> Self {
        Self {
            kernel,
            boot: None,
            ramdisk: None,
            cmdline: "console=ttyS0".to_owned(),
            disks: Vec::new(),
            bus: Bus::Virtio,
            memory_mib: 256,
            vcpus: 1,
            settings: String::new(),
        }
    }

    /// A guest that boots by itself.
    pub fn from_media(boot: Boot) -> Self {
        Self {
            boot: Some(boot),
            ..Self::new(PathBuf::new())
        }
    }

    /// Debian's packaged kernel, the busybox initramfs and a small ext2 disk, built under `target/guests`.
    pub fn debian() -> Result<Self> {
        let kernel = Kernel::fetch()?;
        let store = tree::guests();
        let ramdisk = store.join("initrd.cpio");
        tree::replace(&ramdisk, &initramfs::build(&kernel)?)?;
        let disk = store.join("disk.img");
        ext2(&disk)?;
        Ok(Self {
            ramdisk: Some(ramdisk),
            disks: vec![disk],
            ..Self::new(kernel.image())
        })
    }

    /// What a loader loads where the guest runs without a hypervisor.
    pub fn payload(&self) -> Payload {
        Payload {
            kernel: self.kernel.clone(),
            initrd: self.ramdisk.clone(),
            append: self.cmdline.clone(),
        }
    }

    /// QEMU's arguments for the devices that Monovisor would give this guest. Writes to disks are dropped at the end, as
    /// a RAM disk's are.
    pub fn devices(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for disk in &self.disks {
            arguments.push("-drive".to_owned());
            arguments.push(format!(
                "file={},format=raw,if=virtio,snapshot=on",
                disk.display()
            ));
        }
        let others = [
            "virtio-rng-pci",
            "virtio-serial-pci",
            "virtconsole,chardev=hvc0",
        ];
        arguments.extend(["-chardev", "null,id=hvc0"].map(str::to_owned));
        arguments.extend(
            others
                .iter()
                .flat_map(|device| ["-device".to_owned(), (*device).to_owned()]),
        );
        arguments
    }

    /// The configuration file, in xl.cfg's keys.
    pub fn config(&self) -> String {
        let mut text = format!(
            "name = \"guest\"\nmemory = {}\nvcpus = {}\n",
            self.memory_mib, self.vcpus
        );
        match &self.boot {
            None => {
                text.push_str("kernel = \"kernel\"\n");
                if self.ramdisk.is_some() {
                    text.push_str("ramdisk = \"ramdisk\"\n");
                }
                text.push_str(&format!("cmdline = {}\n", toml_string(&self.cmdline)));
            }
            Some(boot) => {
                let order = boot.order.clone().unwrap_or_else(|| boot.usual_order());
                text.push_str(&format!("boot = {}\n", toml_string(&order)));
                if boot.firmware.is_some() {
                    text.push_str("firmware = \"firmware\"\n");
                }
                if boot.firmware_vars.is_some() {
                    text.push_str("firmware_vars = \"firmware_vars\"\n");
                }
            }
        }
        let drives = self.boot.iter().flat_map(|boot| &boot.drives);
        let drives = drives.map(|(drive, _)| {
            let access = if drive.ends_with(":cdrom") { "r" } else { "w" };
            toml_string(&format!("file:{},{drive},{access}", blob_name(drive)))
        });
        let disks = (0..self.disks.len()).map(|index| toml_string(&disk_spec(index, self.bus)));
        let disks: Vec<_> = drives.chain(disks).collect();
        if !disks.is_empty() {
            text.push_str(&format!("disk = [{}]\n", disks.join(", ")));
        }
        text.push_str(&self.settings);
        text
    }

    /// Packs the bundle into the file `to`.
    pub fn pack(&self, to: &Path) -> Result<()> {
        let mut archive = Writer::new();
        archive
            .file(CONFIG_NAME, self.config().as_bytes())
            .context("the configuration is too long for cpio")?;
        match &self.boot {
            None => add(&mut archive, "kernel", &self.kernel)?,
            Some(boot) => {
                for (drive, path) in &boot.drives {
                    add(&mut archive, blob_name(drive), path)?;
                }
                let images = [
                    ("firmware", &boot.firmware),
                    ("firmware_vars", &boot.firmware_vars),
                ];
                for (name, image) in images {
                    if let Some(image) = image {
                        add(&mut archive, name, image)?;
                    }
                }
            }
        }
        if let Some(ramdisk) = &self.ramdisk {
            add(&mut archive, "ramdisk", ramdisk)?;
        }
        for (index, disk) in self.disks.iter().enumerate() {
            add(&mut archive, &disk_name(index), disk)?;
        }
        fs::write(to, archive.finish()).with_context(|| format!("cannot write {}", to.display()))
    }
}

/// Packs a bundle of these lines of configuration, to which a name is added, and these files.
pub fn pack_files(settings: &str, files: &[(&str, &Path)], to: &Path) -> Result<()> {
    let mut archive = Writer::new();
    archive
        .file(
            CONFIG_NAME,
            format!("name = \"guest\"\n{settings}").as_bytes(),
        )
        .context("the configuration is too long for cpio")?;
    for (name, path) in files {
        add(&mut archive, name, path)?;
    }
    fs::write(to, archive.finish()).with_context(|| format!("cannot write {}", to.display()))
}

fn add(archive: &mut Writer, name: &str, path: &Path) -> Result<()> {
    let content = fs::read(path)
        .with_context(|| format!("cannot read the guest's {name}, {}", path.display()))?;
    archive
        .file(name, &content)
        .with_context(|| format!("{} is too long for cpio", path.display()))?;
    Ok(())
}

impl Boot {
    /// The diskette, the CD, then the disks, as far as they are there.
    fn usual_order(&self) -> String {
        let has = |start: &str| {
            self.drives
                .iter()
                .any(|(drive, _)| drive.starts_with(start) || drive.ends_with(start))
        };
        let order: String = [("fd", 'a'), (":cdrom", 'd'), ("hda", 'c')]
            .into_iter()
            .filter_map(|(drive, letter)| has(drive).then_some(letter))
            .collect();
        if order.is_empty() {
            "c".to_owned()
        } else {
            order
        }
    }
}

/// A drive's image in the bundle.
fn blob_name(drive: &str) -> &str {
    drive.trim_end_matches(":cdrom")
}

fn disk_name(index: usize) -> String {
    format!("disk{index}")
}

/// xl-disk-configuration(5): target, format, virtual device, access.
fn disk_spec(index: usize, bus: Bus) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    let prefix = match bus {
        Bus::Virtio => "vd",
        Bus::Ide => "hd",
    };
    format!("{},raw,{prefix}{letter},rw", disk_name(index))
}

fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A 4 MiB ext2 file system, the same bytes every time.
fn ext2(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let mut make = Command::new("mke2fs");
    make.args([
        "-q",
        "-F",
        "-t",
        "ext2",
        "-m",
        "0",
        "-L",
        "guest",
        "-U",
        "6d6f6e6f-7669-736f-7220-677565737400",
    ]);
    make.arg(path)
        .arg("4M")
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    command::output(&mut make).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_boots_by_itself_has_an_order() {
        let guest = Guest::from_media(Boot {
            drives: vec![("hda", "a".into()), ("hdc:cdrom", "b".into())],
            ..Boot::default()
        });
        let config = guest.config();
        assert!(config.contains("boot = \"dc\"\n"), "{config}");
        assert!(
            config.contains("\"file:hda,hda,w\", \"file:hdc,hdc:cdrom,r\""),
            "{config}"
        );
        assert!(!config.contains("kernel"), "{config}");
    }
}
