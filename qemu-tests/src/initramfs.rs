//! The default guest's initramfs: Debian's static busybox as init, the virtio modules of the packaged kernel, a shell, and the
//! program `smp`.

use crate::cpio::Archive;
use crate::debian::Kernel;
use crate::program::{Form, build as program};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Debian's static busybox on this computer.
pub const BUSYBOX: &str = "/bin/busybox";
/// What the guest loads at start; their dependencies come along.
const MODULES: [&str; 4] = ["virtio_pci", "virtio_blk", "virtio_console", "virtio_rng"];

const INITTAB: &str = "\
::sysinit:/etc/rc
ttyS0::respawn:-/bin/sh
::ctrlaltdel:/bin/reboot
::shutdown:/bin/umount -a -r
";

const RC: &str = r#"#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t tmpfs tmpfs /tmp
for module in $(cat /lib/modules/order); do insmod /lib/modules/$module; done
hostname guest
[ -b /dev/vda ] && disk-check
echo "guest: $(uname -sr) is up, $(nproc) CPU, $(free -m | awk '/^Mem/ { print $2 }') MiB; this is a shell"
"#;

const PROFILE: &str = "export PS1='\\w # ' HOME=/root PATH=/bin\ncd /root\n";

/// Mounts the RAM disk, writes a MiB, mounts it anew (so that the page cache is gone) and reads it back.
const DISK_CHECK: &str = r#"#!/bin/sh
fail() { echo "disk: FAILED: $1"; exit 1; }
mount -t ext2 /dev/vda /mnt || fail "cannot mount /dev/vda"
dd if=/dev/urandom of=/tmp/sample bs=64k count=16 2>/dev/null
cp /tmp/sample /mnt/sample && umount /mnt || fail "cannot write"
echo 3 >/proc/sys/vm/drop_caches
mount -t ext2 /dev/vda /mnt || fail "cannot mount /dev/vda again"
cmp /tmp/sample /mnt/sample || fail "read back something else"
rm /mnt/sample /tmp/sample
umount /mnt
echo "disk: $(($(cat /sys/block/vda/size) / 2048)) MiB, wrote 1 MiB and read it back"
"#;

/// Builds the archive for `kernel`.
pub fn build(kernel: &Kernel) -> Result<Vec<u8>> {
    build_for(kernel, Path::new(BUSYBOX), &MODULES)
}

/// The same with further modules.
pub fn build_with(kernel: &Kernel, further: &[&str]) -> Result<Vec<u8>> {
    let modules: Vec<_> = MODULES.iter().chain(further).copied().collect();
    build_for(kernel, Path::new(BUSYBOX), &modules)
}

/// The same with another busybox, and with these modules.
pub fn build_for(kernel: &Kernel, shell: &Path, modules: &[&str]) -> Result<Vec<u8>> {
    let mut archive = user_space(kernel, shell, modules)?;
    archive.symlink("init", "bin/busybox");
    Ok(archive.finish())
}

/// The same with a program of ours as init.
pub fn build_with_init(kernel: &Kernel, init: &[u8]) -> Result<Vec<u8>> {
    let mut archive = user_space(kernel, Path::new(BUSYBOX), &MODULES)?;
    archive.file("init", 0o755, init);
    Ok(archive.finish())
}

fn user_space(kernel: &Kernel, shell: &Path, modules: &[&str]) -> Result<Archive> {
    let mut archive = Archive::default();
    for name in [
        "bin",
        "dev",
        "etc",
        "lib",
        "lib/modules",
        "mnt",
        "proc",
        "root",
        "sys",
        "tmp",
    ] {
        archive.directory(name);
    }
    archive
        .device("dev/console", (5, 1))
        .device("dev/null", (1, 3));
    archive.file("etc/inittab", 0o644, INITTAB.as_bytes());
    archive.file("etc/rc", 0o755, RC.as_bytes());
    archive.file("etc/profile", 0o644, PROFILE.as_bytes());
    archive.file("bin/disk-check", 0o755, DISK_CHECK.as_bytes());
    let smp = program("smp", Form::Executable)?;
    archive.file("bin/smp", 0o755, &fs::read(smp)?);
    add_busybox(&mut archive, shell)?;
    load_at_start(&mut archive, kernel, modules)?;
    Ok(archive)
}

/// Adds busybox and a link for each of its commands.
pub fn busybox(archive: &mut Archive) -> Result<()> {
    add_busybox(archive, Path::new(BUSYBOX))
}

fn add_busybox(archive: &mut Archive, shell: &Path) -> Result<()> {
    let binary = fs::read(shell)
        .with_context(|| format!("cannot read {} (package busybox-static)", shell.display()))?;
    archive.file("bin/busybox", 0o755, &binary);
    let applets = crate::command::output(Command::new(BUSYBOX).arg("--list"))?;
    for applet in applets.lines().filter(|&applet| applet != "busybox") {
        archive.symlink(&format!("bin/{applet}"), "busybox");
    }
    Ok(())
}

/// Adds these modules and what they need, and their order as `lib/modules/order`.
pub fn load_at_start(archive: &mut Archive, kernel: &Kernel, names: &[&str]) -> Result<()> {
    let mut order = String::new();
    for module in kernel.modules(names)? {
        archive.file(
            &format!("lib/modules/{}", module.file),
            0o644,
            &module.bytes,
        );
        order.push_str(&module.file);
        order.push('\n');
    }
    archive.file("lib/modules/order", 0o644, order.as_bytes());
    Ok(())
}
