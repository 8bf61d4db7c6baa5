//! The kernel's ELF file, as far as a loader reads it: the header and the program headers (System V ABI, chapters 4, 5).
//!
//! In the file that we embed, each segment is an LZ4 block, whose length stands where a program header has the physical address, which
//! means nothing here (`p_paddr`).

use crate::BootInfo;
use crate::bytes::{u16_at, u32_at, u64_at};

/// Why a file is no kernel that we can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfError {
    /// No complete ELF header, or not ELF.
    NotElf,
    /// Not a 64-bit little-endian executable for x86-64 at fixed addresses.
    WrongTarget,
    /// The program headers are not inside the file.
    HeadersCut,
    /// A segment's bytes are not inside the file, or it has more bytes in the file than in memory.
    SegmentCut,
    /// A segment or the entry point lies outside the GiB that starts at the kernel's linked address.
    OutsideKernel,
}

impl core::fmt::Display for ElfError {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::NotElf => "it is not an ELF file",
            Self::WrongTarget => "it is not a statically linked x86-64 executable",
            Self::HeadersCut => "its program headers are cut off",
            Self::SegmentCut => "a segment is cut off",
            Self::OutsideKernel => "a segment or the entry lies outside FFFFFFFF80000000h + 1 GiB",
        })
    }
}

/// A segment to load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Where it goes, in bytes from the kernel's linked base.
    pub offset: u64,
    /// Its bytes, packed ([`crate::lz4`]).
    pub packed: &'a [u8],
    /// How many they are.
    pub bytes: u64,
    /// How many zero bytes follow.
    pub zeros: u64,
}

/// A kernel file that was checked.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    file: &'a [u8],
    headers: &'a [u8],
    entry: u64,
    bytes: u64,
}

/// The page directory that maps the kernel covers a GiB.
const MAX_BYTES: u64 = 1 << 30;
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PT_LOAD: u32 = 1;
/// ELFCLASS64, ELFDATA2LSB, EV_CURRENT.
const IDENT: [u8; 7] = [0x7f, b'E', b'L', b'F', 2, 1, 1];
/// ET_EXEC, EM_X86_64.
const TYPE_AND_MACHINE: u32 = 62 << 16 | 2;

impl<'a> Kernel<'a> {
    /// Checks the whole file's structure, so that [`Kernel::segments`] cannot fail.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let header = file.get(..HEADER_BYTES).ok_or(ElfError::NotElf)?;
        if !header.starts_with(&IDENT[..4]) {
            return Err(ElfError::NotElf);
        }
        let entry_bytes = usize::from(u16_at(header, 54));
        if !header.starts_with(&IDENT)
            || u32_at(header, 16) != TYPE_AND_MACHINE
            || entry_bytes != PROGRAM_HEADER_BYTES
        {
            return Err(ElfError::WrongTarget);
        }
        let count = usize::from(u16_at(header, 56));
        let headers = range(
            file,
            u64_at(header, 32),
            (count * PROGRAM_HEADER_BYTES) as u64,
        )
        .ok_or(ElfError::HeadersCut)?;
        let mut kernel = Self {
            file,
            headers,
            entry: u64_at(header, 24),
            bytes: 0,
        };
        for program_header in kernel.program_headers() {
            let segment = kernel.segment(program_header)?;
            let end = segment
                .offset
                .checked_add(segment.bytes)
                .and_then(|end| end.checked_add(segment.zeros));
            match end {
                Some(end) if end <= MAX_BYTES => kernel.bytes = kernel.bytes.max(end),
                _ => return Err(ElfError::OutsideKernel),
            }
        }
        match kernel.entry.checked_sub(BootInfo::KERNEL_VIRTUAL_BASE) {
            Some(offset) if offset < kernel.bytes => Ok(kernel),
            _ => Err(ElfError::OutsideKernel),
        }
    }

    /// Linked address of the first instruction.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Memory that the segments span from the linked base on, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The segments to load.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'a>> {
        self.program_headers()
            .filter_map(|header| self.segment(header).ok())
    }

    fn program_headers(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.headers
            .chunks_exact(PROGRAM_HEADER_BYTES)
            .filter(|header| u32_at(header, 0) == PT_LOAD)
    }

    fn segment(&self, header: &[u8]) -> Result<Segment<'a>, ElfError> {
        let (file_offset, address) = (u64_at(header, 8), u64_at(header, 16));
        let packed_bytes = u64_at(header, 24);
        let (bytes, memory_bytes) = (u64_at(header, 32), u64_at(header, 40));
        let packed = range(self.file, file_offset, packed_bytes).ok_or(ElfError::SegmentCut)?;
        Ok(Segment {
            offset: address
                .checked_sub(BootInfo::KERNEL_VIRTUAL_BASE)
                .ok_or(ElfError::OutsideKernel)?,
            packed,
            bytes,
            zeros: memory_bytes
                .checked_sub(bytes)
                .ok_or(ElfError::SegmentCut)?,
        })
    }
}

fn range(file: &[u8], offset: u64, bytes: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    file.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{vec, vec::Vec};

    const BASE: u64 = BootInfo::KERNEL_VIRTUAL_BASE;

    /// A file with one segment of 3 bytes and `zeros` more in memory.
    fn file(address: u64, entry: u64, zeros: u64) -> Vec<u8> {
        let mut file = vec![0; 123];
        file[..7].copy_from_slice(&IDENT);
        file[16..20].copy_from_slice(&TYPE_AND_MACHINE.to_le_bytes());
        file[24..32].copy_from_slice(&entry.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = 1;
        file[64] = 1;
        file[72] = 120;
        file[80..88].copy_from_slice(&address.to_le_bytes());
        file[88] = 3;
        file[96] = 3;
        file[104..112].copy_from_slice(&(3 + zeros).to_le_bytes());
        file[120..].copy_from_slice(b"abc");
        file
    }

    #[test]
    fn a_good_file_gives_its_segments() {
        let file = file(BASE + 0x1000, BASE + 0x1001, 5);
        let kernel = Kernel::parse(&file).unwrap();
        assert_eq!((kernel.entry(), kernel.bytes()), (BASE + 0x1001, 0x1008));
        let segment = Segment {
            offset: 0x1000,
            packed: b"abc",
            bytes: 3,
            zeros: 5,
        };
        assert_eq!(kernel.segments().collect::<Vec<_>>(), [segment]);
    }

    #[test]
    fn bad_files_are_named() {
        let error = |file: &[u8]| Kernel::parse(file).unwrap_err();
        let good = file(BASE, BASE, 0);
        assert_eq!(error(b""), ElfError::NotElf);
        assert_eq!(error(&[b'M'; 200]), ElfError::NotElf);
        assert_eq!(error(&good[..100]), ElfError::HeadersCut);
        assert_eq!(error(&good[..122]), ElfError::SegmentCut);
        assert_eq!(error(&file(0x10_0000, BASE, 0)), ElfError::OutsideKernel);
        assert_eq!(error(&file(BASE, BASE + 3, 0)), ElfError::OutsideKernel);
        assert_eq!(error(&file(BASE, BASE, 1 << 30)), ElfError::OutsideKernel);
        let mut shared = good;
        shared[16] = 3;
        assert_eq!(error(&shared), ElfError::WrongTarget);
    }

    proptest! {
        #[test]
        fn no_file_is_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            for (byte, ident) in bytes.iter_mut().zip(IDENT) {
                *byte = ident;
            }
            if let Ok(kernel) = Kernel::parse(&bytes) {
                prop_assert_eq!(kernel.segments().count(), kernel.program_headers().count());
            }
        }

        #[test]
        fn a_damaged_field_never_panics(at in 0_usize..120, value in any::<u64>()) {
            let mut file = file(BASE, BASE, 7);
            let end = file.len().min(at + 8);
            file[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
            if let Ok(kernel) = Kernel::parse(&file) {
                prop_assert!(kernel.segments().all(|s| s.offset + s.bytes + s.zeros <= kernel.bytes()));
            }
        }
    }
}
