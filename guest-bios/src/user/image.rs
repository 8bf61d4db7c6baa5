//! A firmware image: what is code, and what is the flash part with the variables of UEFI.

use crate::platform::ABOVE_4G;
use alloc::format;
use alloc::string::String;
use guest_mem::{Gpa, PAGE_BYTES};

/// Room below 4 GiB: above the local APIC's page and what is reserved there.
pub const SLOT_BYTES: u64 = 16 << 20;
/// The least that shows in the F segment.
const LEAST_BYTES: usize = 0x1_0000;
/// Where a CPU starts, from the image's end.
const RESET_VECTOR_BYTES: usize = 16;

/// UEFI Platform Initialization 1.7, vol. 3, 3.2.1: the header of a firmware volume. Which file system it holds, how long it is, and its
/// signature.
const VOLUME_GUID: usize = 16;
const VOLUME_BYTES: usize = 32;
const VOLUME_SIGNATURE: (usize, &[u8; 4]) = (40, b"_FVH");
/// EFI_SYSTEM_NV_DATA_FV_GUID, FFF12B8D-7696-4C8B-A985-2747075B4F50: the volume holds variables.
const VARIABLES: [u8; 16] = [
    0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50,
];

/// What compressed files and programs start with, which are taken for firmware by mistake.
const STRANGERS: [(&[u8], &str); 5] = [
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"\xfd7zXZ\0", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"\x7fELF", "an ELF program, no ROM image"),
    (b"QFI\xfb", "a qcow2 image: convert it to raw first"),
];

/// Why a file is no firmware image; the text says what was found and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageError(pub String);

/// A flash part: where it is, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flash<'a> {
    /// Its first byte.
    pub base: Gpa,
    /// Whole pages.
    pub contents: &'a [u8],
}

/// An image that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image<'a> {
    code: &'a [u8],
    variables: Option<&'a [u8]>,
}

impl<'a> Image<'a> {
    /// Reads an image, and the variables that belong to it. An image may have them at its start; those given beside take their place.
    pub fn parse(image: &'a [u8], variables: Option<&'a [u8]>) -> Result<Self, ImageError> {
        check_kind(image)?;
        let own = variables_at_start(image);
        let code = image.get(own.map_or(0, <[u8]>::len)..).unwrap_or_default();
        check_code(code)?;
        if let Some(given) = variables {
            check_variables(given)?;
            if let Some(own) = own
                && own.len() != given.len()
            {
                return Err(ImageError(format!(
                    "the image has a variable store of {} KiB at its start, and the one beside it has {} KiB: leave it out, or take that of the same build",
                    own.len() / 1024,
                    given.len() / 1024
                )));
            }
        }
        let variables = variables.or(own);
        let bytes = code.len() as u64 + variables.map_or(0, <[u8]>::len) as u64;
        if bytes > SLOT_BYTES {
            return Err(ImageError(format!(
                "{} KiB; there is room for {} KiB below 4 GiB",
                bytes / 1024,
                SLOT_BYTES / 1024
            )));
        }
        Ok(Self { code, variables })
    }

    /// What ends at 4 GiB.
    pub fn code(&self) -> &'a [u8] {
        self.code
    }

    /// The part below the code.
    pub fn flash(&self) -> Option<Flash<'a>> {
        self.variables.map(|contents| Flash {
            base: Gpa(ABOVE_4G.0 - (self.code.len() + contents.len()) as u64),
            contents,
        })
    }
}

fn check_kind(image: &[u8]) -> Result<(), ImageError> {
    if image.is_empty() {
        return Err(ImageError("the file is empty".into()));
    }
    let stranger = STRANGERS.iter().find(|(start, _)| image.starts_with(start));
    match stranger {
        Some((_, name)) => Err(ImageError((*name).into())),
        None => Ok(()),
    }
}

fn check_code(code: &[u8]) -> Result<(), ImageError> {
    let bytes = code.len();
    if bytes < LEAST_BYTES || !(bytes as u64).is_multiple_of(PAGE_BYTES) {
        return Err(ImageError(format!(
            "{bytes} bytes; a ROM image has at least {LEAST_BYTES}, and a multiple of {PAGE_BYTES}: is the file cut off, or something else?"
        )));
    }
    let vector = code.last_chunk::<RESET_VECTOR_BYTES>();
    if vector.is_none_or(|vector| vector.iter().all(|byte| *byte == vector[0])) {
        return Err(ImageError(
            "its last 16 bytes, where a CPU starts, hold no code: no ROM image for a PC (of a pair of UEFI files the one with the code belongs here)".into(),
        ));
    }
    Ok(())
}

/// A store of variables that the file starts with.
fn variables_at_start(file: &[u8]) -> Option<&[u8]> {
    let (at, signature) = VOLUME_SIGNATURE;
    let is_volume = file.get(at..)?.starts_with(signature);
    let is_store = file.get(VOLUME_GUID..)?.starts_with(&VARIABLES);
    let bytes = u64::from_le_bytes(*file.get(VOLUME_BYTES..)?.first_chunk()?);
    let whole = bytes != 0 && bytes.is_multiple_of(PAGE_BYTES);
    file.get(..usize::try_from(bytes).ok()?)
        .filter(|_| is_volume && is_store && whole)
}

fn check_variables(file: &[u8]) -> Result<(), ImageError> {
    let fits = variables_at_start(file).is_some_and(|store| store.len() == file.len());
    if fits {
        return Ok(());
    }
    Err(ImageError(
        "no store of UEFI variables, or one that is cut off: the file that comes with the code (OVMF_VARS.fd) is wanted".into(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn code(bytes: usize) -> Vec<u8> {
        let mut code = vec![0; bytes];
        code[bytes - 16..][..2].copy_from_slice(&[0xeb, 0xfe]);
        code
    }

    fn store(bytes: usize) -> Vec<u8> {
        let mut store = vec![0xff; bytes];
        store[VOLUME_GUID..][..16].copy_from_slice(&VARIABLES);
        store[VOLUME_BYTES..][..8].copy_from_slice(&(bytes as u64).to_le_bytes());
        store[40..44].copy_from_slice(b"_FVH");
        store
    }

    #[test]
    fn a_plain_rom_ends_at_4_gib() {
        let rom = code(0x4_0000);
        let image = Image::parse(&rom, None).unwrap();
        assert_eq!(image.code().len(), 0x4_0000);
        assert_eq!(image.flash(), None);
    }

    #[test]
    fn variables_lie_below_the_code_from_one_file_or_two() {
        let (rom, variables) = (code(0x3_c000), store(0x4000));
        let split = Image::parse(&rom, Some(&variables)).unwrap();
        let flash = split.flash().unwrap();
        assert_eq!(flash.base, Gpa(0xfffc_0000));
        let whole = [&variables[..], &rom[..]].concat();
        assert_eq!(Image::parse(&whole, None).unwrap(), split);
        let others = store(0x4000);
        assert!(Image::parse(&whole, Some(&others)).is_ok());
        let error = Image::parse(&whole, Some(&store(0x8000))).unwrap_err();
        assert!(error.0.contains("16 KiB"), "{error:?}");
    }

    #[test]
    fn what_is_no_firmware_is_named() {
        let large = code(SLOT_BYTES as usize + 4096);
        for (file, words) in [
            (&[][..], "empty"),
            (&code(0x1000), "at least 65536"),
            (&code(0x1_0800), "multiple of 4096"),
            (&[0xff; 0x1_0000], "hold no code"),
            (&store(0x2_0000), "0 bytes"),
            (b"\x1f\x8b\x08", "gzip"),
            (b"\x7fELF\x02", "ELF"),
            (&large, "room for 16384 KiB"),
        ] {
            let error = Image::parse(file, None).unwrap_err();
            assert!(error.0.contains(words), "{error:?}");
        }
        let rom = code(0x1_0000);
        let mut cut = store(0x4000);
        cut.truncate(0x3000);
        for file in [&rom, &cut] {
            let error = Image::parse(&rom, Some(file)).unwrap_err();
            assert!(error.0.contains("OVMF_VARS"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_is_trusted(start in prop::collection::vec(any::<u8>(), 0..64), length: u64) {
            let mut file = store(0x2_0000);
            file[VOLUME_BYTES..][..8].copy_from_slice(&length.to_le_bytes());
            file[..start.len()].copy_from_slice(&start);
            file[0x1_fff0] = 0;
            if let Ok(image) = Image::parse(&file, Some(&file)) {
                prop_assert!(image.flash().is_some());
            }
            let _ = Image::parse(&file, None);
        }
    }
}
