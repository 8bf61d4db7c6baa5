//! What the guest finds and does: its devices, its clock, its ways to end.

use super::session::{BOOT, Lab, SOON, SWITCH, Session};
use super::{Case, Machines, Scope, Tier};
use crate::bundle::Guest;
use crate::engine::Subject;
use crate::program::{Form, build};
use anyhow::{Context, Result, bail, ensure};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "guest-devices",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::WithVirtio,
        body: devices,
    },
    Case {
        name: "guest-forms",
        tier: Tier::Always,
        scope: Scope::Everything,
        machines: Machines::Any,
        body: forms,
    },
    Case {
        name: "guest-reboot",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: reboot,
    },
    Case {
        name: "guest-poweroff-preserve",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: preserve,
    },
    Case {
        name: "guest-reboot-destroy",
        tier: Tier::Always,
        scope: Scope::Hypervisor,
        machines: Machines::Any,
        body: reboot_destroys,
    },
];

fn devices(lab: &mut Lab) -> Result<()> {
    let mut session = lab.start(&lab.machine(), &lab.guest())?;
    let said = lab.step("shell", |_| session.shell())?;
    lab.step("serial output", |_| {
        ensure!(
            said.contains("Linux version 6."),
            "no banner of the guest's kernel"
        );
        ensure!(
            said.contains("disk: 4 MiB, wrote 1 MiB and read it back"),
            "the guest's disk check did not pass"
        );
        Ok(())
    })?;
    lab.step("uname", |_| {
        let uname = session.run("uname -srm")?;
        ensure!(
            uname.starts_with("Linux ") && uname.ends_with("x86_64"),
            "uname says {uname:?}"
        );
        Ok(())
    })?;
    lab.step("memory", |lab| memory(lab, &mut session))?;
    lab.step("disk", |_| disk(&mut session))?;
    // Without RDRAND there is nothing that an entropy device could hand out, and Monovisor says so.
    if !said.contains("the guest gets no virtio entropy device") {
        lab.step("entropy", |_| entropy(&mut session))?;
    }
    lab.step("virtio console", |_| {
        session.run("test -c /dev/hvc0")?;
        session.run("echo hello hvc0 >/dev/hvc0").map(drop)
    })?;
    lab.step("clock", |_| clock(&mut session))?;
    lab.step("interrupts", |_| {
        let counts = session.run("grep -E 'virtio|ttyS0' /proc/interrupts")?;
        ensure!(
            counts.contains("virtio"),
            "no virtio interrupt is in use: {counts:?}"
        );
        Ok(())
    })
}

/// What Linux counts as its own is less than what it was given, but not by much.
fn memory(lab: &Lab, session: &mut Session) -> Result<()> {
    let line = session.run("grep MemTotal /proc/meminfo")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok())
        .context(line)?;
    let given = match lab.subject() {
        Subject::Monovisor => u64::from(lab.guest().memory_mib),
        Subject::Guest => u64::from(lab.machine().memory_mib),
    };
    ensure!(
        (given - 64..=given).contains(&(kib / 1024)),
        "Linux counts {kib} KiB of {given} MiB"
    );
    Ok(())
}

fn disk(session: &mut Session) -> Result<()> {
    session.run("mount -t ext2 /dev/vda /mnt")?;
    session.run("dd if=/dev/urandom of=/mnt/a bs=64k count=32 2>/dev/null")?;
    let written = session.run("sha256sum </mnt/a")?;
    session.run("umount /mnt && echo 3 >/proc/sys/vm/drop_caches")?;
    session.run("mount -t ext2 -o ro /dev/vda /mnt")?;
    let read = session.run("sha256sum </mnt/a; umount /mnt")?;
    ensure!(written == read, "wrote {written:?}, read {read:?}");
    Ok(())
}

fn entropy(session: &mut Session) -> Result<()> {
    let source = session.run("cat /sys/class/misc/hw_random/rng_current")?;
    ensure!(
        source.starts_with("virtio_rng"),
        "the random source is {source:?}"
    );
    let mut sample = || session.run("head -c 16 /dev/hwrng | hexdump -v -e '/1 \"%02x\"'; echo");
    let (first, second) = (sample()?, sample()?);
    ensure!(
        first.len() == 32 && first != second,
        "two samples are {first:?} and {second:?}"
    );
    Ok(())
}

/// The interrupt-driven clock and the CPU's counter agree roughly, and neither goes back.
fn clock(session: &mut Session) -> Result<()> {
    let seconds = session.run("a=$(date +%s); sleep 2; echo $(($(date +%s) - a))")?;
    ensure!(
        ["2", "3"].contains(&seconds.as_str()),
        "`sleep 2` took {seconds} s by the guest's clock"
    );
    let complaints = session
        .run("dmesg | grep -cE 'went backwards|lost ticks|lockup|stall|BUG:|Oops' || true")?;
    ensure!(
        complaints == "0",
        "{complaints} complaints in the guest's kernel log"
    );
    Ok(())
}

/// Where the CPU does not tell the next instruction's place, it is found from the bytes; any form must be understood.
fn forms(lab: &mut Lab) -> Result<()> {
    lab.step("prefixed and page-crossing instructions", |lab| {
        let guest = Guest::new(build("forms", Form::Kernel)?);
        let mut session = lab.start(&lab.machine(), &guest)?;
        let verdict = session.console.line_after("FORMS ", BOOT)?;
        ensure!(verdict == "right", "the guest says: {verdict}");
        Ok(())
    })
}

fn reboot(lab: &mut Lab) -> Result<()> {
    let mut session = lab.start(&lab.machine(), &lab.guest())?;
    session.shell()?;
    session.run("touch /tmp/first-life")?;
    lab.step("guest restarts in place", |_| {
        session.leave("reboot")?;
        session.shell()?;
        session.run("test ! -e /tmp/first-life").map(drop)
    })?;
    lab.step("disk works in the second life", |_| disk(&mut session))?;
    lab.step("poweroff ends the host", |_| {
        session.leave("poweroff")?;
        session.console.ended(SOON).map(drop)
    })
}

fn preserve(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.push_str("on_poweroff = \"preserve\"\n");
    let mut session = lab.start(&lab.machine(), &guest)?;
    session.shell()?;
    lab.step("poweroff returns to the prompt", |_| {
        session.leave("poweroff")?;
        session.offered_prompt()?;
        session.prompt_is_alive()
    })?;
    lab.step("start starts it again", |_| {
        session.console.send("start\r")?;
        session.console.send(SWITCH)?;
        session.shell().map(drop)
    })
}

fn reboot_destroys(lab: &mut Lab) -> Result<()> {
    let mut guest = lab.guest();
    guest.settings.push_str("on_reboot = \"destroy\"\n");
    let mut session = lab.start(&lab.machine(), &guest)?;
    session.shell()?;
    lab.step("reboot ends the host", |_| {
        session.leave("reboot")?;
        let said = session.console.ended(SOON)?;
        if said.contains("this is a shell") {
            bail!("the guest came back");
        }
        Ok(())
    })
}
