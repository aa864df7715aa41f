//! The `velvetrope` command; everything it does lives in the library.

#[cfg(feature = "cli")]
fn main() -> std::process::ExitCode {
    velvetrope::cli::main()
}

#[cfg(not(feature = "cli"))]
fn main() {
    eprintln!("velvetrope was built without its command line; build it with the feature `cli`");
}
