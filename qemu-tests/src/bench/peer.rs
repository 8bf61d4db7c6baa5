//! The peer: Debian's cloud kernel with KVM, and QEMU in its initramfs, on the same counted machine.

use super::counted::{self, Size, number_after};
use super::figures::Figures;
use super::{Bench, COMMAND_LINE, GUEST_MIB, micro, paging, pair};
use crate::cpio::Archive;
use crate::debian::Kernel;
use crate::loader::Payload;
use crate::program::{Form, build};
use crate::qemu::QEMU;
use crate::{command, initramfs};
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Its machine must hold QEMU, too.
pub(super) const PEER_MIB: u32 = 1024;
/// What QEMU reads beside its libraries for a machine that boots a kernel directly.
const FIRMWARE: [&str; 3] = [
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/kvmvapic.bin",
];

/// For the outer kernel: the emulated counters are one clock, though nothing promises that; and it starts no second CPU by itself.
/// While it waits for one it does not pause, and QEMU 7.2, counting, lets a CPU that never pauses starve the others.
const FAIR: &str = " tsc=reliable maxcpus=1";

/// The inner machine's last line is followed by the outer machine's TSC, which counts from power-on. Should the inner
/// machine end before, the run ends, too. A second CPU is started while a program pauses (see [`FAIR`]). A halted guest's CPU is not polled for: where CPUs run in turns that only holds the others up.
const INIT: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
for module in $(cat /lib/modules/order); do
    case $module in kvm-amd*) options=npt=${npt:-1};; *) options=;; esac
    insmod /lib/modules/$module $options
done
echo 0 >/sys/module/kvm/parameters/halt_poll_ns
second=/sys/devices/system/cpu/cpu1/online
if [ -e $second ]; then
    /bin/pause & echo 1 >$second
    kill $!
fi
cd /inner
[ -e ./before ] && sh ./before
sh ./start | while read -r line; do
    echo "$line"
    case "$line" in TSC*|"UB done"*|"PAIR done"*|"PAGING done"*) /bin/tsc; echo PEER done;; esac
done
echo PEER done
"#;

/// Runs all programs under the peer.
pub fn measure(bench: &Bench, bare: &Figures) -> Result<Figures> {
    let micro = Inner::new(&bench.micro);
    let mut figures = micro::read(&run(bench, "peer-micro", &micro)?)?;
    let pair = Inner {
        cpus: 2,
        ..Inner::new(&bench.pair)
    };
    figures.extend(pair::read(&run(bench, "peer-pair", &pair)?)?);
    let kernel = bench.kernel.image();
    figures.extend(measure_paging(bench)?);
    let boot = Inner {
        initrd: Some(&bench.ramdisk),
        ..Inner::new(&kernel)
    };
    let said = run(bench, "peer-boot", &boot)?;
    // The inner machine's TSC starts with it; the outer one's is read as soon as the line arrives.
    let inner = said
        .split_once("\nTSC ")
        .map(|(_, rest)| rest)
        .context("the inner machine did not reach init")?;
    let init = number_after(inner, "\nTSC ")?;
    let bare = bare
        .get("boot_insns")
        .context("the bare boot was not measured")?;
    figures.extend([
        ("boot_ratio_to_bare", init as f64 / bare),
        ("boot_insns", init as f64),
    ]);
    Ok(figures)
}

/// Processes under KVM's shadow paging.
pub fn measure_paging(bench: &Bench) -> Result<Figures> {
    let kernel = bench.kernel.image();
    let ramdisk = paging::ramdisk(bench)?;
    let inner = Inner {
        initrd: Some(&ramdisk),
        paging: Paging::Shadow,
        ..Inner::new(&kernel)
    };
    paging::absolute(&run(bench, "peer-paging", &inner)?)
}

/// How the inner machine's memory is translated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paging {
    Nested,
    Shadow,
}

/// The machine in the machine. The outer one has as many CPUs.
pub(super) struct Inner<'a> {
    /// What it boots.
    pub kernel: &'a Path,
    /// Its initramfs.
    pub initrd: Option<&'a Path>,
    /// Its CPUs.
    pub cpus: u32,
    /// The outer machine's kernel, where it is another than the bench's.
    pub outer: Option<&'a Kernel>,
    /// What that loads beside KVM, and what it does before the inner machine starts.
    pub modules: &'a [&'a str],
    /// See `modules`.
    pub before: &'a str,
    /// Further arguments of the inner machine.
    pub devices: &'a str,
    /// How KVM translates.
    pub paging: Paging,
}

impl<'a> Inner<'a> {
    pub(super) fn new(kernel: &'a Path) -> Self {
        Self {
            kernel,
            initrd: None,
            cpus: 1,
            outer: None,
            modules: &[],
            before: "",
            devices: "",
            paging: Paging::Nested,
        }
    }
}

/// What the outer machine boots.
pub(super) fn payload(bench: &Bench, inner: &Inner, directory: &Path) -> Result<Payload> {
    let outer = directory.join("outer.cpio");
    fs::write(&outer, user_space(bench, inner)?)?;
    let kernel = inner.outer.unwrap_or(&bench.kernel);
    let mut payload = bench.payload(&kernel.image(), Some(&outer));
    payload.append.push_str(FAIR);
    if inner.paging == Paging::Shadow {
        payload.append.push_str(" npt=0");
    }
    Ok(payload)
}

fn run(bench: &Bench, name: &str, inner: &Inner) -> Result<String> {
    let directory = bench.place(name)?;
    let payload = payload(bench, inner, &directory)?;
    let size = Size {
        memory_mib: PEER_MIB,
        cpus: inner.cpus,
    };
    counted::transcript(&payload, size, &directory, "PEER done")
}

fn user_space(bench: &Bench, inner: &Inner) -> Result<Vec<u8>> {
    let Inner {
        kernel,
        initrd,
        cpus,
        outer,
        modules,
        before,
        devices,
        paging: _,
    } = *inner;
    let mut tree = Tree::default();
    for name in ["dev", "inner", "proc", "sys", "tmp", "lib/modules"] {
        tree.directory(name);
    }
    tree.archive
        .device("dev/console", (5, 1))
        .device("dev/null", (1, 3));
    tree.archive.file("init", 0o755, INIT.as_bytes());
    tree.directory("bin");
    initramfs::busybox(&mut tree.archive)?;
    let modules: Vec<_> = std::iter::once("kvm_amd")
        .chain(modules.iter().copied())
        .collect();
    let outer = outer.unwrap_or(&bench.kernel);
    initramfs::load_at_start(&mut tree.archive, outer, &modules)?;
    if !before.is_empty() {
        tree.archive.file("inner/before", 0o644, before.as_bytes());
    }
    for program in ["tsc", "pause"] {
        tree.copy(
            &build(program, Form::Executable)?,
            &format!("bin/{program}"),
        )?;
    }
    let qemu = command::output(Command::new("which").arg(QEMU))?;
    tree.copy(Path::new(qemu.trim()), "bin/qemu")?;
    for library in libraries(qemu.trim())? {
        tree.copy(Path::new(&library), library.trim_start_matches('/'))?;
    }
    for file in FIRMWARE {
        let name = Path::new(file)
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        tree.copy(Path::new(file), &format!("firmware/{name}"))?;
    }
    tree.copy(kernel, "inner/kernel")?;
    let mut start = format!(
        "exec /bin/qemu -L /firmware -accel kvm -cpu host -M pc -m {GUEST_MIB} -smp {cpus} -nodefaults -display none \
         -no-reboot -serial stdio -kernel kernel {devices}"
    );
    if let Some(initrd) = initrd {
        tree.copy(initrd, "inner/initrd")?;
        start.push_str(&format!(" -initrd initrd -append '{COMMAND_LINE}'"));
    }
    tree.archive.file(
        "inner/start",
        0o644,
        format!("{start} </dev/null 2>&1\n").as_bytes(),
    );
    Ok(tree.archive.finish())
}

/// The files that the dynamic linker maps for `program`.
fn libraries(program: &str) -> Result<Vec<String>> {
    let listing = command::output(Command::new("ldd").arg(program))?;
    let paths = listing
        .split_whitespace()
        .filter(|word| word.starts_with('/'));
    let paths: Vec<_> = paths.map(str::to_owned).collect();
    match paths.is_empty() {
        true => bail!("ldd finds no libraries of {program}"),
        false => Ok(paths),
    }
}

/// An archive that adds each directory once.
#[derive(Default)]
struct Tree {
    archive: Archive,
    directories: BTreeSet<String>,
}

impl Tree {
    fn directory(&mut self, name: &str) {
        if let Some((parent, _)) = name.rsplit_once('/') {
            self.directory(parent);
        }
        if self.directories.insert(name.to_owned()) {
            self.archive.directory(name);
        }
    }

    fn copy(&mut self, from: &Path, to: &str) -> Result<()> {
        if let Some((parent, _)) = to.rsplit_once('/') {
            self.directory(parent);
        }
        let content = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        self.archive.file(to, 0o755, &content);
        Ok(())
    }
}
