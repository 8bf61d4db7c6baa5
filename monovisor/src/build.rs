//! Packing: a plan into a bundle, a bundle and the hypervisor into an ISO image.

use crate::plan::{Plan, PlannedFile};
use crate::{Error, iso, tools};
use appliance::CONFIG_NAME;
use appliance::newc;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A bar that counts the bytes of `plan`, for [`pack_cpio`].
pub fn progress(plan: &Plan) -> ProgressBar {
    let total = plan.files.iter().map(|file| file.bytes).sum();
    let style = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style)
}

/// Writes the bundle of `plan` to `output`. Equal input gives equal bytes. Nothing is left behind on failure.
pub fn pack_cpio(plan: &Plan, output: &Path, progress: &ProgressBar) -> Result<(), Error> {
    let packed = write_cpio(plan, output, progress);
    progress.finish_and_clear();
    if packed.is_err() {
        // The error is what matters; there may be no file yet.
        let _ = fs::remove_file(output);
    }
    packed
}

fn write_cpio(plan: &Plan, output: &Path, progress: &ProgressBar) -> Result<(), Error> {
    let file = File::create(output).map_err(Error::write(output))?;
    let mut out = BufWriter::new(file);
    let text = plan.text.as_bytes();
    let bytes = text.len() as u64;
    start_entry(&mut out, 1, CONFIG_NAME, bytes)
        .and_then(|()| out.write_all(text))
        .and_then(|()| out.write_all(newc::padding(bytes)))
        .map_err(Error::write(output))?;
    for (number, file) in (2..).zip(&plan.files) {
        progress.set_message(file.name.clone());
        start_entry(&mut out, number, &file.name, file.bytes).map_err(Error::write(output))?;
        copy(file, &mut out, output, progress)?;
    }
    out.write_all(&newc::trailer())
        .and_then(|()| out.flush())
        .map_err(Error::write(output))
}

fn start_entry(out: &mut impl Write, number: u32, name: &str, bytes: u64) -> io::Result<()> {
    let header = newc::header(number, name, bytes)
        .ok_or_else(|| io::Error::other(format!("`{name}` is no name for a file in a bundle")))?;
    out.write_all(&header)
}

/// Copies a file's bytes, of which there must be as many as its header promised.
fn copy(
    file: &PlannedFile,
    out: &mut impl Write,
    output: &Path,
    progress: &ProgressBar,
) -> Result<(), Error> {
    let from = File::open(&file.path).map_err(Error::read(&file.path))?;
    let copied = io::copy(&mut progress.wrap_read(from), out).map_err(Error::write(output))?;
    if copied != file.bytes {
        let changed = io::Error::other("it changed while it was read");
        return Err(Error::Read(file.path.clone(), changed));
    }
    out.write_all(newc::padding(copied))
        .map_err(Error::write(output))
}

/// Packs `plan` and makes a bootable image of it: see [`iso::make`].
pub fn pack_iso(
    plan: &Plan,
    image: &Path,
    output: &Path,
    progress: &ProgressBar,
) -> Result<(), Error> {
    // What may fail at once goes before what takes long.
    tools::check()?;
    iso::check_image(image)?;
    let folder = iso::folder_of(output);
    let stage = tempfile::tempdir_in(folder).map_err(Error::write(folder))?;
    let bundle = stage.path().join(iso::BUNDLE_NAME);
    pack_cpio(plan, &bundle, progress)?;
    iso::make(image, &bundle, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use appliance::Bundle;
    use appliance::config::Boot;

    /// A folder with a configuration and the files beside it.
    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    /// The least that passes for a kernel: its header, and one sector more than the 64-bit entry.
    fn kernel() -> Vec<u8> {
        let mut file = vec![0; 2048];
        for (offset, bytes) in [
            (0x1f1, &[1_u8][..]),
            (0x1f4, &64_u32.to_le_bytes()),
            (0x1fe, &[0x55, 0xaa, 0xeb, 0x6a]),
            (0x202, b"HdrS\x0f\x02"),
            (0x211, &[1]),
            (0x236, &[1, 0]),
        ] {
            file[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
        file
    }

    fn problem(config: &str, files: &[(&str, &[u8])]) -> String {
        let folder = folder(files);
        let path = folder.path().join("guest.toml");
        fs::write(&path, config).unwrap();
        let text = Plan::read(&path).unwrap_err().to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    }

    #[test]
    fn what_is_packed_opens() {
        let config =
            "# kept\nkernel = './vmlinuz'\nramdisk = 'initrd'\ndisk = [ 'file:initrd,vda,r' ]\n";
        let folder = folder(&[
            ("guest.toml", config.as_bytes()),
            ("vmlinuz", &kernel()),
            ("initrd", b"odd"),
        ]);
        let output = folder.path().join("bundle.cpio");
        let plan = Plan::read(&folder.path().join("guest.toml")).unwrap();
        assert_eq!(plan.files.len(), 2, "the initrd is packed once");
        pack_cpio(&plan, &output, &ProgressBar::hidden()).unwrap();

        let archive = fs::read(output).unwrap();
        let bundle = Bundle::open(&archive).unwrap();
        assert_eq!(bundle.file(CONFIG_NAME), Some(config.as_bytes()));
        let loaded = bundle.load("").unwrap();
        let Boot::Linux { kernel, initrd, .. } = loaded.config.boot else {
            panic!("a kernel is named");
        };
        assert_eq!(bundle.blob(&kernel).unwrap().len(), 2048);
        assert_eq!(bundle.blob(&initrd.unwrap()), Ok(&b"odd"[..]));
    }

    #[test]
    fn problems_name_file_line_and_value() {
        assert_eq!(
            problem("\nvcpus = 0", &[]),
            "guest.toml, line 2: `vcpus = 0`: expected a whole number from 1 to 64"
        );
        assert_eq!(
            problem("kernel = 'vmlinuz'", &[]),
            "guest.toml, line 1: `kernel = vmlinuz`: cannot read vmlinuz: No such file or directory (os error 2)"
        );
        let text = problem("\n\nkernel = 'k'", &[("k", b"\x7fELF...")]);
        assert!(
            text.starts_with("guest.toml, line 3: `kernel = k`: not a Linux bzImage")
                && text.contains("ELF"),
            "{text}"
        );
        let text = problem("disk = [ 'raw:/dev/null,vda,w' ]", &[]);
        assert!(text.contains("no regular file"), "{text}");
    }
}
