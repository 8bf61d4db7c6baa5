//! iPXE with drivers of its own for the guest's cards, from a CD: a lease, files by TFTP and HTTP, and a Linux that has them whole.

use super::outside::{hash, noise};
use super::seat::Seat;
use super::session::{BOOT, Lab, SOON};
use super::{Case, Tier};
use crate::lan::{self, Lan, Weather};
use crate::medium::{cd, packaged};
use crate::pc::{Pc, Place};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    Case::in_qemu("ipxe-rtl8139", Tier::Full, |lab| {
        native(lab, "rtl8139", "rtl8139")
    }),
    Case::in_qemu("ipxe-rtl8139-c", Tier::Full, |lab| {
        native(lab, "rtl8139-c", "rtl8139")
    }),
    Case::in_qemu("ipxe-virtio", Tier::Full, |lab| {
        native(lab, "virtio", "virtio-net")
    }),
];

const MIB: usize = 4;
/// For a kernel, a small system and twice the data.
const LONG: Duration = Duration::from_secs(200);

/// What iPXE fetches comes to the guest as files of its first file system, where it is compared with what was sent.
fn native(lab: &mut Lab, model: &str, driver: &str) -> Result<()> {
    let options = format!(
        "--enable-tftp --tftp-root={}",
        lab.directory().join("www").display()
    );
    let lan = Lan::start_with(lab.directory(), Weather::default(), &options)?;
    let guest = lab.guest().payload();
    let initrd = guest.initrd.context("the guest has no initrd")?;
    fs::copy(&guest.kernel, lan.file("linux"))?;
    fs::copy(initrd, lan.file("initrd"))?;
    fs::write(lan.file("data"), noise(MIB))?;
    let sent = hash(&lan.file("data"))?;
    let image = image(lab, &guest.append)?;
    let mut pc = Pc::with(Place::Cd, image);
    pc.memory_mib = 512;
    pc.settings = format!("vif = [\"model={model},mac=00:16:3e:00:00:11\"]\n");
    let mut machine = lab.machine();
    machine.memory_mib = 1024;
    machine.extra = lan.arguments("e1000");
    let mut seat = lab.step("its driver finds the card", |lab| {
        let mut seat = Seat::take_on(lab, &mut machine, &pc)?;
        seat.shows(&format!("using {driver} on 0000:00:"), BOOT)?;
        Ok(seat)
    })?;
    lab.step("a lease, and all that Linux wants", |_| {
        seat.shows("linux... ok", LONG)?;
        let screen = seat.until("the last file, or a prompt", LONG, |screen| {
            screen.contains("all is there") || screen.contains("iPXE>")
        })?;
        ensure!(screen.contains("TXE:0"), "the screen shows\n{screen}");
        Ok(())
    })?;
    lab.step("data by TFTP and HTTP is whole", |_| {
        let session = &mut seat.session;
        session.leave_prompt()?;
        session.shell()?;
        for file in ["/tftp", "/http"] {
            let came = session.run_within(&format!("sha256sum <{file} | cut -d' ' -f1"), SOON)?;
            ensure!(came == sent, "{file} has {came:?} of {sent:?}");
        }
        Ok(())
    })
}

/// A CD with iPXE and what it is to do.
fn image(lab: &Lab, append: &str) -> Result<PathBuf> {
    let stage = cd::stage(lab.directory())?;
    fs::copy(packaged("ipxe", "boot/ipxe.lkrn")?, stage.join("ipxe.krn"))?;
    let at = lan::ADDRESS;
    let script = format!(
        "#!ipxe\n\
         ifstat\n\
         dhcp net0 || goto failed\n\
         kernel http://{at}/linux {append} || goto failed\n\
         initrd tftp://{at}/initrd || goto failed\n\
         initrd --name tftp tftp://{at}/data /tftp mode=644 || goto failed\n\
         initrd --name http http://{at}/data /http mode=644 || goto failed\n\
         ifstat\n\
         echo So all is there\n\
         boot\n\
         :failed\n\
         shell\n"
    );
    fs::write(stage.join("script"), script)?;
    let config = "default ipxe\nlabel ipxe\nkernel ipxe.krn\nappend initrd=script\n";
    cd::isolinux(lab.directory(), &stage, config)
}
