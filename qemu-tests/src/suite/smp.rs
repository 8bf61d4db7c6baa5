//! Several vCPUs: as many as the host has CPUs, fewer, and more. The guest's program `smp` does the counting.

use super::session::{BOOT, Lab, SOON, SWITCH, Session};
use super::{Case, Machines, Scope, Tier, linux};
use crate::engine::{Emulator, Subject};
use anyhow::{Context, Result, ensure};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case {
        name: "smp-2-on-2",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::Any,
        body: |lab| together(lab, Size { vcpus: 2, cpus: 2 }, SHORT),
    },
    Case {
        name: "smp-4-on-2",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 4, cpus: 2 }, SHORT),
    },
    Case {
        name: "smp-1-on-2-long",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 1, cpus: 2 }, LONG),
    },
    Case {
        name: "smp-2-on-2-long",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 2, cpus: 2 }, LONG),
    },
    Case {
        name: "smp-4-on-2-long",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 4, cpus: 2 }, LONG),
    },
    Case {
        name: "smp-8-on-2-long",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 8, cpus: 2 }, LONG),
    },
    Case {
        name: "smp-2-on-4-long",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 2, cpus: 4 }, LONG),
    },
    // As many as there may be.
    Case {
        name: "smp-64-on-2",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: |lab| together(lab, Size { vcpus: 64, cpus: 2 }, CROWD),
    },
    Case {
        name: "smp-mp-table",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: mp_table,
    },
    Case {
        name: "smp-hotplug",
        tier: Tier::Full,
        scope: Scope::Everything,
        machines: Machines::Qemu,
        body: hotplug,
    },
    Case {
        name: "smp-reset",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: reset,
    },
    Case {
        name: "smp-echo",
        tier: Tier::Full,
        scope: Scope::Hypervisor,
        machines: Machines::Qemu,
        body: echo,
    },
];

/// The guest's CPUs and the host's.
#[derive(Clone, Copy)]
struct Size {
    vcpus: u32,
    cpus: u32,
}

/// How much of each test.
#[derive(Clone, Copy)]
struct Effort {
    load: u32,
    warp: u32,
    wakes: u32,
    timers: u32,
    limit: Duration,
}

const SHORT: Effort = Effort {
    load: 500,
    warp: 100_000,
    wakes: 1000,
    timers: 100,
    limit: Duration::from_secs(90),
};
const LONG: Effort = Effort {
    load: 10_000,
    warp: 10_000_000,
    wakes: 20_000,
    timers: 1000,
    limit: Duration::from_secs(900),
};
/// Each vCPU gets a thirty-second part of a CPU.
const CROWD: Effort = Effort {
    load: 20,
    warp: 10_000,
    wakes: 50,
    timers: 10,
    limit: Duration::from_secs(900),
};
/// Bochs takes a minute for what QEMU does in a second.
const TINY: Effort = Effort {
    load: 20,
    warp: 10_000,
    wakes: 50,
    timers: 10,
    limit: Duration::from_secs(90),
};

/// Boots; a guest alone gets its CPUs from the emulator.
fn boot(lab: &Lab, size: Size) -> Result<(Session, String)> {
    let mut machine = lab.machine();
    machine.cpus = match lab.subject() {
        Subject::Monovisor => size.cpus,
        Subject::Guest => size.vcpus,
    };
    let mut guest = lab.guest();
    guest.vcpus = size.vcpus;
    let mut session = lab.start(&machine, &guest)?;
    let said = session.shell()?;
    Ok((session, said))
}

fn together(lab: &mut Lab, size: Size, effort: Effort) -> Result<()> {
    let effort = match lab.emulator() {
        Emulator::Qemu(_) => effort,
        Emulator::Bochs(_) => TINY,
    };
    let (mut session, _) = lab.step("shell", |lab| boot(lab, size))?;
    lab.step("every CPU is there", |lab| {
        let count = session.run("nproc")?;
        ensure!(count == size.vcpus.to_string(), "nproc says {count}");
        match (lab.subject(), lab.emulator()) {
            // As many packages as its machine has CPUs.
            (Subject::Guest, Emulator::Bochs(_)) => Ok(()),
            _ => topology(&mut session, size.vcpus),
        }
    })?;
    // A guest alone measures its CPUs by the emulator's clock, one after the other; Monovisor tells the rate.
    if lab.subject() == Subject::Monovisor {
        lab.step("bogomips within 1 %", |_| {
            bogomips(&mut session, size.vcpus)
        })?;
    }
    for (test, rounds) in [
        ("load", effort.load),
        ("warp", effort.warp),
        ("wakes", effort.wakes),
        ("timers", effort.timers),
    ] {
        // One CPU has nobody to hand over to.
        if test == "warp" && size.vcpus == 1 {
            continue;
        }
        lab.step(test, |_| prove(&mut session, test, rounds, effort.limit))?;
    }
    lab.step("nothing to complain of", |_| complaints(&mut session))?;
    lab.step("poweroff", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

/// Runs one of the guest program's tests.
pub(super) fn prove(session: &mut Session, test: &str, rounds: u32, limit: Duration) -> Result<()> {
    session.leave(&format!("smp {test} {rounds}"))?;
    let found = session.console.line_after(&format!("SMP {test} "), limit)?;
    session.console.expect("/root # ", SOON)?;
    ensure!(found.starts_with("ok "), "{found}");
    Ok(())
}

/// One package of single-threaded cores.
fn topology(session: &mut Session, vcpus: u32) -> Result<()> {
    let path = "/sys/devices/system/cpu/cpu*/topology";
    let cores = session.run(&format!("cat {path}/core_id | sort -un | wc -l"))?;
    let packages = session.run(&format!(
        "cat {path}/physical_package_id | sort -un | wc -l"
    ))?;
    let threads = session.run(&format!(
        "cat {path}/thread_siblings_list | sort -u | wc -l"
    ))?;
    let vcpus = vcpus.to_string();
    ensure!(
        cores == vcpus && threads == vcpus && packages == "1",
        "Linux sees {cores} cores in {packages} packages, and {threads} sets of threads"
    );
    Ok(())
}

/// All CPUs say that they are equally fast.
pub(super) fn bogomips(session: &mut Session, vcpus: u32) -> Result<()> {
    let said = session.run("grep bogomips /proc/cpuinfo")?;
    let rates = said
        .lines()
        .filter_map(|line| line.rsplit(' ').next())
        .map(|word| word.trim().parse::<f64>().context(word.to_owned()))
        .collect::<Result<Vec<_>>>()?;
    ensure!(rates.len() == vcpus as usize, "{said}");
    let (least, most) = rates
        .iter()
        .fold((f64::MAX, 0.0_f64), |(least, most), &rate| {
            (least.min(rate), most.max(rate))
        });
    ensure!(most <= least * 1.01, "from {least} to {most}");
    Ok(())
}

fn complaints(session: &mut Session) -> Result<()> {
    // Bochs 2.7 tells XSAVEC's size for an area that is not compacted (CPUID leaf Dh), which the kernel notices in `xstate.c`.
    let said = session.run(
        "dmesg | grep -E 'went backwards|unstable|lost ticks|lockup|stall|BUG:|Oops|WARNING: CPU|time warp' | grep -v xstate.c || true",
    )?;
    ensure!(said.is_empty(), "the guest's kernel says: {said}");
    Ok(())
}

/// Without ACPI the kernel finds its CPUs in the MP table; the one that other tests boot cannot read it.
fn mp_table(lab: &mut Lab) -> Result<()> {
    let payload = linux::AMD64.payload(lab)?;
    let mut session = lab.step("shell", |lab| {
        let mut machine = lab.machine();
        machine.cpus = 2;
        let mut guest = lab.guest();
        guest.vcpus = 2;
        guest.kernel = payload.kernel;
        guest.ramdisk = payload.initrd;
        guest.cmdline.push_str(" acpi=off");
        let mut session = lab.start(&machine, &guest)?;
        session.shell()?;
        Ok(session)
    })?;
    lab.step("every CPU is there", |_| {
        let count = session.run("nproc")?;
        ensure!(count == "2", "nproc says {count}");
        let unwanted = session.run("ls /sys/firmware/acpi 2>/dev/null || true")?;
        ensure!(unwanted.is_empty(), "there is ACPI: {unwanted}");
        Ok(())
    })
}

/// Takes the second CPU away and gives it back 200 times.
fn hotplug(lab: &mut Lab) -> Result<()> {
    let size = Size { vcpus: 2, cpus: 2 };
    let (mut session, _) = lab.step("shell", |lab| boot(lab, size))?;
    lab.step("200 times offline and online", |_| {
        session.leave(
            "i=0; while [ $i -lt 200 ] && echo 0 >/sys/devices/system/cpu/cpu1/online && \
             echo 1 >/sys/devices/system/cpu/cpu1/online; do i=$((i + 1)); done; echo TIMES\"=\"$i",
        )?;
        let times = session
            .console
            .line_after("TIMES=", Duration::from_secs(300))?;
        session.console.expect("/root # ", SOON)?;
        ensure!(times.trim() == "200", "it worked {times} times");
        Ok(())
    })?;
    lab.step("and it still counts", |_| {
        prove(&mut session, "wakes", SHORT.wakes, SHORT.limit)
    })
}

/// Keeps every vCPU busy, in the background.
const SPIN: &str = "for cpu in $(seq $(nproc)); do (while :; do :; done) & done";

/// Starts anew while every vCPU runs, at the prompt and from within.
fn reset(lab: &mut Lab) -> Result<()> {
    let size = Size { vcpus: 4, cpus: 2 };
    let (mut session, _) = lab.step("shell", |lab| boot(lab, size))?;
    lab.step("reset at the prompt", |_| {
        session.run(SPIN)?;
        session.enter_prompt()?;
        session.console.send("reset\r")?;
        session.console.send(SWITCH)?;
        session.shell().map(drop)
    })?;
    lab.step("reboot -f from within", |_| {
        session.run(SPIN)?;
        session.leave("reboot -f")?;
        session.console.expect("this is a shell", BOOT * 2)?;
        session.console.expect("/root # ", SOON).map(drop)
    })?;
    lab.step("every CPU is back", |_| {
        let count = session.run("nproc")?;
        ensure!(count == "4", "nproc says {count}");
        prove(&mut session, "load", SHORT.load, SHORT.limit)
    })
}

/// The console and the prompt answer while every vCPU spins.
fn echo(lab: &mut Lab) -> Result<()> {
    let size = Size { vcpus: 4, cpus: 2 };
    let (mut session, _) = lab.step("shell", |lab| boot(lab, size))?;
    lab.step("the prompt answers while every vCPU spins", |_| {
        session.run(SPIN)?;
        session.enter_prompt()?;
        session.prompt_is_alive()
    })?;
    lab.step("and the guest's console, in 50 ms of its time", |_| {
        const ROUNDS: u32 = 40;
        session.leave_prompt()?;
        session.leave(&format!("smp echo {ROUNDS}"))?;
        for _ in 0..ROUNDS {
            session.console.expect("ECHO?", SOON)?;
            session.console.send("\n")?;
        }
        let found = session.console.line_after("SMP echo ", SOON)?;
        ensure!(found.starts_with("ok "), "{found}");
        Ok(())
    })
}
