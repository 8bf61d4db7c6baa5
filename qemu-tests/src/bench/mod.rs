//! The bench: instructions counted by an emulated CPU, because counts repeat to the digit where seconds do not.
//!
//! On the [`counted`] machine one instruction advances the TSC by one, whatever layer executes it, so a guest that reads
//! its TSC reads what it costs to run there. The same programs run bare, under Monovisor and under the peer.

mod boot;
mod cd;
mod counted;
mod disk;
pub mod figures;
mod micro;
mod network;
mod paging;
mod pair;
mod peer;
mod restart;
mod twins;

use crate::bundle::Guest;
use crate::debian::Kernel;
use crate::loader::Payload;
use crate::program::{Form, build};
use crate::turn::Turn;
use crate::{initramfs, tree};
use anyhow::{Context, Result};
use figures::Figures;
use std::fs;
use std::path::{Path, PathBuf};

/// The guest's size in the boot comparison, and the bare machine's.
const GUEST_MIB: u32 = 128;
/// The machine under a hypervisor.
const HOST_MIB: u32 = 256;
/// Console output would dominate the count of exits.
const COMMAND_LINE: &str = "quiet console=ttyS0 panic=-1";

/// The programs that every column runs.
pub struct Bench {
    directory: PathBuf,
    kernel: Kernel,
    /// The micro-benchmark guest.
    micro: PathBuf,
    /// The guest of two CPUs.
    pair: PathBuf,
    /// The boot comparison's initramfs.
    ramdisk: PathBuf,
    /// At the directory.
    _turn: Turn,
}

impl Bench {
    /// Builds the guests.
    pub fn prepare() -> Result<Self> {
        let directory = tree::root().join("target/bench");
        let turn = Turn::take_directory(&directory, "measures in this tree")?;
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let kernel = Kernel::fetch()?;
        let micro = build("ub", Form::Kernel)?;
        let pair = build("pair", Form::Kernel)?;
        let init = fs::read(build("tsc", Form::Executable)?)?;
        let ramdisk = directory.join("initrd.cpio");
        fs::write(&ramdisk, initramfs::build_with_init(&kernel, &init)?)?;
        Ok(Self {
            directory,
            kernel,
            micro,
            pair,
            ramdisk,
            _turn: turn,
        })
    }

    /// The machine alone.
    pub fn bare(&self) -> Result<Figures> {
        let mut figures = micro::measure(
            &self.payload(&self.micro, None),
            GUEST_MIB,
            &self.place("bare-micro")?,
        )?;
        let boot = boot::bare(
            &self.payload(&self.kernel.image(), Some(&self.ramdisk)),
            &self.place("bare-boot")?,
        )?;
        let iso = cd::bare(self)?;
        let dma = disk::bare(self)?;
        figures.extend([
            ("boot_ratio_to_bare", 1.0),
            ("boot_insns", boot as f64),
            ("iso_boot_ratio_to_bare", 1.0),
            ("iso_boot_insns", iso as f64),
            ("ide_dma_ratio_to_bare", 1.0),
            ("ide_dma_insns", dma as f64),
        ]);
        Ok(figures)
    }

    /// Monovisor, from its built image; `bare` is what [`Bench::bare`] found.
    pub fn monovisor(&self, bare: &Figures) -> Result<Figures> {
        let mut guest = Guest::new(self.micro.clone());
        guest.memory_mib = GUEST_MIB;
        let directory = self.place("monovisor-micro")?;
        let mut figures = micro::measure(&monovisor(&guest, &directory)?, HOST_MIB, &directory)?;

        let mut guest = Guest::new(self.pair.clone());
        guest.memory_mib = GUEST_MIB;
        guest.vcpus = 2;
        let directory = self.place("monovisor-pair")?;
        figures.extend(pair::measure(
            &monovisor(&guest, &directory)?,
            HOST_MIB,
            &directory,
        )?);

        let mut guest = Guest::new(self.kernel.image());
        guest.ramdisk = Some(self.ramdisk.clone());
        guest.memory_mib = GUEST_MIB;
        guest.cmdline = COMMAND_LINE.to_owned();
        let directory = self.place("monovisor-boot")?;
        let boot = boot::monovisor(&monovisor(&guest, &directory)?, &directory)?;
        let iso = cd::monovisor(self)?;
        let dma = disk::monovisor(self)?;
        let bare = |key| bare.get(key).context("the bare machine was not measured");
        let image = fs::metadata(tree::image())
            .context("the image is not built")?
            .len();
        figures.extend([
            ("boot_ratio_to_bare", boot.init as f64 / bare("boot_insns")?),
            ("boot_insns", boot.init as f64),
            (
                "iso_boot_ratio_to_bare",
                iso as f64 / bare("iso_boot_insns")?,
            ),
            ("ide_dma_ratio_to_bare", dma as f64 / bare("ide_dma_insns")?),
            ("reset_to_bootsector", restart::monovisor(self)? as f64),
            ("boot_monovisor_insns", boot.own as f64),
            ("reserved_mib", boot.kept_mib as f64),
            ("image_bytes", image as f64),
        ]);
        figures.extend(self.paging()?);
        figures.extend(self.network()?);
        Ok(figures)
    }

    /// KVM and QEMU on the same machine.
    pub fn peer(&self, bare: &Figures) -> Result<Figures> {
        let mut figures = peer::measure(self, bare)?;
        figures.extend(self.network_of_peer()?);
        Ok(figures)
    }

    /// Shadow paging beside nested paging.
    pub fn paging(&self) -> Result<Figures> {
        paging::measure(self)
    }

    /// What network traffic costs more than on the bare machine.
    pub fn network(&self) -> Result<Figures> {
        network::measure(self)
    }

    /// The same of KVM and QEMU.
    pub fn network_of_peer(&self) -> Result<Figures> {
        network::measure_peer(self)
    }

    /// Processes under the peer's shadow paging.
    pub fn paging_of_peer(&self) -> Result<Figures> {
        peer::measure_paging(self)
    }

    /// Single exits on AMD-V and on VT-x, in Bochs.
    pub fn twins(&self) -> Result<Figures> {
        twins::measure(self)
    }

    fn payload(&self, kernel: &Path, initrd: Option<&Path>) -> Payload {
        let append = COMMAND_LINE.to_owned();
        Payload {
            kernel: kernel.to_owned(),
            initrd: initrd.map(Path::to_owned),
            append,
        }
    }

    /// A directory for one run's files.
    fn place(&self, name: &str) -> Result<PathBuf> {
        let directory = self.directory.join(name);
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        Ok(directory)
    }
}

fn monovisor(guest: &Guest, directory: &Path) -> Result<Payload> {
    let bundle = directory.join("bundle.cpio");
    guest.pack(&bundle)?;
    Ok(Payload {
        kernel: tree::image(),
        initrd: Some(bundle),
        append: String::new(),
    })
}
