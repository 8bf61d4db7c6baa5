//! EFI's 16-bit text: load options and file names.

use core::char::{REPLACEMENT_CHARACTER, decode_utf16};

/// Load options as UTF-8 bytes, up to the first NUL. `None` if they are no text: firmware puts binary data of its own
/// into the options of some boot entries.
pub fn utf8_from_ucs2(
    units: impl Iterator<Item = u16> + Clone,
) -> Option<impl Iterator<Item = u8>> {
    let text = decode_utf16(units.take_while(|&unit| unit != 0));
    let is_text = text
        .clone()
        .all(|unit| unit.is_ok_and(|char| !char.is_control() || char.is_ascii_whitespace()));
    is_text.then(|| text.flat_map(|unit| utf8(unit.unwrap_or(REPLACEMENT_CHARACTER))))
}

fn utf8(char: char) -> impl Iterator<Item = u8> {
    let mut buffer = [0; 4];
    let bytes = char.encode_utf8(&mut buffer).len();
    buffer.into_iter().take(bytes)
}

/// Writes a path for EFI (backslashes, from the volume's root, NUL-terminated) made of `directory`, whose units come as
/// they are, and `file`. `None` if it does not fit.
pub fn path_from_utf8<'a>(
    buffer: &'a mut [u16],
    directory: &[u16],
    file: &str,
) -> Option<&'a [u16]> {
    let file_units = file.encode_utf16().map(|unit| {
        if unit == u16::from(b'/') {
            u16::from(b'\\')
        } else {
            unit
        }
    });
    let mut len = 0;
    for unit in directory.iter().copied().chain(file_units).chain([0]) {
        *buffer.get_mut(len)? = unit;
        len += 1;
    }
    Some(&buffer[..len])
}

/// The part of an EFI path up to and with its last backslash; empty if it has none.
pub fn directory_of(path: &[u16]) -> &[u16] {
    let last = path.iter().rposition(|&unit| unit == u16::from(b'\\'));
    &path[..last.map_or(0, |index| index + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{string::String, vec::Vec};

    fn units(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    fn convert(units: &[u16]) -> Option<String> {
        let bytes = utf8_from_ucs2(units.iter().copied())?.collect();
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn text_is_kept_and_binary_data_is_not() {
        assert_eq!(
            convert(&units("memory=64 näme=\u{1f600}\0junk")).unwrap(),
            "memory=64 näme=\u{1f600}"
        );
        assert_eq!(convert(&[0x41, 0xd800, 0x41]), None);
        assert_eq!(convert(&[0x41, 0x01]), None);
        assert_eq!(convert(&[]).unwrap(), "");
    }

    #[test]
    fn paths_are_beside_the_image() {
        let image = units("\\EFI\\BOOT\\BOOTX64.EFI");
        let mut buffer = [0; 64];
        let path = path_from_utf8(&mut buffer, directory_of(&image), "bundle.cpio").unwrap();
        assert_eq!(path, units("\\EFI\\BOOT\\bundle.cpio\0"));
        assert_eq!(directory_of(&units("x.efi")), []);
        assert_eq!(
            path_from_utf8(&mut buffer, &[], "/a/b").unwrap(),
            units("\\a\\b\0")
        );
        assert_eq!(path_from_utf8(&mut [0; 4], &[], "abcd"), None);
    }

    proptest! {
        #[test]
        fn any_text_comes_through(text in "[^\\p{Cc}]{0,40}") {
            prop_assert_eq!(convert(&units(&text)), Some(text));
        }
    }
}
