//! A writer of `newc` cpio archives: the form of Linux's initramfs and of our bundle.
//!
//! Format: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`. It writes owner 0, time 0 and inode
//! numbers in order, so that equal input gives equal bytes; device nodes need no root.

/// An archive under construction.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    /// Adds a directory; parents must have been added before.
    pub fn directory(&mut self, name: &str) -> &mut Self {
        self.entry(name, DIRECTORY | 0o755, (0, 0), &[])
    }

    /// Adds a file with permission bits `mode`.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) -> &mut Self {
        self.entry(name, REGULAR | mode, (0, 0), content)
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, name: &str, target: &str) -> &mut Self {
        self.entry(name, SYMLINK | 0o777, (0, 0), target.as_bytes())
    }

    /// Adds a character device with its major and minor number.
    pub fn device(&mut self, name: &str, number: (u32, u32)) -> &mut Self {
        self.entry(name, CHARACTER_DEVICE | 0o600, number, &[])
    }

    /// Ends the archive and returns its bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(
        &mut self,
        name: &str,
        mode: u32,
        (major, minor): (u32, u32),
        content: &[u8],
    ) -> &mut Self {
        self.entries += 1;
        let length = u32::try_from(content.len()).expect("a newc member is shorter than 4 GiB");
        // Fields: inode, mode, uid, gid, links, mtime, size, device (2), node's device (2), name's length, checksum.
        let name_length = name.len() as u32 + 1;
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            length,
            0,
            0,
            major,
            minor,
            name_length,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
        self
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_padding_follow_newc() {
        let mut archive = Archive::default();
        archive.file("ab", 0o644, b"hello").device("null", (1, 3));
        let bytes = archive.finish();
        assert_eq!(&bytes[..14], b"07070100000001");
        assert_eq!(&bytes[14..22], b"000081a4");
        assert_eq!(&bytes[54..62], b"00000005");
        // 110 bytes of header, "ab\0" and padding to 116, then the content padded to 8.
        assert_eq!(
            &bytes[110..124],
            b"ab\0\0\0\0hello\0\0\0".get(..14).unwrap()
        );
        assert_eq!(&bytes[124..130], b"070701");
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
