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

    /// The value of the last `key=value` word with this key.
    pub fn value(&self, key: &str) -> Option<&str> {
        let words = self.as_str().split_ascii_whitespace();
        words
            .filter_map(|word| word.strip_prefix(key)?.strip_prefix('='))
            .last()
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
    fn the_last_value_of_a_key_counts() {
        assert_eq!(
            line("initrd=a xinitrd=b initrd=c initrd").value("initrd"),
            Some("c")
        );
        assert_eq!(line("initrd").value("initrd"), None);
    }
}
