//! Debian's kernels of every kind for PCs, booted from a CD by GRUB, with an IDE disk.

use super::session::{Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::debian::Kernel;
use crate::loader::{self, Payload};
use crate::package::{self, Architecture};
use crate::pc::{Pc, Place};
use crate::{initramfs, tree};
use anyhow::{Result, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "linux-686-pae",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body: |lab| boots(lab, &PAE),
    },
    Case {
        name: "linux-686",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body: |lab| boots(lab, &WITHOUT_PAE),
    },
    Case {
        name: "linux-amd64",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body: |lab| boots(lab, &AMD64),
    },
    Case {
        name: "linux-old-ways",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body: old_ways,
    },
    Case {
        name: "linux-debian-13",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::WithMedia,
        body: |lab| boots(lab, &NEXT),
    },
    Case {
        name: "linux-vesa",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::WithMedia,
        body: vesa,
    },
];

/// A kind of kernel.
pub(super) struct Kind {
    pub(super) metapackage: &'static str,
    pub(super) architecture: Architecture,
    /// How its version starts.
    version: &'static str,
    /// What `uname -m` prints.
    machine: &'static str,
}

const PAE: Kind = Kind {
    metapackage: "linux-image-686-pae",
    architecture: Architecture::I386,
    version: "6.1.",
    machine: "i686",
};
const WITHOUT_PAE: Kind = Kind {
    metapackage: "linux-image-686",
    ..PAE
};
/// The usual kernel for 64-bit machines.
pub(super) const AMD64: Kind = Kind {
    metapackage: "linux-image-amd64",
    architecture: Architecture::Amd64,
    version: "6.1.",
    machine: "x86_64",
};
/// Debian 13's, as Debian 12 has it.
const NEXT: Kind = Kind {
    metapackage: "linux-image-6.12-amd64",
    version: "6.12.",
    ..AMD64
};

/// The PIIX's IDE driver, disks, and a file system; its checksums are found by name only.
const MODULES: [&str; 4] = ["ata_piix", "sd_mod", "crc32c_generic", "ext4"];

impl Kind {
    fn kernel(&self) -> Result<Kernel> {
        Kernel::behind(self.metapackage, self.architecture)
    }

    /// Its kernel, and busybox with the modules for an IDE disk.
    pub(super) fn payload(&self, lab: &Lab) -> Result<Payload> {
        let kernel = self.kernel()?;
        let shell = package::fetch("busybox-static", self.architecture)?.join("bin/busybox");
        let initrd = lab.directory().join("initrd.cpio");
        tree::replace(&initrd, &initramfs::build_for(&kernel, &shell, &MODULES)?)?;
        Ok(Payload {
            kernel: kernel.image(),
            initrd: Some(initrd),
            append: format!("console=ttyS0{}", lab.emulator().kernel_options()),
        })
    }
}

fn boots(lab: &mut Lab, kind: &Kind) -> Result<()> {
    let payload = kind.payload(lab)?;
    let cd = loader::iso_image(&payload, lab.directory())?;
    let mut disks = lab.guest().disks;
    ensure!(!disks.is_empty(), "the default guest has no disk to lend");
    let pc = Pc::with(Place::Cd, cd).and(Place::Disk, disks.remove(0));
    let mut session = lab.step("shell", |lab| {
        let mut session = lab.start_pc(&pc)?;
        session.shell()?;
        Ok(session)
    })?;
    lab.step("kernel", |_| {
        let said = session.run("uname -mr")?;
        ensure!(
            said.starts_with(kind.version) && said.ends_with(kind.machine),
            "uname says {said:?}"
        );
        Ok(())
    })?;
    lab.step("tables of the firmware's", |_| {
        // The kernel maps them for a moment each, and checks their lengths and sums.
        let said = session.run("dmesg | grep -cE 'DMI: Monovisor|DMI: QEMU'")?;
        ensure!(said == "1", "the kernel names its PC {said} times");
        let said = session.run("dmesg | grep -iE 'corrupted|invalid table' || true")?;
        ensure!(said.is_empty(), "the kernel says {said:?}");
        Ok(())
    })?;
    lab.step("disk by DMA", |_| {
        let mode = session.run("cat /sys/class/ata_device/dev1.0/xfer_mode")?;
        ensure!(mode.contains("DMA"), "the disk's mode is {mode:?}");
        Ok(())
    })?;
    lab.step("disk written and read back", |_| write(&mut session))?;
    lab.step("disk read after a reboot", |_| {
        session.leave("reboot")?;
        session.shell()?;
        session.run("mount -t ext2 -o ro /dev/sda /mnt")?;
        session.run("(cd /mnt && sha256sum -c sum) && umount /mnt")?;
        Ok(())
    })?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// A kernel that is told not to use what newer PCs have: it goes by the MP table, by the 8259s alone, by the 32-bit PCI BIOS.
fn old_ways(lab: &mut Lab) -> Result<()> {
    for (words, wanted) in [
        (
            "acpi=off",
            "dmesg | grep 'Intel MultiProcessor Specification'",
        ),
        ("acpi=off noapic nolapic", "grep XT-PIC /proc/interrupts"),
        ("pci=bios", "dmesg | grep 'PCI: PCI BIOS revision 2.10'"),
        ("pci=nobios", "grep 'PCI conf1' /proc/ioports"),
    ] {
        lab.step(words, |lab| {
            let mut payload = PAE.payload(lab)?;
            payload.append.push(' ');
            payload.append.push_str(words);
            let cd = loader::iso_image(&payload, lab.directory())?;
            let mut session = lab.start_pc(&Pc::with(Place::Cd, cd))?;
            session.shell()?;
            session.run(wanted).map(drop)
        })?;
    }
    Ok(())
}

/// A console that is drawn in the linear framebuffer, in a mode of VESA's.
fn vesa(lab: &mut Lab) -> Result<()> {
    let mut payload = AMD64.payload(lab)?;
    payload.append.insert_str(0, "vga=0x314 console=tty0 ");
    let cd = loader::iso_image(&payload, lab.directory())?;
    lab.step("shell, and a screen of graphics", |lab| {
        let mut session = lab.start_pc(&Pc::with(Place::Cd, cd))?;
        session.shell()?;
        let device = session.run("cat /proc/fb")?;
        ensure!(!device.is_empty(), "the kernel has no framebuffer");
        session.enter_prompt()?;
        let screen = session.screen()?;
        ensure!(
            screen.contains("graphics, 800x600"),
            "the screen is {screen:?}"
        );
        session.leave_prompt()?;
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Two files of random bytes; what they should be is kept beside them.
fn write(session: &mut Session) -> Result<()> {
    session.run("mount -t ext2 /dev/sda /mnt")?;
    session.run("dd if=/dev/urandom of=/mnt/a bs=64k count=24 2>/dev/null")?;
    session.run("dd if=/dev/urandom of=/mnt/b bs=512 count=77 2>/dev/null")?;
    session.run("(cd /mnt && sha256sum a b >sum)")?;
    session.run("umount /mnt && echo 3 >/proc/sys/vm/drop_caches")?;
    session.run("mount -t ext2 -o ro /dev/sda /mnt")?;
    session
        .run("(cd /mnt && sha256sum -c sum) && umount /mnt")
        .map(drop)
}
