//! A bzImage file and what its header says.

use super::header as at;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt;

/// A Linux kernel with a 64-bit entry; borrows the file. Its sizes and addresses were checked against each other.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// The setup header: the file's bytes from 1F1h on.
    pub(super) header: &'a [u8],
    /// The protected-mode kernel.
    pub(super) kernel: &'a [u8],
    /// Bytes that the kernel uses from its load address on until it has read the memory map.
    pub(super) init_bytes: u64,
    /// Where it wants to be.
    pub(super) preferred: u64,
    /// How else it may be placed: at multiples of this. `None`: only where it wants to be.
    pub(super) alignment: Option<u64>,
    /// Longest command line, without its NUL.
    pub(super) command_line_bytes: u64,
    /// Highest address that the initrd may reach.
    pub(super) initrd_max: u64,
}

/// The file is no kernel that can be started; the text says what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBzImage {
    /// What was found.
    pub found: String,
}

impl fmt::Display for NotBzImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a Linux bzImage with a 64-bit entry: {}", self.found)
    }
}

impl core::error::Error for NotBzImage {}

impl<'a> Image<'a> {
    /// Reads the header and checks that the file is whole.
    pub fn parse(file: &'a [u8]) -> Result<Self, NotBzImage> {
        Self::read(file).map_err(|found| NotBzImage { found })
    }

    /// Bytes of the protected-mode kernel.
    pub fn kernel_bytes(&self) -> u64 {
        self.kernel.len() as u64
    }

    fn read(file: &'a [u8]) -> Result<Self, String> {
        check_signature(file)?;
        let kernel_start = match usize::from(byte(file, at::SETUP_SECTS)?) {
            0 => at::DEFAULT_SETUP_SECTS + 1,
            sectors => sectors + 1,
        } * at::SECTOR_BYTES;
        // In units of 16 bytes. Some linkers round it down and a signature may follow: loaders take the whole file.
        let kernel_end = kernel_start + 16 * u32_at(file, at::SYSSIZE)? as usize;
        let whole = file.len() >= kernel_end;
        let kernel = file.get(kernel_start..).filter(|_| whole).ok_or_else(|| {
            format!(
                "truncated: the header promises {kernel_end} bytes, the file has {}",
                file.len()
            )
        })?;
        if (kernel_end - kernel_start) as u64 <= at::ENTRY_64 {
            return Err("its protected-mode part is empty".to_string());
        }
        let header_end = at::MAGIC + usize::from(byte(file, at::JUMP_OFFSET)?);
        if !(at::NEEDED_END..=at::HEADER_END).contains(&header_end) {
            return Err(format!("a setup header that ends at {header_end:#x}"));
        }
        let init_bytes = u64::from(u32_at(file, at::INIT_SIZE)?).max(kernel.len() as u64);
        let preferred = u64_at(file, at::PREF_ADDRESS)?;
        let alignment = u64::from(u32_at(file, at::KERNEL_ALIGNMENT)?);
        let alignment = match byte(file, at::RELOCATABLE_KERNEL)? {
            0 => None,
            _ if !alignment.is_power_of_two() => {
                return Err(format!("an alignment of {alignment:#x} bytes"));
            }
            _ => Some(alignment),
        };
        Ok(Self {
            header: file
                .get(at::SETUP_SECTS..header_end)
                .ok_or("truncated within its setup header")?,
            kernel,
            init_bytes,
            preferred,
            alignment,
            command_line_bytes: u64::from(u32_at(file, at::CMDLINE_SIZE)?),
            initrd_max: u64::from(u32_at(file, at::INITRD_ADDR_MAX)?),
        })
    }
}

fn check_signature(file: &[u8]) -> Result<(), String> {
    let is_boot_sector = u16_at(file, at::BOOT_FLAG) == Ok(at::BOOT_FLAG_VALUE);
    let has_magic = file
        .get(at::MAGIC..)
        .is_some_and(|rest| rest.starts_with(at::MAGIC_VALUE));
    if !is_boot_sector || !has_magic {
        return Err(recognise(file));
    }
    let version = u16_at(file, at::VERSION)?;
    if version < at::MIN_VERSION {
        return Err(format!(
            "boot protocol {}.{:02}; 2.12 or later is needed",
            version >> 8,
            version & 0xff
        ));
    }
    if byte(file, at::LOADFLAGS)? & at::LOADED_HIGH == 0 {
        return Err("a zImage, which loads below 1 MiB".to_string());
    }
    if u16_at(file, at::XLOADFLAGS)? & at::XLF_KERNEL_64 == 0 {
        return Err("a 32-bit kernel, without a 64-bit entry".to_string());
    }
    Ok(())
}

/// Names what people hand over by mistake.
fn recognise(file: &[u8]) -> String {
    let known: [(&[u8], &str); 8] = [
        (
            b"\x7fELF",
            "an ELF file (vmlinux?): take the bzImage, arch/x86/boot/bzImage or /boot/vmlinuz-*",
        ),
        (b"MZ", "a PE file without a Linux setup header"),
        (&[0x1f, 0x8b], "a gzip file: unpack it"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "an xz file: unpack it"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "a zstd file: unpack it"),
        (b"070701", "a cpio archive (an initrd?)"),
        (b"!<arch>", "a Debian package or library: unpack it"),
        (b"#!", "a script"),
    ];
    if file.is_empty() {
        return "an empty file".to_string();
    }
    match known.iter().find(|(magic, _)| file.starts_with(magic)) {
        Some((_, name)) => name.to_string(),
        None => format!(
            "{} bytes without the magic HdrS at offset {:#x}; they start with {:02x?}",
            file.len(),
            at::MAGIC,
            &file[..file.len().min(8)]
        ),
    }
}

fn array<const N: usize>(file: &[u8], offset: usize) -> Result<[u8; N], String> {
    file.get(offset..)
        .and_then(|rest| rest.first_chunk())
        .copied()
        .ok_or_else(|| format!("truncated: the file has only {} bytes", file.len()))
}

fn byte(file: &[u8], offset: usize) -> Result<u8, String> {
    array(file, offset).map(|[byte]| byte)
}

fn u16_at(file: &[u8], offset: usize) -> Result<u16, String> {
    array(file, offset).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], offset: usize) -> Result<u32, String> {
    array(file, offset).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], offset: usize) -> Result<u64, String> {
    array(file, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A well-formed kernel of 32 KiB that wants to be at 16 MiB and needs 1 MiB there.
    pub fn synthetic() -> Vec<u8> {
        let mut file = alloc::vec![0; 1024 + 0x8000];
        put(&mut file, at::SETUP_SECTS, &[1]);
        put(&mut file, at::SYSSIZE, &0x800_u32.to_le_bytes());
        put(&mut file, at::BOOT_FLAG, &[0x55, 0xaa, 0xeb, 0x6a]);
        put(&mut file, at::MAGIC, at::MAGIC_VALUE);
        put(&mut file, at::VERSION, &0x020f_u16.to_le_bytes());
        put(&mut file, at::LOADFLAGS, &[at::LOADED_HIGH]);
        put(
            &mut file,
            at::INITRD_ADDR_MAX,
            &0x7fff_ffff_u32.to_le_bytes(),
        );
        put(
            &mut file,
            at::KERNEL_ALIGNMENT,
            &0x20_0000_u32.to_le_bytes(),
        );
        put(&mut file, at::RELOCATABLE_KERNEL, &[1]);
        put(&mut file, at::XLOADFLAGS, &at::XLF_KERNEL_64.to_le_bytes());
        put(&mut file, at::CMDLINE_SIZE, &255_u32.to_le_bytes());
        put(&mut file, at::PREF_ADDRESS, &0x100_0000_u64.to_le_bytes());
        put(&mut file, at::INIT_SIZE, &0x10_0000_u32.to_le_bytes());
        file[1024..].fill(0x90);
        file
    }

    pub fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn found(file: &[u8]) -> String {
        Image::parse(file).unwrap_err().found
    }

    #[test]
    fn a_whole_kernel_is_taken_with_what_follows_it() {
        let mut file = synthetic();
        file.extend(b"signature");
        let image = Image::parse(&file).unwrap();
        assert_eq!(image.kernel.len(), 0x8000 + 9);
        assert_eq!(image.header.len(), 0x202 + 0x6a - 0x1f1);
        assert_eq!(image.alignment, Some(0x20_0000));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = synthetic();
        for len in 0..file.len() {
            assert!(Image::parse(&file[..len]).is_err(), "{len}");
        }
        assert!(
            found(&file[..20_000])
                .contains("truncated: the header promises 33792 bytes, the file has 20000")
        );
    }

    #[test]
    fn other_files_are_named() {
        assert!(found(b"").contains("empty"));
        assert!(found(b"\x7fELF\x02\x01").contains("ELF"));
        assert!(found(&[0x1f, 0x8b, 8]).contains("gzip"));
        assert!(found(&[7; 4096]).contains("HdrS"));
        let change = |offset, bytes: &[u8]| {
            let mut file = synthetic();
            put(&mut file, offset, bytes);
            found(&file)
        };
        assert!(change(at::VERSION, &[0x04, 0x02]).contains("2.04"));
        assert!(change(at::LOADFLAGS, &[0]).contains("zImage"));
        assert!(change(at::XLOADFLAGS, &[0, 0]).contains("32-bit"));
        assert!(change(at::KERNEL_ALIGNMENT, &[3]).contains("alignment"));
        assert!(change(at::JUMP_OFFSET, &[0x10]).contains("setup header"));
        assert!(change(at::SYSSIZE, &[0, 0, 0, 0]).contains("empty"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_answered(bytes: Vec<u8>) {
            let _ = Image::parse(&bytes);
        }

        #[test]
        fn an_arbitrary_header_is_answered(header in proptest::collection::vec(any::<u8>(), 0x80)) {
            let mut file = synthetic();
            let keep = file[at::BOOT_FLAG..at::VERSION].to_vec();
            put(&mut file, at::SETUP_SECTS, &header);
            put(&mut file, at::BOOT_FLAG, &keep);
            let _ = Image::parse(&file);
        }
    }
}
