//! How the program is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = |name| std::env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    if target("OS") == "linux" && target("ENV") == "gnu" {
        // Every process is a fresh start of this image, and the loader writes 45,000 addresses into each. Packed, their list
        // takes 10 kB instead of a megabyte that each start reads. Needs glibc 2.36, as Debian 12 has it.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
