//! The hypervisor's command line: `key=value` words that override the file.
//!
//! Words are separated by spaces; double quotes keep spaces in a value (`extra="quiet ro"` and `"extra=quiet ro"`), as
//! Linux has it. A lone key is `key=1`, a list is given by its only element, and the last of several settings wins.
//! Words that are no key are meant for others, so they are ignored with a note, unless they look like a misspelt key:
//! then they are an error. Boot loaders add words of their own ([`LOADER_WORDS`]), two of which (`root`, `initrd`) have
//! the names of keys: these are taken for the loader's.

use super::error::{ConfigError, Note, Place};
use super::key::{self, Use};
use super::setting::{Setting, Value, shorten};
use super::suggest;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What boot loaders and their users put on a Linux command line.
const LOADER_WORDS: &[&str] = &[
    "BOOT_IMAGE",
    "BOOTIF",
    "initrd",
    "root",
    "ro",
    "rw",
    "quiet",
    "splash",
    "console",
    "vga",
    "auto",
    "earlyprintk",
    "nomodeset",
    "debug",
    "loglevel",
    "kexec_jump_back_entry",
];

/// What the kernel itself takes from its command line, for tests (`kernel/src/time/knob.rs`).
const TEST_WORDS: &[&str] = &["test_tsc_skew", "test_tsc_write", "test_tsc_compensation"];

/// What the host's own network stack takes from there (`net/src/host/address.rs`).
const HOST_WORDS: &[&str] = &["ip", "mtu"];

/// Puts the words of `line` over `settings`.
pub(super) fn overlay(
    settings: &mut Vec<Setting>,
    line: &str,
    notes: &mut Vec<Note>,
) -> Result<(), ConfigError> {
    for word in words(line) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, value),
            None => (word.as_str(), "1"),
        };
        let setting = Setting {
            key: name.to_string(),
            value: Value::Text(value.to_string()),
            shown: shorten(value),
            place: Place::CommandLine,
        };
        let note = |reason: &str| Note {
            place: Place::CommandLine,
            key: shorten(name),
            reason: reason.to_string(),
        };
        if TEST_WORDS.contains(&name) {
            notes.push(note("for tests, and taken by the kernel"));
        } else if HOST_WORDS.contains(&name) {
            // Its value is looked at, and spoken of, where it has its effect.
        } else if LOADER_WORDS.contains(&name) {
            notes.push(note("ignored: a boot loader's word"));
        } else if let Some((_, used)) = key::find(name) {
            match used {
                Use::Honoured => {
                    settings.retain(|old| old.key != name);
                    settings.push(setting);
                }
                // Its form is not checked: `acpi=off` means something to Linux.
                Use::Ignored(_, reason) => notes.push(note(&format!("ignored: {reason}"))),
            }
        } else if let Some(near) = suggest::nearest(name, key::HONOURED.iter().copied()) {
            return Err(setting.error(format!("no such key; did you mean `{near}`?")));
        } else {
            notes.push(note("ignored: no key of the configuration"));
        }
    }
    Ok(())
}

/// The words of a line, without the quotes that kept them together. An unclosed quote ends with the line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(core::mem::take(&mut word));
                }
            }
            letter => word.push(letter),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(
            words(r#" memory=64  extra="quiet ro" "cmdline=a b" x"#),
            ["memory=64", "extra=quiet ro", "cmdline=a b", "x"]
        );
        assert_eq!(words("a=\"b c"), ["a=b c"]);
    }

    #[test]
    fn keys_override_loaders_words_do_not_and_slips_are_named() {
        let mut notes = Vec::new();
        let mut settings =
            super::super::syntax::settings("memory = 128\nroot = '/dev/vda'").unwrap();
        let line = "BOOT_IMAGE=/boot/monovisor root=/dev/sda1 memory=64 memory=96 rd.luks=0";
        overlay(&mut settings, line, &mut notes).unwrap();
        assert_eq!(settings.len(), 2);
        let memory = settings.iter().find(|setting| setting.key == "memory");
        assert_eq!(memory.unwrap().number(0..=1000), Ok(96));
        assert_eq!(notes.len(), 3);
        let error = overlay(&mut settings, "memroy=64", &mut notes).unwrap_err();
        assert_eq!(error.place, Place::CommandLine);
        assert!(error.expected.contains("`memory`"));
    }

    proptest! {
        #[test]
        fn any_line_is_answered(line: String) {
            let _ = overlay(&mut Vec::new(), &line, &mut Vec::new());
        }
    }
}
