//! `cargo xtask run`: one boot of Monovisor, its console on this terminal.

use crate::directory::Directory;
use crate::{compile, host};
use anyhow::{Context, Result, anyhow, bail};
use monovisor::{build, plan::Plan};
use qemu_tests::bundle::{Boot, Guest};
use qemu_tests::desk::{self, End};
use qemu_tests::engine::{self, Emulator, Engine, Subject};
use qemu_tests::loader::Payload;
use qemu_tests::machine::{self, Desk, Launch, Line, Machine, Serial};
use qemu_tests::{command, tree};
use std::io::{self, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What the machine has beyond the guest's memory.
const HYPERVISOR_MIB: u64 = 64;
/// The guest's memory where its configuration leaves it open.
const DEFAULT_MIB: u64 = 256;

/// The guest, and what it runs on.
#[derive(clap::Args)]
pub struct Options {
    /// The guest's kernel, a bzImage [default: Debian's packaged cloud kernel]
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// The guest's initramfs [default: busybox, unless --kernel is given]
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
    /// The guest's kernel command line [default: console=ttyS0]
    #[arg(long, value_name = "TEXT")]
    append: Option<String>,
    /// A raw disk image, copied into memory at boot; may be repeated
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// Boot through the BIOS, with this CD (hdc)
    #[arg(long, value_name = "FILE")]
    cdrom: Option<PathBuf>,
    /// Boot through the BIOS, with this disk as the first on IDE
    #[arg(long, value_name = "FILE")]
    hda: Option<PathBuf>,
    /// The second disk on IDE
    #[arg(long, value_name = "FILE")]
    hdb: Option<PathBuf>,
    /// Boot through the BIOS, with this diskette
    #[arg(long, value_name = "FILE")]
    fda: Option<PathBuf>,
    /// What the BIOS boots from, in this order: a (diskette), c (disk), d (CD), n (network)
    #[arg(long, value_name = "LETTERS")]
    boot: Option<String>,
    /// Firmware for the guest instead of the built-in BIOS: a file such as OVMF.fd
    #[arg(long, value_name = "FILE")]
    firmware: Option<PathBuf>,
    /// The variable store of that firmware, where it is a file of its own, such as OVMF_VARS.fd
    #[arg(long, value_name = "FILE", requires = "firmware")]
    firmware_vars: Option<PathBuf>,
    /// Where the machine's screen goes: none, png:FILE (a picture at the end), gtk, or vnc:PORT
    #[arg(long, value_name = "WHERE", default_value = "none", value_parser = screen)]
    screen: Screen,
    /// The guest's memory
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,
    /// The guest's CPUs
    #[arg(long, value_name = "N")]
    vcpus: Option<u32>,
    /// A whole guest description instead, as `monovisor build` takes it
    #[arg(long, value_name = "GUEST.TOML", conflicts_with_all = ["kernel", "initrd", "append", "disk", "memory", "vcpus", "cdrom", "hda", "hdb", "fda", "boot", "firmware", "firmware_vars"])]
    config: Option<PathBuf>,
    /// What executes the machine [default: host@kvm where it works, else svm-npt@qemu]
    #[arg(long, value_name = "NAME")]
    engine: Option<String>,
    /// Where the console leads: stdio, file:FILE or tcp:PORT
    #[arg(long, value_name = "WHERE", default_value = "stdio", value_parser = serial)]
    serial: Serial,
    /// Memory of the machine itself [default: enough for the guest]
    #[arg(long, value_name = "MIB")]
    host_memory: Option<u32>,
    /// CPUs of the machine itself [default: the guest's]
    #[arg(long, value_name = "N")]
    host_cpus: Option<u32>,
    /// Stop the machine after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// A further argument for QEMU; may be repeated
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu_arg: Vec<String>,
}

/// Where the machine's screen goes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Screen {
    /// Nowhere.
    None,
    /// Into a file, at the end.
    Png(PathBuf),
    /// Into a window.
    Window,
    /// To VNC viewers, at this TCP port of the loopback interface.
    Vnc(u16),
}

/// The first port that QEMU can serve VNC at: display 0.
const FIRST_VNC_PORT: u16 = 5900;

fn screen(text: &str) -> Result<Screen, String> {
    match text.split_once(':') {
        None if text == "none" => Ok(Screen::None),
        None if text == "gtk" => Ok(Screen::Window),
        Some(("png", path)) if !path.is_empty() => Ok(Screen::Png(path.into())),
        Some(("vnc", port)) => match port.parse() {
            Ok(port @ FIRST_VNC_PORT..) => Ok(Screen::Vnc(port)),
            _ => Err(format!(
                "`{port}` is no port for VNC ({FIRST_VNC_PORT} to 65535)"
            )),
        },
        _ => Err("expected none, png:FILE, gtk or vnc:PORT".to_owned()),
    }
}

impl Screen {
    fn arguments(&self) -> Vec<String> {
        let display = match self {
            Self::None | Self::Png(_) => return Vec::new(),
            Self::Window => "gtk".to_owned(),
            Self::Vnc(port) => format!("vnc=127.0.0.1:{}", port - FIRST_VNC_PORT),
        };
        vec!["-display".to_owned(), display]
    }
}

fn serial(text: &str) -> Result<Serial, String> {
    match text.split_once(':') {
        None if text == "stdio" => Ok(Serial::Stdio),
        Some(("file", path)) if !path.is_empty() => Ok(Serial::File(path.into())),
        Some(("tcp", port)) => port
            .parse::<NonZeroU16>()
            .map(|port| Serial::Tcp(port.get()))
            .map_err(|_| format!("`{port}` is no TCP port (1 to 65535)")),
        _ => Err("expected stdio, file:FILE or tcp:PORT".to_owned()),
    }
}

/// Boots, waits for the end, and fails if the machine did.
pub fn run(options: &Options) -> Result<()> {
    options.check_files()?;
    // A wrong name is said before anything is installed or built.
    let named = options.engine.as_deref().map(engine::by_name).transpose()?;
    host::prepare(host::Need::Emulator)?;
    let (engine, reason) = match named {
        Some(engine) => (engine, works(engine)?),
        None => engine::choose()?,
    };
    let appliance = options.appliance()?;
    let directory = Directory::take(&tree::runs())?;
    let payload = appliance.payload(engine, directory.path())?;
    let mut machine = Machine::new(engine, engine.emulator().loader());
    machine.memory_mib = match options.host_memory {
        Some(memory_mib) => memory_mib,
        None => appliance.host_memory_mib(&payload)?,
    };
    machine.cpus = options.host_cpus.unwrap_or(appliance.vcpus().max(1));
    machine.serial = options.serial.clone();
    machine.extra = options.screen.arguments();
    machine.extra.extend(options.qemu_arg.clone());
    if let Screen::Png(path) = &options.screen {
        if !matches!(engine.emulator(), Emulator::Qemu(_)) {
            bail!(
                "--screen png: the picture is taken by QEMU, and {} is another emulator",
                engine.name()
            );
        }
        // A wrong place is said now, not at the end.
        std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        machine.desk = Desk::Attended;
        // A machine that powers off stays to be looked at.
        machine.extra.splice(0..0, ["-no-shutdown".to_owned()]);
    }
    if let (Subject::Guest, Emulator::Qemu(_), Appliance::Guest(guest)) =
        (engine.subject(), engine.emulator(), &appliance)
    {
        machine.extra.splice(0..0, guest.devices());
    }
    let launch = machine.launch(&payload, directory.path())?;
    eprintln!("engine {}: {reason}", engine.name());
    eprintln!("{}", command::shown(&launch.command));
    if options.serial == Serial::Stdio && engine.subject() == Subject::Monovisor {
        eprintln!(
            "Ctrl-A twice switches between the guest and Monovisor's prompt; `poweroff` there ends the machine."
        );
    }
    supervise(
        launch,
        options.timeout.map(Duration::from_secs),
        &options.screen,
    )
}

/// Why this engine works here, or an error that says why not.
fn works(engine: &dyn Engine) -> Result<String> {
    engine
        .availability()
        .map_err(|reason| anyhow!("{} does not work here: {reason}", engine.name()))
}

impl Options {
    fn check_files(&self) -> Result<()> {
        let media = [&self.cdrom, &self.hda, &self.hdb, &self.fda];
        let images = [&self.firmware, &self.firmware_vars];
        for path in [&self.kernel, &self.initrd, &self.config]
            .into_iter()
            .chain(images)
            .chain(media)
            .flatten()
            .chain(&self.disk)
        {
            if !path.is_file() {
                bail!("{} is missing or is no file", path.display());
            }
        }
        Ok(())
    }

    fn appliance(&self) -> Result<Appliance> {
        match &self.config {
            None => Ok(Appliance::Guest(Box::new(self.guest()?))),
            Some(config) => Plan::read(config)
                .map(|plan| Appliance::Plan(Box::new(plan)))
                .map_err(|error| anyhow!("{error}")),
        }
    }

    fn guest(&self) -> Result<Guest> {
        let drives: Vec<_> = [
            ("fda", &self.fda),
            ("hda", &self.hda),
            ("hdb", &self.hdb),
            ("hdc:cdrom", &self.cdrom),
        ]
        .into_iter()
        .filter_map(|(drive, path)| Some((drive, path.clone()?)))
        .collect();
        let by_itself = self.boot.is_some() || self.firmware.is_some() || !drives.is_empty();
        let mut guest = match &self.kernel {
            None if by_itself => Guest::from_media(Boot {
                drives,
                order: self.boot.clone(),
                firmware: self.firmware.clone(),
                firmware_vars: self.firmware_vars.clone(),
            }),
            Some(_) if by_itself => bail!(
                "--kernel is booted directly, without firmware: leave it out, or --cdrom, --hda, --hdb, --fda, --boot and --firmware"
            ),
            None => Guest::debian()?,
            Some(kernel) => Guest::new(kernel.clone()),
        };
        if let Some(initrd) = &self.initrd {
            guest.ramdisk = Some(initrd.clone());
        }
        if let Some(append) = &self.append {
            guest.cmdline = append.clone();
        }
        if !self.disk.is_empty() {
            guest.disks = self.disk.clone();
        }
        guest.memory_mib = self.memory.unwrap_or(guest.memory_mib);
        guest.vcpus = self.vcpus.unwrap_or(guest.vcpus);
        Ok(guest)
    }
}

/// What is run: a guest put together from options, or an appliance read from a file.
enum Appliance {
    Guest(Box<Guest>),
    Plan(Box<Plan>),
}

impl Appliance {
    fn vcpus(&self) -> u32 {
        match self {
            Self::Guest(guest) => guest.vcpus,
            Self::Plan(plan) => plan.loaded.config.vcpus,
        }
    }

    /// What the loader is to load: Monovisor with the guest as its bundle, or the guest itself.
    fn payload(&self, engine: &dyn Engine, directory: &Path) -> Result<Payload> {
        if engine.subject() == Subject::Guest {
            return match self {
                Self::Guest(guest) if guest.boot.is_some() => bail!(
                    "{} runs a kernel without Monovisor, so --cdrom and its like have no meaning there",
                    engine.name()
                ),
                Self::Guest(guest) => Ok(guest.payload()),
                Self::Plan(_) => bail!(
                    "{} runs a guest without Monovisor, so --config has no meaning there",
                    engine.name()
                ),
            };
        }
        let kernel = compile::image()?;
        let bundle = directory.join("bundle.cpio");
        match self {
            Self::Guest(guest) => guest.pack(&bundle)?,
            Self::Plan(plan) => {
                plan.loaded
                    .notes
                    .iter()
                    .for_each(|note| eprintln!("note: {note}"));
                build::pack_cpio(plan, &bundle, &build::progress(plan))
                    .map_err(|error| anyhow!("{error}"))?;
            }
        }
        Ok(Payload {
            kernel,
            initrd: Some(bundle),
            append: String::new(),
        })
    }

    /// Enough for the guest, for the bundle as loaded, and for Monovisor.
    fn host_memory_mib(&self, payload: &Payload) -> Result<u32> {
        let guest_mib = match self {
            Self::Guest(guest) => u64::from(guest.memory_mib),
            Self::Plan(plan) => plan
                .loaded
                .config
                .memory
                .as_ref()
                .map_or(DEFAULT_MIB, |memory| memory.mib),
        };
        let initrd = payload
            .initrd
            .as_ref()
            .map_or(Ok(0), |path| path.metadata().map(|metadata| metadata.len()))?;
        // Disks are copied out of the bundle.
        let copied = match self {
            Self::Guest(guest) if guest.boot.is_some() => initrd,
            _ => 0,
        };
        let sum_mib = guest_mib
            .saturating_add((initrd + copied) >> 20)
            .saturating_add(HYPERVISOR_MIB);
        u32::try_from(sum_mib).map_err(|_| anyhow!("no emulator has a machine with {sum_mib} MiB"))
    }
}

/// Runs a machine until it ends or its time is over, and leaves the terminal as it was.
fn supervise(launch: Launch, timeout: Option<Duration>, screen: &Screen) -> Result<()> {
    let Launch {
        mut command,
        line,
        control,
        ending,
        ..
    } = launch;
    let terminal = Terminal::remember();
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot start `{}`", command::shown(&command)))?;
    if let Line::Calls(listener) = line {
        terminal.make_raw();
        converse(machine::accept(&listener, &mut child)?)?;
    }
    let photographed = match (control, screen) {
        (Some(control), Screen::Png(path)) => {
            let mut desk = desk::Desk::accept(&control, &mut child)?;
            Some(desk.photograph_end(path, timeout))
        }
        _ => None,
    };
    let status = match timeout {
        _ if photographed.is_some() => child.wait().map_err(Into::into),
        None => child.wait().map_err(Into::into),
        Some(limit) => wait_at_most(&mut child, limit),
    };
    drop(terminal);
    match photographed {
        Some(Ok(End::TimeOver)) => return stopped(timeout.unwrap_or_default()),
        Some(Err(error)) => return Err(error),
        Some(Ok(End::Shutdown)) | None => {}
    }
    ending.judge(status?)
}

/// Joins this process's standard input and output to the machine's console, on threads that end with it.
fn converse(console: TcpStream) -> Result<()> {
    let (mut keys, mut output) = (console.try_clone()?, console);
    // Either direction ends when the machine or the terminal does, and there is nobody left to tell.
    std::thread::spawn(move || io::copy(&mut io::stdin(), &mut keys));
    std::thread::spawn(move || copy_at_once(&mut output, &mut io::stdout()));
    Ok(())
}

/// Standard output is buffered by lines; a prompt has none.
fn copy_at_once(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(&buffer[..length])?,
        }
        to.flush()?;
    }
}

fn wait_at_most(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let start = Instant::now();
    while start.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill()?;
    child.wait()?;
    stopped(limit)
}

fn stopped<T>(limit: Duration) -> Result<T> {
    bail!("stopped after {} s, as --timeout asked", limit.as_secs())
}

/// The terminal's settings, put back when dropped: an emulator that is killed leaves it raw.
struct Terminal(Option<String>);

impl Terminal {
    fn remember() -> Self {
        let settings = std::io::stdin().is_terminal().then(|| {
            let output = Command::new("stty")
                .arg("-g")
                .stdin(Stdio::inherit())
                .output()
                .ok()?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        });
        Self(settings.flatten())
    }

    /// Every key goes to the machine as it is typed, Ctrl-C, too.
    fn make_raw(&self) {
        if self.0.is_some() {
            // Where this fails, keys come line by line.
            let _ = Command::new("stty").args(["raw", "-echo"]).status();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            // Nothing more can be done should even this fail.
            let _ = Command::new("stty").arg(settings).status();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn options(line: &str) -> Result<Options, clap::Error> {
        Line::try_parse_from(["run"].into_iter().chain(line.split(' '))).map(|line| line.options)
    }

    /// The configuration that a command line makes.
    fn config(line: &str) -> String {
        options(line).unwrap().guest().unwrap().config()
    }

    #[test]
    fn media_make_a_guest_that_boots_by_itself() {
        let config = config("--hda a --hdb b --cdrom c --fda d --vcpus 2 --memory 64");
        assert!(
            config.contains("memory = 64\nvcpus = 2\nboot = \"adc\"\n"),
            "{config}"
        );
        let disks =
            "\"file:fda,fda,w\", \"file:hda,hda,w\", \"file:hdb,hdb,w\", \"file:hdc,hdc:cdrom,r\"";
        assert!(config.contains(disks), "{config}");
        assert!(!config.contains("kernel"), "{config}");
    }

    #[test]
    fn order_and_firmware_are_told() {
        let config = config("--boot cn --firmware code.fd --firmware-vars vars.fd");
        for line in [
            "boot = \"cn\"\n",
            "firmware = \"firmware\"\n",
            "firmware_vars = \"firmware_vars\"\n",
        ] {
            assert!(config.contains(line), "{config}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let mixed = options("--kernel k --cdrom c").unwrap();
        assert!(mixed.guest().is_err());
        assert!(options("--config g.toml --cdrom c").is_err());
        assert!(options("--firmware-vars v").is_err());
        assert!(
            options("--cdrom /nowhere/at/all")
                .unwrap()
                .check_files()
                .is_err()
        );
    }

    #[test]
    fn screens_are_chosen_by_name() {
        assert_eq!(screen("png:a.png"), Ok(Screen::Png("a.png".into())));
        assert_eq!(screen("vnc:5901"), Ok(Screen::Vnc(5901)));
        assert_eq!(screen("none"), Ok(Screen::None));
        for wrong in ["png", "png:", "vnc:80", "window"] {
            assert!(screen(wrong).is_err(), "{wrong}");
        }
    }
}
