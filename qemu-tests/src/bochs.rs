//! Bochs' configuration for a machine.
//!
//! Debian's Bochs 2.7 has the debugger built in, so it is given a file of debugger commands that says `continue`; its only
//! screen that needs no terminal is the RFB server. Its clock counts instructions and skips what a halted CPU would
//! wait for, so runs repeat as far as nobody types.

use crate::command;
use crate::engine::Virtualization;
use crate::loader::{self, Loader, Payload};
use crate::machine::{Ending, Launch, Line, Machine, Serial};
use anyhow::{Context, Result, bail};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

/// The emulator's program name.
pub const BOCHS: &str = "bochs";
/// The firmware: file, package.
const BIOS: (&str, &str) = ("/usr/share/bochs/BIOS-bochs-latest", "bochsbios");
const VGA_BIOS: (&str, &str) = ("/usr/share/vgabios/vgabios.bin", "vgabios");

/// Instructions that take a second of the machine's time, so also the TSC's rate. It is near to what Bochs does in a real
/// second: with more, waiting for the serial line (87 µs a byte) and for Linux's calibrations takes longer; with
/// less, Linux's timer interrupts do.
pub const INSTRUCTIONS_PER_SECOND: u32 = 25_000_000;
/// 2026-01-01: runs repeat only if they start at the same time.
const START_TIME: u32 = 1_767_225_600;

/// How often the debugger, which also stops at each triple fault of a guest on AMD-V, is told to go on.
const STOPS: usize = 1000;

/// What Bochs says last when a machine uses its ACPI power button; it ends with code 1 then.
const POWERED_OFF: &str = "soft power off";

/// Lines for a machine with an 82540EM, whose other end is what `network` says (`ethmod=…`).
pub fn card(network: &str) -> Vec<String> {
    [
        "pci: slot1=e1000",
        "plugin_ctrl: e1000=1",
        &format!("e1000: card=0, enabled=1, mac=52:54:00:12:34:56, {network}"),
    ]
    .map(str::to_owned)
    .into()
}

/// A line for a machine whose clock does not run ahead of others', with whom it talks.
pub fn no_faster_than_others() -> String {
    format!("clock: sync=slowdown, time0={START_TIME}")
}

/// One of Bochs' CPU models, by its name (`bochs --help cpu`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuModel(pub &'static str);

/// Whether Bochs is installed with its firmware, and has this model.
pub fn present(model: CpuModel) -> Result<(), String> {
    let missing = "(packages bochs, bochs-term, bochsbios, vgabios)";
    let output = Command::new(BOCHS)
        .args(["--help", "cpu"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot start {BOCHS}: {error} {missing}"))?;
    let text = [output.stdout, output.stderr].concat();
    if !String::from_utf8_lossy(&text)
        .lines()
        .any(|line| line.trim() == model.0)
    {
        return Err(format!("this Bochs has no CPU model {}", model.0));
    }
    for (file, package) in [BIOS, VGA_BIOS] {
        if !Path::new(file).is_file() {
            return Err(format!("{file} is missing (package {package})"));
        }
    }
    Ok(())
}

/// `machine` with this CPU; its medium and its configuration are written to `directory`, which also receives COM2's
/// frames as `defmt.bin`, Bochs' log as `bochs.log` and what it prints as `emulator.log`.
pub fn launch(
    machine: &Machine,
    model: CpuModel,
    payload: &Payload,
    directory: &Path,
) -> Result<Launch> {
    let Loader::Iso(loader::Firmware::Bios) = machine.loader else {
        bail!(
            "Bochs boots from an ISO image through its BIOS, and not by {}",
            machine.loader.name()
        );
    };
    if let Some(argument) = machine.extra.iter().find(|line| line.starts_with('-')) {
        bail!("Bochs takes none of QEMU's arguments: {argument}");
    }
    let (com1, line) = console(&machine.serial)?;
    let image = loader::iso_image(payload, directory)?;
    let write = |name: &str, content: &str| {
        let path = directory.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok::<_, anyhow::Error>(path)
    };
    let configuration = write(
        "bochsrc",
        &bochsrc(machine, model, &com1, &image, directory),
    )?;
    let commands = write("debugger", &"continue\n".repeat(STOPS))?;
    let words = fs::File::create(directory.join("emulator.log"))
        .with_context(|| format!("cannot write to {}", directory.display()))?;
    let mut bochs = command::dependent(BOCHS);
    bochs.arg("-q").arg("-f").arg(configuration);
    bochs.arg("-rc").arg(commands);
    bochs
        .stdin(Stdio::null())
        .stdout(words.try_clone()?)
        .stderr(words);
    Ok(Launch {
        command: bochs,
        line,
        control: None,
        ending: Ending::Log(directory.join("bochs.log"), POWERED_OFF),
        slowness: machine.engine.emulator().slowness(),
    })
}

/// COM1's mode. As a client it needs no free port of its own, so any number of machines run side by side.
fn console(serial: &Serial) -> Result<(String, Line)> {
    Ok(match serial {
        Serial::Stdio => {
            let listener = TcpListener::bind("127.0.0.1:0")
                .context("cannot listen for the machine's console")?;
            let port = listener.local_addr()?.port();
            (
                format!("mode=socket-client, dev=127.0.0.1:{port}"),
                Line::Calls(listener),
            )
        }
        Serial::File(path) => (
            format!("mode=file, dev=\"{}\"", path.display()),
            Line::Elsewhere,
        ),
        Serial::Tcp(port) => (
            format!("mode=socket-server, dev=127.0.0.1:{port}"),
            Line::Elsewhere,
        ),
    })
}

/// The configuration file's text (bochsrc(5)).
fn bochsrc(
    machine: &Machine,
    model: CpuModel,
    com1: &str,
    image: &Path,
    directory: &Path,
) -> String {
    let (bios, vga_bios) = (BIOS.0, VGA_BIOS.0);
    let (image, directory) = (image.display(), directory.display());
    let (memory_mib, cpus, model) = (machine.memory_mib, machine.cpus, model.0);
    // What the CPU reports names the rule that a VM entry broke. On AMD models it also reports each port access that exits,
    // which is most of a boot, and there Monovisor's own check of the control block names the rule.
    // A guest's triple fault is no panic of ours either; Bochs tells it before it looks for the SHUTDOWN intercept.
    let (errors, panics) = match machine.engine.virtualization() {
        Virtualization::VmxEpt | Virtualization::VmxShadow => ("", ""),
        Virtualization::SvmNpt | Virtualization::SvmShadow => (", cpu0=ignore", ", cpu0=report"),
    };
    let extra = machine.extra.join("\n");
    format!(
        "\
config_interface: textconfig
display_library: rfb, options=\"timeout=0\"
romimage: file={bios}, options=fastboot
vgaromimage: file={vga_bios}
cpu: model={model}, count={cpus}, ips={INSTRUCTIONS_PER_SECOND}, reset_on_triple_fault=0
memory: guest={memory_mib}, host={memory_mib}
pci: enabled=1, chipset=i440fx
clock: sync=none, time0={START_TIME}
boot: cdrom
ata0-master: type=cdrom, path=\"{image}\", status=inserted
com1: enabled=1, {com1}
com2: enabled=1, mode=file, dev=\"{directory}/defmt.bin\"
speaker: enabled=0
sound: driver=dummy
log: \"{directory}/bochs.log\"
debugger_log: \"{directory}/debugger.log\"
panic: action=fatal{panics}
error: action=report{errors}
info: action=report
debug: action=ignore
{extra}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Engine, SVM_NPT_BOCHS, VMX_EPT_BOCHS};

    fn text(engine: &'static dyn Engine, serial: Serial) -> String {
        let mut machine = Machine::new(engine, engine.emulator().loader());
        machine.serial = serial;
        machine.cpus = 2;
        let (com1, _) = console(&machine.serial).unwrap();
        bochsrc(
            &machine,
            CpuModel("zambezi"),
            &com1,
            Path::new("/tmp/a b/boot.iso"),
            Path::new("/tmp/a b"),
        )
    }

    #[test]
    fn the_machine_is_told_line_by_line() {
        let text = text(&SVM_NPT_BOCHS, Serial::File("/tmp/console".into()));
        for line in [
            "cpu: model=zambezi, count=2, ips=25000000, reset_on_triple_fault=0",
            "memory: guest=512, host=512",
            "ata0-master: type=cdrom, path=\"/tmp/a b/boot.iso\", status=inserted",
            "com1: enabled=1, mode=file, dev=\"/tmp/console\"",
            "com2: enabled=1, mode=file, dev=\"/tmp/a b/defmt.bin\"",
            "error: action=report, cpu0=ignore",
            "panic: action=fatal, cpu0=report",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }

    #[test]
    fn complaints_about_vm_entries_are_kept_on_intel() {
        let text = text(&VMX_EPT_BOCHS, Serial::Tcp(4555));
        assert!(text.contains("\nerror: action=report\n"));
        assert!(text.contains("\ncom1: enabled=1, mode=socket-server, dev=127.0.0.1:4555\n"));
    }

    #[test]
    fn each_machine_calls_a_port_of_its_own() {
        let (first, Line::Calls(_kept)) = console(&Serial::Stdio).unwrap() else {
            panic!("nobody listens");
        };
        let (second, _) = console(&Serial::Stdio).unwrap();
        assert!(first.starts_with("mode=socket-client, dev=127.0.0.1:"));
        assert_ne!(first, second);
    }

    #[test]
    fn what_bochs_cannot_do_is_refused() {
        let payload = Payload {
            kernel: "kernel".into(),
            initrd: None,
            append: String::new(),
        };
        let directory = std::env::temp_dir();
        let machine = Machine::new(&SVM_NPT_BOCHS, Loader::Pxe);
        let error = machine.launch(&payload, &directory).err().unwrap();
        assert!(error.to_string().contains("pxe"), "{error}");
        let mut machine = Machine::new(&SVM_NPT_BOCHS, Loader::Iso(loader::Firmware::Bios));
        machine.extra = vec!["-cpu".to_owned()];
        let error = machine.launch(&payload, &directory).err().unwrap();
        assert!(error.to_string().contains("-cpu"), "{error}");
    }
}
