# Names for the project's commands; `cargo xtask --help` tells more.

# Boot Monovisor with the default guest in QEMU
run *options:
    cargo xtask run {{options}}

# All checks, unit tests and end-to-end tests
test *options:
    cargo xtask test {{options}}

# Count instructions, beside the peers'
bench *options:
    cargo xtask bench {{options}}

# Only the bootable file, target/monovisor/monovisor
build:
    cargo xtask build
