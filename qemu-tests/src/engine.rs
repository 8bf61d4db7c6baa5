//! Engines: what executes the machine that Monovisor boots on.

use crate::command;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

/// Something that can execute a machine.
pub trait Engine: Sync {
    /// The name that `--engine` takes: virtualization mode at emulator.
    fn name(&self) -> &'static str;

    /// Whether it works on this computer: the reason for it, or against it, in words.
    fn availability(&self) -> Result<String, String>;

    /// QEMU's arguments that choose it.
    fn arguments(&self) -> &'static [&'static str];

    /// What it boots.
    fn subject(&self) -> Subject {
        Subject::Monovisor
    }
}

/// What is booted on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Monovisor with the guest in its bundle.
    Monovisor,
    /// The guest itself: the reference that says whether a test and its guest are right.
    Guest,
}

/// QEMU's own emulation of an AMD CPU with SVM and nested paging.
pub struct SvmNptQemu;

impl Engine for SvmNptQemu {
    fn name(&self) -> &'static str {
        "svm-npt@qemu"
    }

    fn availability(&self) -> Result<String, String> {
        qemu_present().map(|()| "QEMU emulates AMD-V with nested paging".to_owned())
    }

    fn arguments(&self) -> &'static [&'static str] {
        // MONITOR/MWAIT are off because newer QEMUs offer them and then fault on them.
        &["-accel", "tcg", "-cpu", "EPYC,+svm,+npt,-monitor"]
    }
}

/// The computer's own CPU through KVM, with nested virtualization.
pub struct HostKvm;

impl Engine for HostKvm {
    fn name(&self) -> &'static str {
        "host@kvm"
    }

    fn availability(&self) -> Result<String, String> {
        qemu_present()?;
        nesting_offered()?;
        kvm_starts().map(|()| "KVM runs here and offers AMD-V to its guests".to_owned())
    }

    fn arguments(&self) -> &'static [&'static str] {
        &["-accel", "kvm", "-cpu", "host"]
    }
}

/// The guest without a hypervisor, on the same emulated machine.
pub struct BareQemu;

impl Engine for BareQemu {
    fn name(&self) -> &'static str {
        "bare@qemu"
    }

    fn availability(&self) -> Result<String, String> {
        qemu_present().map(|()| "QEMU runs the guest alone".to_owned())
    }

    fn arguments(&self) -> &'static [&'static str] {
        SvmNptQemu.arguments()
    }

    fn subject(&self) -> Subject {
        Subject::Guest
    }
}

/// Every engine; those that need real hardware first.
pub const ENGINES: [&dyn Engine; 3] = [&HostKvm, &SvmNptQemu, &BareQemu];

/// The engine of that name, or an error that lists the names.
pub fn by_name(name: &str) -> anyhow::Result<&'static dyn Engine> {
    let found = ENGINES.into_iter().find(|engine| engine.name() == name);
    let names = || ENGINES.map(|engine| engine.name()).join(", ");
    found.ok_or_else(|| anyhow::anyhow!("there is no engine `{name}`; the engines are {}", names()))
}

/// The best engine of this computer, and why it was chosen.
pub fn choose() -> anyhow::Result<(&'static dyn Engine, String)> {
    let refusal = match HostKvm.availability() {
        Ok(reason) => return Ok((&HostKvm, reason)),
        Err(refusal) => refusal,
    };
    match SvmNptQemu.availability() {
        Ok(reason) => Ok((
            &SvmNptQemu,
            format!("{reason}; not {}: {refusal}", HostKvm.name()),
        )),
        Err(reason) => Err(anyhow::anyhow!(reason)),
    }
}

/// The emulator's program name.
pub const QEMU: &str = "qemu-system-x86_64";

fn qemu_present() -> Result<(), String> {
    let version = command::output(Command::new(QEMU).arg("--version"));
    version
        .map(drop)
        .map_err(|error| format!("{error:#} (package qemu-system-x86)"))
}

/// Monovisor runs on AMD-V so far, so the host's KVM must hand exactly that on.
fn nesting_offered() -> Result<(), String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut flags = cpuinfo
        .lines()
        .find(|line| line.starts_with("flags"))
        .unwrap_or("")
        .split_whitespace();
    if !flags.any(|flag| flag == "svm") {
        return Err("this computer's CPU shows no AMD-V".to_owned());
    }
    let parameter = "/sys/module/kvm_amd/parameters/nested";
    match fs::read_to_string(parameter).unwrap_or_default().trim() {
        "1" | "Y" => Ok(()),
        _ => Err(format!(
            "KVM does not offer nesting here ({parameter} is not 1)"
        )),
    }
}

/// `/dev/kvm` may exist and still be of no use, so a paused machine is started and told to quit.
fn kvm_starts() -> Result<(), String> {
    let mut qemu = Command::new(QEMU);
    qemu.args(HostKvm.arguments())
        .args(["-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]);
    qemu.stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = qemu
        .spawn()
        .map_err(|error| format!("cannot start {QEMU}: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A QEMU that has already given up closes the pipe; its exit code tells the story.
        let _ = input.write_all(b"{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n");
    }
    let output = child
        .wait_with_output()
        .map_err(|error| format!("cannot wait for {QEMU}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "KVM fails here: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
