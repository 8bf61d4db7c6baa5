//! The loader's command line.

use crate::{CommandLine, MAX_COMMAND_LINE_BYTES};

impl CommandLine {
    /// No words at all.
    pub const EMPTY: Self = Self {
        len: 0,
        cut: 0,
        bytes: [0; MAX_COMMAND_LINE_BYTES],
    };

    /// Keeps `text` up to its first NUL, or as much of it as there is room for.
    pub fn set(&mut self, text: impl Iterator<Item = u8>) {
        self.len = 0;
        self.cut = 0;
        for byte in text.take_while(|&byte| byte != 0) {
            match self.bytes.get_mut(self.len as usize) {
                Some(place) => *place = byte,
                None => {
                    self.cut = 1;
                    return;
                }
            }
            self.len += 1;
        }
    }

    /// Drops the first word if it is a program's name: the EFI shell and some Multiboot loaders put it before what the
    /// user wrote.
    pub fn drop_program_name(&mut self) {
        let line = self.as_str();
        let name = line.split_ascii_whitespace().next().unwrap_or("");
        let suffix = name.as_bytes().last_chunk::<4>();
        let is_efi = suffix.is_some_and(|suffix| suffix.eq_ignore_ascii_case(b".efi"));
        let is_path = is_efi || name.contains(['/', '\\']);
        if !is_path || name.contains('=') {
            return;
        }
        let start = line.find(name).unwrap_or(0) + name.len();
        let end = self.len as usize;
        self.bytes.copy_within(start..end, 0);
        self.len -= start as u32;
    }

    /// The value of the last `key=value` word with this key.
    pub fn value(&self, key: &str) -> Option<&str> {
        let mut words = self.as_str().split_ascii_whitespace().rev();
        words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> CommandLine {
        let mut line = CommandLine::EMPTY;
        line.set(text.bytes());
        line
    }

    #[test]
    fn it_ends_at_a_nul_or_where_the_room_ends() {
        assert_eq!(line("a b\0c").as_str(), "a b");
        let long = line(&"x".repeat(5000));
        assert_eq!((long.as_str().len(), long.cut), (4096, 1));
        assert_eq!(line(&"x".repeat(4096)).cut, 0);
    }

    #[test]
    fn a_program_name_is_not_an_option() {
        let without = |text| {
            let mut line = line(text);
            line.drop_program_name();
            std::string::String::from(line.as_str())
        };
        assert_eq!(without("FS0:\\monovisor.EFI memory=64"), " memory=64");
        assert_eq!(without("memory=64 x.efi"), "memory=64 x.efi");
        assert_eq!(without("monovisor.efi"), "");
        assert_eq!(without("/boot/monovisor a=b"), " a=b");
        assert_eq!(without("disk=/dev/x.efi"), "disk=/dev/x.efi");
        assert_eq!(without("é"), "é");
        assert_eq!(without(""), "");
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        assert_eq!(
            line("initrd=a xinitrd=b initrd=c initrd").value("initrd"),
            Some("c")
        );
        assert_eq!(line("initrd").value("initrd"), None);
    }
}
