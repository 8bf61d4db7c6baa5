//! A bootable image: what lies on it and who starts it.
//!
//! The image is a CD and, byte for byte, a USB stick. A BIOS starts ISOLINUX, by El Torito or by the master boot record; UEFI firmware
//! starts GRUB from the FAT volume in it. Both load the same two files.

use crate::Error;
use crate::tools::{self, run};
use guest_bios::linux::Image;
use indicatif::ProgressBar;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// The files' names in the image's `boot` folder; the loaders' configurations name them too.
const IMAGE_NAME: &str = "monovisor";
pub(crate) const BUNDLE_NAME: &str = "bundle.cpio";

/// What ISOLINUX is told: no prompt unless Shift is held, then `monovisor key=value…` overrides the configuration.
const ISOLINUX_CONFIG: &str = "\
default monovisor
prompt 0
label monovisor
    kernel /boot/monovisor
    initrd /boot/bundle.cpio
";

/// Where GRUB, started from its FAT volume, finds the rest: the CD's file system, which the whole medium holds.
const GRUB_START: &str = "\
search --no-floppy --file --set=root /boot/bundle.cpio
configfile ($root)/boot/grub/grub.cfg
";

/// What GRUB is told: no menu, no waiting; the video drivers find the framebuffer that the hypervisor then uses.
const GRUB_CONFIG: &str = "\
set timeout=0
insmod all_video
menuentry 'Monovisor' {
    linux /boot/monovisor
    initrd /boot/bundle.cpio
}
";

/// All that GRUB's program holds.
const GRUB_MODULES: &[&str] = &[
    "normal",
    "configfile",
    "linux",
    "iso9660",
    "fat",
    "part_gpt",
    "part_msdos",
    "search",
    "search_fs_file",
    "all_video",
    "test",
    "echo",
];

/// ISOLINUX and its one module, as Debian's packages place them.
const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const LDLINUX: &str = "/usr/lib/syslinux/modules/bios/ldlinux.c32";
/// The master boot record that starts ISOLINUX from a disk.
const MASTER_BOOT_RECORD: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";

/// The FAT volume's name on the image.
const EFI_VOLUME: &str = "efi.img";

/// Makes a hybrid image (CD or USB, BIOS or UEFI) that boots the hypervisor `image` with `bundle`.
pub fn make(image: &Path, bundle: &Path, output: &Path) -> Result<(), Error> {
    tools::check()?;
    check_image(image)?;
    let spinner = ProgressBar::new_spinner().with_message("making the ISO image");
    spinner.enable_steady_tick(Duration::from_millis(100));
    let made = stage(image, bundle, output);
    spinner.finish_and_clear();
    made
}

/// The hypervisor is a bzImage as well: a wrong file is better refused here than by a boot loader, far away.
pub fn check_image(image: &Path) -> Result<(), Error> {
    if !image.is_file() {
        return Err(Error::NoImage(image.to_owned()));
    }
    let bytes = fs::read(image).map_err(Error::read(image))?;
    Image::parse(&bytes)
        .map(drop)
        .map_err(|error| Error::Read(image.to_owned(), io::Error::other(error)))
}

/// The folder that a file is, or will be, in.
pub fn folder_of(output: &Path) -> &Path {
    match output.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn stage(image: &Path, bundle: &Path, output: &Path) -> Result<(), Error> {
    let folder = folder_of(output);
    // Beside the output, so that a large bundle can be linked instead of copied.
    let work = tempfile::tempdir_in(folder).map_err(Error::write(folder))?;
    let files = work.path().join("files");
    let boot = files.join("boot");
    make_folder(&boot)?;
    link_or_copy(image, &boot.join(IMAGE_NAME))?;
    link_or_copy(bundle, &boot.join(BUNDLE_NAME))?;
    stage_isolinux(&files)?;
    stage_grub(work.path(), &files)?;
    run(
        "xorriso",
        Command::new("xorriso")
            .args(["-as", "mkisofs", "-quiet", "-r", "-V", "MONOVISOR", "-o"])
            .arg(output)
            // A BIOS asks El Torito's first entry, and a disk's first sector.
            .args(["-isohybrid-mbr", MASTER_BOOT_RECORD])
            .args(["-c", "isolinux/boot.cat", "-b", "isolinux/isolinux.bin"])
            .args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"])
            // UEFI firmware asks the entry of its own platform, and a disk's EFI partition.
            .args(["-eltorito-alt-boot", "-e", EFI_VOLUME, "-no-emul-boot"])
            .arg("-isohybrid-gpt-basdat")
            .arg(&files),
    )
}

fn stage_isolinux(files: &Path) -> Result<(), Error> {
    let folder = files.join("isolinux");
    make_folder(&folder)?;
    copy(Path::new(ISOLINUX), &folder.join("isolinux.bin"))?;
    copy(Path::new(LDLINUX), &folder.join("ldlinux.c32"))?;
    write(&folder.join("isolinux.cfg"), ISOLINUX_CONFIG)
}

/// GRUB for UEFI, in a FAT volume of a 2.88 MB diskette's size.
fn stage_grub(work: &Path, files: &Path) -> Result<(), Error> {
    let folder = files.join("boot/grub");
    make_folder(&folder)?;
    write(&folder.join("grub.cfg"), GRUB_CONFIG)?;
    let start = work.join("start.cfg");
    write(&start, GRUB_START)?;
    let program = work.join("BOOTX64.EFI");
    run(
        "grub-mkimage",
        Command::new("grub-mkimage")
            .args(["-O", "x86_64-efi", "-p", "/boot/grub", "-c"])
            .arg(&start)
            .arg("-o")
            .arg(&program)
            .args(GRUB_MODULES),
    )?;
    let volume = files.join(EFI_VOLUME);
    let on = |name: &'static str, words: &[&str]| {
        let mut command = Command::new(name);
        command.arg("-i").arg(&volume).args(words);
        command
    };
    let diskette = ["-C", "-t", "80", "-h", "2", "-s", "36", "::"];
    run("mformat", &mut on("mformat", &diskette))?;
    run("mmd", &mut on("mmd", &["::/EFI", "::/EFI/BOOT"]))?;
    let mut copy = on("mcopy", &[]);
    run("mcopy", copy.arg(&program).arg("::/EFI/BOOT"))
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(Error::write(folder))
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    fs::write(file, text).map_err(Error::write(file))
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::copy(from, to).map(drop).map_err(Error::read(from))
}

fn link_or_copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::hard_link(from, to).or_else(|_| copy(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_hypervisor_says_how_to_build_it() {
        let error = check_image(Path::new("/nonexistent/monovisor")).unwrap_err();
        assert!(error.to_string().contains("cargo xtask build"));
    }

    #[test]
    fn every_loader_names_the_two_files() {
        for config in [ISOLINUX_CONFIG, GRUB_CONFIG] {
            for name in [IMAGE_NAME, BUNDLE_NAME] {
                assert!(config.contains(&format!(" /boot/{name}\n")), "{config}");
            }
        }
    }
}
