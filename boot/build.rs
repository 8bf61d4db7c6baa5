//! Hands the linker script to the linker when the entry code is built, and tracks the kernel that it embeds.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=link.ld");
    println!("cargo:rerun-if-env-changed=MONOVISOR_KERNEL");
    if env::var_os("CARGO_FEATURE_IMAGE").is_none() {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo:rustc-link-arg-bins=-T{root}/link.ld");
}
