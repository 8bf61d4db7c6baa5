//! The computer's own CPU.

use super::{Emulator, Engine, Virtualization};
use crate::command;
use crate::qemu::{self, QEMU};
use std::fs;
use std::io::Write;
use std::process::Stdio;

/// The computer's own CPU through KVM, with nested virtualization.
pub struct HostKvm;

/// QEMU's arguments for it.
const ARGUMENTS: &[&str] = &["-accel", "kvm", "-cpu", "host"];

impl Engine for HostKvm {
    fn name(&self) -> &'static str {
        "host@kvm"
    }

    fn availability(&self) -> Result<String, String> {
        qemu::present()?;
        let virtualization = offered(&cpuinfo()).ok_or_else(|| {
            "this computer's CPU shows neither AMD-V nor VT-x (or its firmware or hypervisor hides it)"
                .to_owned()
        })?;
        nested(virtualization)?;
        let [name, _] = virtualization.words();
        starts().map(|()| format!("KVM runs here and offers {name} to its guests"))
    }

    fn emulator(&self) -> Emulator {
        Emulator::Qemu(ARGUMENTS)
    }

    fn virtualization(&self) -> Virtualization {
        // Where the CPU has neither, the engine is not available.
        offered(&cpuinfo()).unwrap_or(Virtualization::SvmNpt)
    }
}

fn cpuinfo() -> String {
    fs::read_to_string("/proc/cpuinfo").unwrap_or_default()
}

/// What the first CPU of `cpuinfo` offers.
fn offered(cpuinfo: &str) -> Option<Virtualization> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    flags.split_whitespace().find_map(|flag| match flag {
        "svm" => Some(Virtualization::SvmNpt),
        "vmx" => Some(Virtualization::VmxEpt),
        _ => None,
    })
}

/// Whether KVM hands the CPU's virtualization on.
fn nested(virtualization: Virtualization) -> Result<(), String> {
    let module = match virtualization {
        Virtualization::SvmNpt | Virtualization::SvmShadow => "kvm_amd",
        Virtualization::VmxEpt | Virtualization::VmxShadow => "kvm_intel",
    };
    let parameter = format!("/sys/module/{module}/parameters/nested");
    match fs::read_to_string(&parameter).unwrap_or_default().trim() {
        "1" | "Y" => Ok(()),
        "" => Err(format!("KVM's module {module} is not loaded")),
        value => Err(format!(
            "KVM does not offer nesting here: {parameter} is {value}; load {module} with nested=1"
        )),
    }
}

/// `/dev/kvm` may exist and still be of no use, so a paused machine is started and told to quit.
fn starts() -> Result<(), String> {
    let mut qemu = command::dependent(QEMU);
    qemu.args(ARGUMENTS)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_vendor_is_recognized() {
        let flags = |flag| format!("processor\t: 0\nvendor_id\t: X\nflags\t\t: fpu {flag} de\n");
        assert_eq!(offered(&flags("svm")), Some(Virtualization::SvmNpt));
        assert_eq!(offered(&flags("vmx")), Some(Virtualization::VmxEpt));
        assert_eq!(offered(&flags("svm_lock")), None);
        assert_eq!(offered(""), None);
    }
}
