//! Systems that come with media of their own, from Debian's packages: each is driven by its screen and the keyboard.

use super::session::{BOOT, Lab, SOON, Session};
use super::{Case, Machines, Scope, Tier};
use crate::engine::{Emulator, Subject};
use crate::loader::{self, Payload};
use crate::machine::Desk;
use crate::package::{self, Architecture};
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) const CASES: &[Case] = &[
    case(
        "system-grub-floppy",
        Tier::Always,
        Machines::WithMedia,
        |lab| {
            let image = packaged(
                "grub-rescue-pc",
                "usr/lib/grub-rescue/grub-rescue-floppy.img",
            )?;
            grub(lab, Pc::with(Place::Floppy, image), "(fd0)")
        },
    ),
    case("system-grub-cd", Tier::Full, Machines::WithMedia, |lab| {
        let image = packaged(
            "grub-rescue-pc",
            "usr/lib/grub-rescue/grub-rescue-cdrom.iso",
        )?;
        grub(lab, Pc::with(Place::Cd, image), "(cd0)")
    }),
    case(
        "system-memtest-64",
        Tier::Always,
        Machines::WithMedia,
        |lab| memtest(lab, "memtest86+x64.iso"),
    ),
    case(
        "system-memtest-32",
        Tier::Full,
        Machines::WithMedia,
        |lab| memtest(lab, "memtest86+ia32.iso"),
    ),
    case("system-ipxe", Tier::Full, Machines::WithMedia, ipxe),
    case("system-hdt", Tier::Full, Machines::WithMedia, hdt),
    case("system-gnumach", Tier::Full, Machines::WithMedia, gnumach),
    case(
        "system-installer-amd64",
        Tier::Full,
        Machines::Qemu,
        |lab| installer(lab, "amd64"),
    ),
    case("system-installer-i386", Tier::Full, Machines::Qemu, |lab| {
        installer(lab, "i386")
    }),
];

const fn case(
    name: &'static str,
    tier: Tier,
    machines: Machines,
    body: fn(&mut Lab) -> Result<()>,
) -> Case {
    Case {
        name,
        tier,
        scope: Scope::Everything,
        machines,
        body,
    }
}

/// For a test of memory to end, or a system to be loaded from a floppy.
const LONG: Duration = Duration::from_secs(300);

/// Somebody before a PC.
struct Seat {
    session: Session,
    subject: Subject,
    directory: PathBuf,
}

impl Seat {
    /// Switches the PC on. Under Monovisor, its prompt is in front, and tells the screen.
    fn take(lab: &Lab, pc: &Pc) -> Result<Self> {
        let mut machine = lab.machine();
        let media: u64 = pc
            .media
            .iter()
            .filter_map(|(_, image)| fs::metadata(image).ok())
            .map(|metadata| metadata.len() >> 20)
            .sum();
        // The bundle, the copies of its media, the guest, and Monovisor with what it tracks.
        let needed = pc.memory_mib + 2 * u32::try_from(media)? + 128;
        machine.memory_mib = machine.memory_mib.max(needed);
        if let Emulator::Qemu(_) = lab.emulator() {
            machine.desk = Desk::Attended;
        }
        let mut session = lab.start_pc_on(&mut machine, pc)?;
        if lab.subject() == Subject::Monovisor {
            session.console.expect("guest starts", BOOT)?;
            session.enter_prompt()?;
        }
        Ok(Self {
            session,
            subject: lab.subject(),
            directory: lab.directory().to_owned(),
        })
    }

    fn screen(&mut self) -> Result<String> {
        match self.subject {
            Subject::Monovisor => self.session.screen(),
            Subject::Guest => self.session.console.desk()?.text(&self.directory),
        }
    }

    /// Waits until the screen shows what `wanted` finds on it, and keeps it; `what` says in words what that is.
    fn until(
        &mut self,
        what: &str,
        limit: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let limit = limit * self.session.console.slowness();
        let start = Instant::now();
        loop {
            let screen = self.screen()?;
            if wanted(&screen) {
                self.keep(&screen)?;
                return Ok(screen);
            }
            if start.elapsed() > limit {
                self.keep(&screen)?;
                bail!(
                    "the screen does not show {what} within {} s, but\n{screen}",
                    limit.as_secs()
                );
            }
            // A picture cannot be waited for, only looked at again.
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn shows(&mut self, text: &str, limit: Duration) -> Result<String> {
        self.until(&format!("{text:?}"), limit, |screen| screen.contains(text))
    }

    /// The screen as text, and as a picture where somebody can take one.
    fn keep(&mut self, screen: &str) -> Result<()> {
        fs::write(self.directory.join("screen.txt"), screen)?;
        match self.session.console.desk() {
            Ok(desk) => desk.save_png(&self.directory.join("screen.png")),
            Err(_) => Ok(()),
        }
    }

    /// Whether there are keys.
    fn has_keyboard(&mut self) -> bool {
        self.session.console.desk().is_ok()
    }

    fn types(&mut self, text: &str) -> Result<()> {
        self.session.console.desk()?.type_text(text)
    }

    fn presses(&mut self, key: &str) -> Result<()> {
        self.session.console.desk()?.press(&[key])
    }
}

/// A file of a package.
fn packaged(package: &str, file: &str) -> Result<PathBuf> {
    let path = package::fetch(package, Architecture::Amd64)?.join(file);
    ensure!(path.is_file(), "the package {package} has no {file}");
    Ok(path)
}

/// GRUB comes to its menu, finds the drive that it came from, and answers to keys.
fn grub(lab: &mut Lab, pc: Pc, drive: &str) -> Result<()> {
    let mut seat = lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("GNU GRUB  version 2", BOOT)?;
        Ok(seat)
    })?;
    if !seat.has_keyboard() {
        return Ok(());
    }
    lab.step("keys", |_| {
        seat.types("c")?;
        seat.shows("grub>", SOON)?;
        seat.types("echo The_answer=$grub_platform\n")?;
        seat.shows("The_answer=pc", SOON)?;
        seat.types("ls\n")?;
        seat.shows(drive, SOON).map(drop)
    })
}

/// The memory tester finishes at least its first test, and finds nothing.
fn memtest(lab: &mut Lab, iso: &str) -> Result<()> {
    let image = packaged("memtest86+", &format!("usr/lib/memtest86+/{iso}"))?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 32;
    lab.step("one test without errors", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("Memtest86+ v6", BOOT)?;
        let screen = seat.until("a second test", LONG, |screen| {
            // Test 0 is the first.
            ["Test #1", "Test #2", "Test #3"]
                .iter()
                .any(|test| screen.contains(test))
        })?;
        ensure!(
            screen.contains("Errors: 0"),
            "no count of no errors on\n{screen}"
        );
        Ok(())
    })
}

fn ipxe(lab: &mut Lab) -> Result<()> {
    let image = packaged("ipxe", "usr/lib/ipxe/ipxe.iso")?;
    lab.step("banner", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("Open Source Network Boot Firmware", BOOT)
            .map(drop)
    })
}

/// ISOLINUX with these files beside it and this configuration.
fn isolinux(directory: &Path, tree: Option<&Path>, config: &str) -> Result<PathBuf> {
    let stage = directory.join("isolinux");
    if stage.exists() {
        fs::remove_dir_all(&stage)?;
    }
    fs::create_dir_all(&stage)?;
    if let Some(tree) = tree {
        let to = stage.join("debian-installer");
        let mut copy = std::process::Command::new("cp");
        crate::command::output(copy.arg("-r").arg(tree).arg(to))?;
    }
    let modules = package::fetch("syslinux-common", Architecture::Amd64)?
        .join("usr/lib/syslinux/modules/bios");
    for entry in fs::read_dir(&modules)
        .with_context(|| format!("cannot list {}", modules.display()))?
        .flatten()
    {
        fs::copy(entry.path(), stage.join(entry.file_name()))?;
    }
    let loader = packaged("isolinux", "usr/lib/ISOLINUX/isolinux.bin")?;
    fs::copy(loader, stage.join("isolinux.bin"))?;
    fs::write(stage.join("isolinux.cfg"), config)?;
    let image = directory.join("boot.iso");
    let mut make = std::process::Command::new("xorriso");
    make.args(["-as", "mkisofs", "-quiet", "-o"]).arg(&image);
    make.args(["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot"]);
    make.args(["-boot-load-size", "4", "-boot-info-table"]);
    crate::command::output(make.arg(&stage))?;
    Ok(image)
}

/// The hardware detection tool looks at the tables and the PCI bus, and lists what it found.
fn hdt(lab: &mut Lab) -> Result<()> {
    let image = isolinux(lab.directory(), None, "default hdt.c32\nprompt 0\n")?;
    lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("Hardware Detection Tool", BOOT)?;
        seat.shows("PCI Devices(", SOON).map(drop)
    })
}

/// The Mach microkernel comes up from GRUB as a multiboot image, finds its disk, and asks for what it should start.
fn gnumach(lab: &mut Lab) -> Result<()> {
    let kernel = packaged("gnumach-image-1.8-486", "boot/gnumach-1.8-486.gz")?;
    let payload = Payload {
        kernel,
        initrd: None,
        append: String::new(),
    };
    let script = "multiboot /boot/kernel\nboot\n";
    let image = loader::grub_iso(&payload, script, lab.directory())?;
    lab.step("banner", |lab| {
        let mut seat = Seat::take(lab, &Pc::with(Place::Cd, image))?;
        seat.shows("GNU Mach 1.8", BOOT)?;
        seat.shows("bootstrap", SOON).map(drop)
    })
}

/// Debian's installer for the network: its boot menu, drawn by VESA, and then its first question.
fn installer(lab: &mut Lab, architecture: &str) -> Result<()> {
    let package = format!("debian-installer-12-netboot-{architecture}");
    let tree = package::fetch(&package, Architecture::Amd64)?
        .join("usr/lib/debian-installer/images/12")
        .join(architecture)
        .join("text/debian-installer");
    let config = tree.join(format!("{architecture}/boot-screens/syslinux.cfg"));
    let config =
        fs::read_to_string(&config).with_context(|| format!("cannot read {}", config.display()))?;
    let image = isolinux(lab.directory(), Some(&tree), &config)?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 512;
    let mut seat = lab.step("menu", |lab| {
        let mut seat = Seat::take(lab, &pc)?;
        seat.shows("graphics, 640x480", BOOT)?;
        Ok(seat)
    })?;
    lab.step("boot prompt", |_| {
        seat.presses("esc")?;
        seat.shows("boot:", SOON).map(drop)
    })?;
    lab.step("first question", |_| {
        seat.types("install vga=normal fb=false\n")?;
        seat.shows("Choose the language", LONG).map(drop)
    })
}
