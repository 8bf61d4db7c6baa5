//! Any text as a configuration, its last line as the command line: an answer, never a panic, and limits are kept.
#![no_main]

use appliance::Config;
use appliance::config::MAX_VCPUS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (toml, command_line) = text.rsplit_once('\n').unwrap_or((text, ""));
    if let Ok(loaded) = Config::load(toml, command_line) {
        assert!((1..=MAX_VCPUS).contains(&loaded.config.vcpus));
        assert!(loaded.config.memory.is_none_or(|memory| memory.mib > 0));
    }
});
