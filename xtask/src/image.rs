//! Makes the bootable file from the linked boot binary, and the boot binary's input from the linked kernel.
//!
//! The boot binary is built after the kernel, which it embeds:
//!
//! ```text
//! MONOVISOR_KERNEL=<stripped kernel ELF> cargo build --profile image --target x86_64-unknown-none \
//!     --package boot --bin monovisor-boot --features image
//! ```
//!
//! without any rustflags: it wants the target's default, position-independent code, and its build script names the
//! linker script. The embedded file is [`strip`] of the kernel's ELF; the bootable file is [`assemble`] of the boot
//! binary's ELF.
//!
//! That ELF is linked so that addresses are offsets in the bootable file (`boot/link.ld`). Its segments, laid out by
//! address, are the file; what only the finished file knows is filled in here: sizes in the header of the Linux/x86 boot
//! protocol, and the PE32+ headers that make the same bytes an EFI application.

use anyhow::{Context, Result, bail, ensure};
use lz4::block::CompressionMode;
use object::elf::{
    ET_EXEC, FileHeader64, PF_W, PF_X, PT_LOAD, ProgramFlags, ProgramHeader64, R_X86_64_RELATIVE,
    SHN_UNDEF,
};
use object::endian::{LittleEndian, U16, U32};
use object::pe;
use object::pod::{
    Pod, bytes_of, bytes_of_slice, from_bytes, from_bytes_mut, slice_from_bytes_mut,
};
use object::read::elf::{FileHeader, ProgramHeader, Rela, SectionHeader};
use qemu_tests::tree;
use std::fs;
use std::path::Path;

/// The kernel is packed once, and unpacked at every boot: the most that the format gives.
const SMALLEST: CompressionMode = CompressionMode::HIGHCOMPRESSION(12);

type Elf = FileHeader64<LittleEndian>;
const LE: LittleEndian = LittleEndian;

/// The first page: boot sector, setup header, 16-bit code. A loader of Linux images keeps it apart from the rest.
const SETUP_BYTES: u64 = 0x1000;
const PAGE_BYTES: u64 = 0x1000;

/// Fields of the setup header that depend on sizes (Linux/x86 boot protocol 2.15).
const SETUP_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
const SYSSIZE: usize = 0x1f4;
const INIT_SIZE: usize = 0x260;
/// In the Multiboot header (specification 0.6.96, 3.1): magic, and the address up to which memory is the program's.
const MULTIBOOT_MAGIC: (usize, [u8; 4]) = (0xf80, 0x1bad_b002_u32.to_le_bytes());
const MULTIBOOT_BSS_END: usize = 0xf98;
/// Where loaders that want fixed addresses put the file's first byte; `boot/src/entry` knows it, too.
const LINKED_BASE: u64 = 0x20_0000;
/// The 64-bit entry of the Linux/x86 boot protocol, from the file's first byte.
const STARTUP_64: u64 = SETUP_BYTES + 0x200;
/// Where the PE headers may be: the DOS header points at the first, the setup header starts at the second.
const PE_HEADERS: std::ops::Range<usize> = 0x40..0x1f1;
/// An empty block of base relocations at the first page's end: there is nothing for the firmware to relocate, but some
/// firmware takes a program without the table for one that must not be moved.
const PE_RELOCATIONS: u64 = SETUP_BYTES - 8;
const PE_DIRECTORIES: usize = 16;

/// A loadable part of the boot binary.
struct Segment<'a> {
    address: u64,
    bytes: &'a [u8],
    memory_bytes: u64,
    flags: ProgramFlags,
}

/// Writes the bootable file `image` from the ELF of the boot binary, and beside it `image`.elf.
pub fn write(boot_elf: &Path, image: &Path) -> Result<()> {
    let elf = fs::read(boot_elf).with_context(|| format!("cannot read {}", boot_elf.display()))?;
    let name = || format!("cannot use {}", boot_elf.display());
    for (path, file) in [
        (image.to_path_buf(), assemble(&elf).with_context(name)?),
        (
            image.with_extension("elf"),
            assemble_elf(&elf).with_context(name)?,
        ),
    ] {
        tree::replace(&path, &file)?;
    }
    Ok(())
}

/// The kernel's ELF file without what only debuggers read: section headers, symbols, debug information.
pub fn strip(kernel_elf: &[u8]) -> Result<Vec<u8>> {
    let header = Elf::parse(kernel_elf).context("the kernel is not a 64-bit ELF file")?;
    let headers = header.program_headers(LE, kernel_elf)?;
    let table_end = header.e_phoff(LE) + size_of_val(headers) as u64;
    let loaded = headers
        .iter()
        .filter(|segment| segment.p_type(LE) == PT_LOAD);
    let end = loaded
        .map(|segment| segment.p_offset(LE) + segment.p_filesz(LE))
        .max();
    let end = end
        .context("the kernel has nothing to load")?
        .max(table_end);
    let mut file = kernel_elf
        .get(..end as usize)
        .context("the kernel's file is cut off")?
        .to_vec();
    let (header, _) = from_bytes_mut::<Elf>(&mut file)
        .ok()
        .context("the kernel's file is cut off")?;
    header.e_shoff.set(LE, 0);
    header.e_shnum.set(LE, 0);
    header.e_shstrndx.set(LE, SHN_UNDEF);
    Ok(file)
}

/// The kernel as the boot binary embeds it: its ELF header and program headers, and each segment as an LZ4 block, whose length stands in
/// `p_paddr` (`boot/src/elf.rs` reads this).
pub fn pack(kernel_elf: &[u8]) -> Result<Vec<u8>> {
    let mut file = strip(kernel_elf)?;
    let header = Elf::parse(kernel_elf).context("the kernel is not a 64-bit ELF file")?;
    let headers = header.program_headers(LE, kernel_elf)?;
    let table = header.e_phoff(LE) as usize;
    let table_end = table + size_of_val(headers);
    let mut blocks = Vec::new();
    let mut packed = headers.to_vec();
    for header in &mut packed {
        let start = header.p_offset(LE) as usize;
        if header.p_type(LE) != PT_LOAD {
            continue;
        }
        let bytes = kernel_elf
            .get(start..start + header.p_filesz(LE) as usize)
            .context("a segment of the kernel is cut off")?;
        let block = lz4::block::compress(bytes, Some(SMALLEST), false)?;
        header.p_offset.set(LE, (table_end + blocks.len()) as u64);
        header.p_paddr.set(LE, block.len() as u64);
        blocks.extend(block);
    }
    file.truncate(table_end);
    put(&mut file, table, bytes_of_slice(&packed))?;
    file.extend(blocks);
    Ok(file)
}

/// The bootable file, Linux boot image and EFI application in one, from the ELF of the boot binary.
pub fn assemble(boot_elf: &[u8]) -> Result<Vec<u8>> {
    let header = Elf::parse(boot_elf).context("the boot binary is not a 64-bit ELF file")?;
    check_relocations(header, boot_elf)?;
    let segments = segments(header, boot_elf)?;
    let mut file = flatten(&segments)?;
    let memory_end = memory_end(&segments);
    let (magic, text) = SETUP_MAGIC;
    ensure!(
        file[magic..].starts_with(text),
        "the boot binary has no setup header at {magic:#x}"
    );
    let loaded = file.len() as u64 - SETUP_BYTES;
    put(
        &mut file,
        SYSSIZE,
        &u32::try_from(loaded.div_ceil(16))?.to_le_bytes(),
    )?;
    put(
        &mut file,
        INIT_SIZE,
        &u32::try_from(memory_end - SETUP_BYTES)?.to_le_bytes(),
    )?;
    // iPXE looks for Multiboot first, and that protocol tells less: no RSDP, no command line of the Linux kind.
    put(&mut file, MULTIBOOT_MAGIC.0, &[0; 4])?;
    put(&mut file, PE_RELOCATIONS as usize + 4, &8_u32.to_le_bytes())?;
    let headers = pe_headers(&segments, header.e_entry(LE), memory_end)?;
    ensure!(
        headers.len() <= PE_HEADERS.len(),
        "too many sections: the PE headers reach into the setup header"
    );
    put(&mut file, PE_HEADERS.start, &headers)?;
    Ok(file)
}

/// The same program as an ELF file at fixed addresses, for loaders of Multiboot or PVH kernels and for those that enter a
/// Linux `vmlinux` in 64-bit mode.
pub fn assemble_elf(boot_elf: &[u8]) -> Result<Vec<u8>> {
    let header = Elf::parse(boot_elf).context("the boot binary is not a 64-bit ELF file")?;
    let memory_end = memory_end(&segments(header, boot_elf)?);
    let headers = header.program_headers(LE, boot_elf)?;
    let first = headers.iter().find(|segment| segment.p_type(LE) == PT_LOAD);
    let first_offset = first
        .context("the boot binary has nothing to load")?
        .p_offset(LE);
    let (table, count) = (header.e_phoff(LE) as usize, headers.len());
    let mut file = strip(boot_elf)?;
    put_bss_end(&mut file, usize::try_from(first_offset)?, memory_end)?;
    let (header, _) = from_bytes_mut::<Elf>(&mut file)
        .ok()
        .context("the boot binary is cut off")?;
    header.e_type.set(LE, ET_EXEC);
    header.e_entry.set(LE, LINKED_BASE + STARTUP_64);
    let segments = slice_from_bytes_mut::<ProgramHeader64<LittleEndian>>(&mut file[table..], count);
    let (segments, _) = segments
        .ok()
        .context("the boot binary's program headers are cut off")?;
    for segment in segments {
        let address = LINKED_BASE + segment.p_vaddr.get(LE);
        segment.p_vaddr.set(LE, address);
        segment.p_paddr.set(LE, address);
    }
    Ok(file)
}

/// The first address that no segment needs, in whole pages.
fn memory_end(segments: &[Segment]) -> u64 {
    let ends = segments
        .iter()
        .map(|segment| segment.address + segment.memory_bytes);
    ends.max().unwrap_or(0).next_multiple_of(PAGE_BYTES)
}

/// Completes the Multiboot header of a file in which the setup page is at `setup`.
fn put_bss_end(file: &mut [u8], setup: usize, memory_end: u64) -> Result<()> {
    let (at, magic) = MULTIBOOT_MAGIC;
    let found = file
        .get(setup + at..)
        .is_some_and(|rest| rest.starts_with(&magic));
    ensure!(
        found,
        "the boot binary has no Multiboot header at {at:#x} of its first page"
    );
    let end = u32::try_from(LINKED_BASE + memory_end)?;
    put(file, setup + MULTIBOOT_BSS_END, &end.to_le_bytes())
}

/// The entry code applies one kind of relocation only.
fn check_relocations(header: &Elf, elf: &[u8]) -> Result<()> {
    let sections = header.sections(LE, elf)?;
    for section in sections.iter() {
        let Some((relocations, _)) = section.rela(LE, elf)? else {
            continue;
        };
        for relocation in relocations {
            let kind = relocation.r_type(LE, false);
            ensure!(
                kind == R_X86_64_RELATIVE,
                "the boot binary has a relocation of type {kind} at {:#x}; its entry code knows only R_X86_64_RELATIVE",
                relocation.r_offset(LE)
            );
        }
    }
    Ok(())
}

/// What is loaded, by address.
fn segments<'a>(header: &Elf, elf: &'a [u8]) -> Result<Vec<Segment<'a>>> {
    let mut segments = Vec::new();
    for segment in header.program_headers(LE, elf)? {
        if segment.p_type(LE) == PT_LOAD && segment.p_memsz(LE) > 0 {
            let bytes = segment
                .data(LE, elf)
                .ok()
                .context("a segment of the boot binary is cut off")?;
            segments.push(Segment {
                address: segment.p_vaddr(LE),
                bytes,
                memory_bytes: segment.p_memsz(LE),
                flags: segment.p_flags(LE),
            });
        }
    }
    segments.sort_by_key(|segment| segment.address);
    Ok(segments)
}

/// The segments' bytes at their addresses, in whole pages: between sections there is nothing that a signature would miss.
fn flatten(segments: &[Segment]) -> Result<Vec<u8>> {
    let mut file = Vec::new();
    for segment in segments {
        let start = usize::try_from(segment.address)?;
        if start < file.len() || !segment.address.is_multiple_of(PAGE_BYTES) {
            bail!(
                "the boot binary's segment at {start:#x} is not on a page of its own; see boot/link.ld"
            );
        }
        file.resize(start, 0);
        file.extend_from_slice(segment.bytes);
    }
    ensure!(file.len() as u64 > SETUP_BYTES, "the boot binary is empty");
    file.resize(file.len().next_multiple_of(PAGE_BYTES as usize), 0);
    Ok(file)
}

/// PE signature, file header, optional header and section table (PE format specification, "File Headers"). The first page
/// is headers; each further segment is a section, at the same place in the file and in memory.
fn pe_headers(segments: &[Segment], entry: u64, memory_end: u64) -> Result<Vec<u8>> {
    let sections: Vec<&Segment> = segments
        .iter()
        .filter(|segment| segment.address >= SETUP_BYTES)
        .collect();
    let of_kind = |flag| {
        sections
            .iter()
            .filter(move |section| section.flags.contains(flag))
    };
    let code_bytes: u64 = of_kind(PF_X).map(|section| section.memory_bytes).sum();
    let data_bytes: u64 = of_kind(PF_W).map(|section| section.memory_bytes).sum();
    let code_base = of_kind(PF_X)
        .map(|section| section.address)
        .min()
        .unwrap_or(0);
    let file_header = pe::ImageFileHeader {
        machine: U16::new(LE, pe::IMAGE_FILE_MACHINE_AMD64),
        number_of_sections: U16::new(LE, u16::try_from(sections.len())?),
        time_date_stamp: U32::new(LE, 0),
        pointer_to_symbol_table: U32::new(LE, 0),
        number_of_symbols: U32::new(LE, 0),
        size_of_optional_header: U16::new(LE, optional_header_bytes() as u16),
        characteristics: U16::new(
            LE,
            pe::IMAGE_FILE_EXECUTABLE_IMAGE
                | pe::IMAGE_FILE_LARGE_ADDRESS_AWARE
                | pe::IMAGE_FILE_LINE_NUMS_STRIPPED,
        ),
    };
    let optional_header = pe::ImageOptionalHeader64 {
        magic: U16::new(LE, pe::IMAGE_NT_OPTIONAL_HDR64_MAGIC),
        size_of_code: u32_field(code_bytes)?,
        size_of_initialized_data: u32_field(data_bytes)?,
        address_of_entry_point: u32_field(entry)?,
        base_of_code: u32_field(code_base)?,
        section_alignment: u32_field(PAGE_BYTES)?,
        file_alignment: u32_field(PAGE_BYTES)?,
        major_subsystem_version: U16::new(LE, 1),
        size_of_image: u32_field(memory_end)?,
        size_of_headers: u32_field(SETUP_BYTES)?,
        subsystem: U16::new(LE, pe::IMAGE_SUBSYSTEM_EFI_APPLICATION),
        // No section is both written and executed.
        dll_characteristics: U16::new(LE, pe::IMAGE_DLLCHARACTERISTICS_NX_COMPAT),
        number_of_rva_and_sizes: u32_field(PE_DIRECTORIES as u64)?,
        ..zeroed_optional_header()?
    };
    let mut directories = [pe::ImageDataDirectory {
        virtual_address: U32::new(LE, 0),
        size: U32::new(LE, 0),
    }; PE_DIRECTORIES];
    directories[pe::IMAGE_DIRECTORY_ENTRY_BASERELOC] = pe::ImageDataDirectory {
        virtual_address: u32_field(PE_RELOCATIONS)?,
        size: U32::new(LE, 8),
    };
    let mut headers = b"PE\0\0".to_vec();
    append(&mut headers, &file_header);
    append(&mut headers, &optional_header);
    append(&mut headers, &directories);
    for section in sections {
        append(&mut headers, &pe_section(section)?);
    }
    Ok(headers)
}

fn pe_section(segment: &Segment) -> Result<pe::ImageSectionHeader> {
    let (name, characteristics) = if segment.flags.contains(PF_X) {
        (
            b".text\0\0\0",
            pe::IMAGE_SCN_CNT_CODE | pe::IMAGE_SCN_MEM_EXECUTE,
        )
    } else if segment.flags.contains(PF_W) {
        (
            b".data\0\0\0",
            pe::IMAGE_SCN_CNT_INITIALIZED_DATA | pe::IMAGE_SCN_MEM_WRITE,
        )
    } else {
        (b".rodata\0", pe::IMAGE_SCN_CNT_INITIALIZED_DATA)
    };
    Ok(pe::ImageSectionHeader {
        name: *name,
        virtual_size: u32_field(segment.memory_bytes)?,
        virtual_address: u32_field(segment.address)?,
        size_of_raw_data: u32_field((segment.bytes.len() as u64).next_multiple_of(PAGE_BYTES))?,
        pointer_to_raw_data: u32_field(segment.address)?,
        pointer_to_relocations: U32::new(LE, 0),
        pointer_to_linenumbers: U32::new(LE, 0),
        number_of_relocations: U16::new(LE, 0),
        number_of_linenumbers: U16::new(LE, 0),
        characteristics: U32::new(LE, characteristics | pe::IMAGE_SCN_MEM_READ),
    })
}

fn optional_header_bytes() -> usize {
    size_of::<pe::ImageOptionalHeader64>() + PE_DIRECTORIES * size_of::<pe::ImageDataDirectory>()
}

fn zeroed_optional_header() -> Result<pe::ImageOptionalHeader64> {
    let zeros = [0; size_of::<pe::ImageOptionalHeader64>()];
    let (header, _) = from_bytes(&zeros)
        .ok()
        .context("a header's size does not match")?;
    Ok(*header)
}

fn u32_field(value: u64) -> Result<U32<LittleEndian>> {
    Ok(U32::new(LE, u32::try_from(value)?))
}

fn append<T: Pod>(headers: &mut Vec<u8>, part: &T) {
    headers.extend_from_slice(bytes_of(part));
}

fn put(file: &mut [u8], offset: usize, bytes: &[u8]) -> Result<()> {
    let place = file.get_mut(offset..offset + bytes.len());
    place
        .context("the boot binary ends inside its headers")?
        .copy_from_slice(bytes);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::pe::PeFile64;
    use object::{Object, ObjectSection};

    const READ: u32 = 4;
    const ENTRY: u64 = 0x1010;

    /// A boot binary with these segments: address, bytes, size in memory, flags.
    fn elf(segments: &[(u64, &[u8], u64, u32)]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * segments.len()];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[24..32].copy_from_slice(&ENTRY.to_le_bytes());
        file[32] = 64;
        file[52] = 64;
        file[54] = 56;
        file[56] = segments.len() as u8;
        for (index, (address, bytes, memory_bytes, flags)) in segments.iter().enumerate() {
            let offset = file.len() as u64;
            let header = &mut file[64 + 56 * index..][..56];
            header[0] = 1;
            header[4..8].copy_from_slice(&flags.to_le_bytes());
            for (at, value) in [
                (8, offset),
                (16, *address),
                (32, bytes.len() as u64),
                (40, *memory_bytes),
            ] {
                header[at..at + 8].copy_from_slice(&value.to_le_bytes());
            }
            file.extend_from_slice(bytes);
        }
        file
    }

    fn setup_page() -> Vec<u8> {
        let mut page = vec![0; 0x1000];
        page[..2].copy_from_slice(b"MZ");
        page[0x3c] = 0x40;
        page[0x202..0x206].copy_from_slice(b"HdrS");
        page[0xf80..0xf84].copy_from_slice(&MULTIBOOT_MAGIC.1);
        page
    }

    #[test]
    fn the_file_is_a_linux_image_with_its_sizes() {
        let elf = elf(&[
            (0, &setup_page(), 0x1000, READ),
            (0x1000, b"code", 4, READ | 1),
            (0x2000, b"data", 0x4321, READ | 2),
        ]);
        let file = assemble(&elf).unwrap();
        assert_eq!(file.len(), 0x3000);
        assert_eq!(
            (&file[0x1000..0x1004], &file[0x2000..0x2004]),
            (&b"code"[..], &b"data"[..])
        );
        assert_eq!(file[SYSSIZE..SYSSIZE + 4], (0x2000_u32 / 16).to_le_bytes());
        assert_eq!(file[INIT_SIZE..INIT_SIZE + 4], 0x6000_u32.to_le_bytes());
    }

    #[test]
    fn the_file_is_an_efi_application() {
        let elf = elf(&[
            (0, &setup_page(), 0x1000, READ),
            (0x1000, b"code", 4, READ | 1),
            (0x2000, b"const", 5, READ),
            (0x3000, b"data", 0x2000, READ | 2),
        ]);
        let file = assemble(&elf).unwrap();
        let pe = PeFile64::parse(&*file).unwrap();
        let optional = &pe.nt_headers().optional_header;
        assert_eq!(pe.entry(), ENTRY);
        assert_eq!(
            optional.subsystem.get(LE),
            pe::IMAGE_SUBSYSTEM_EFI_APPLICATION
        );
        assert_eq!(optional.size_of_image.get(LE), 0x5000);
        let sections: Vec<_> = pe
            .sections()
            .map(|section| (section.name().unwrap().to_owned(), section.address()))
            .collect();
        let expected = [(".text", 0x1000), (".rodata", 0x2000), (".data", 0x3000)];
        assert_eq!(
            sections,
            expected.map(|(name, address)| (name.to_owned(), address))
        );
        assert!(file[0x1f1 - 16..0x1f1].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn the_elf_file_has_fixed_addresses() {
        let boot = elf(&[
            (0, &setup_page(), 0x1000, READ),
            (0x1000, b"code", 0x2345, READ | 1),
        ]);
        let file = assemble_elf(&boot).unwrap();
        let header = Elf::parse(&*file).unwrap();
        assert_eq!(header.e_type(LE), ET_EXEC);
        assert_eq!(header.e_entry(LE), 0x20_1200);
        let segments = header.program_headers(LE, &*file).unwrap();
        let addresses: Vec<_> = segments.iter().map(|segment| segment.p_paddr(LE)).collect();
        assert_eq!(addresses, [0x20_0000, 0x20_1000]);
        let image = assemble(&boot).unwrap();
        assert_ne!(image[0xf80..0xf84], MULTIBOOT_MAGIC.1);
        let bss_end = 64 + 2 * 56 + MULTIBOOT_BSS_END;
        assert_eq!(file[bss_end..bss_end + 4], 0x20_4000_u32.to_le_bytes());
    }

    #[test]
    fn what_cannot_be_laid_out_is_refused() {
        let setup = setup_page();
        let error = |elf: &[u8]| assemble(elf).unwrap_err().to_string();
        assert!(error(b"MZ").contains("not a 64-bit ELF file"));
        let overlapping = elf(&[(0, &setup, 0x1000, READ), (0xf00, b"x", 1, READ)]);
        assert!(error(&overlapping).contains("0xf00"));
        let no_header = elf(&[(0, &[0; 0x1000], 0x1000, READ), (0x1000, b"x", 1, READ)]);
        assert!(error(&no_header).contains("setup header"));
        assert!(error(&elf(&[(0, &setup, 0x1000, READ)])).contains("empty"));
    }

    #[test]
    fn a_packed_kernel_unpacks_to_its_segments() {
        let kernel = elf(&[(0, &[7; 999], 1000, READ), (0x1000, b"last", 4, READ)]);
        let file = pack(&kernel).unwrap();
        assert!(file.len() < 400);
        let header = Elf::parse(&*file).unwrap();
        let segments = header.program_headers(LE, &*file).unwrap();
        let unpacked: Vec<_> = segments
            .iter()
            .map(|segment| {
                let start = segment.p_offset(LE) as usize;
                let block = &file[start..start + segment.p_paddr(LE) as usize];
                lz4_flex::block::decompress(block, segment.p_filesz(LE) as usize).unwrap()
            })
            .collect();
        assert_eq!(unpacked, [vec![7; 999], b"last".to_vec()]);
        assert!(pack(&kernel[..100]).is_err());
    }

    #[test]
    fn a_stripped_kernel_ends_with_its_last_segment() {
        let mut kernel = elf(&[(0, b"first", 5, READ), (8, b"last", 4, READ)]);
        let loaded = kernel.clone();
        kernel.extend_from_slice(&[0xee; 200]);
        kernel[40] = 200;
        kernel[60] = 2;
        kernel[62] = 1;
        assert_eq!(strip(&kernel).unwrap(), loaded);
        assert!(strip(&loaded[..100]).is_err());
    }
}
