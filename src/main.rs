//! The `velvetrope` command; everything it does lives in the library.

#[cfg(feature = "cli")]
fn main() -> std::process::ExitCode {
    velvetrope::cli::main(allocations())
}

/// What counts allocations replaces the allocator of the whole program, and is paid for at each of them: only those who
/// want to know build it in.
#[cfg(all(feature = "cli", feature = "count-allocations"))]
fn allocations() -> Option<velvetrope::cli::AllocationCounter> {
    Some(|work| allocation_counter::measure(work).count_total)
}

#[cfg(all(feature = "cli", not(feature = "count-allocations")))]
fn allocations() -> Option<velvetrope::cli::AllocationCounter> {
    None
}

#[cfg(not(feature = "cli"))]
fn main() {
    eprintln!("velvetrope was built without its command line; build it with the feature `cli`");
}
