//! Leaves out of the wrapper what only unwinding needs, where it is built as users get it: for musl, with the profile `wrapper`.

fn main() {
    println!("cargo::rerun-if-changed=no-unwinding.ld");
    // Cargo does not tell a build script what the profile says of panics.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|it| it == "musl") {
        let folder = env!("CARGO_MANIFEST_DIR");
        println!("cargo::rustc-link-arg-bins=-T{folder}/no-unwinding.ld");
    }
}
