//! The `velvetrope` command; everything it does lives in the library.

fn main() -> std::process::ExitCode {
    velvetrope_cli::main(allocations())
}

/// What counts allocations replaces the allocator of the whole program, and is paid for at each of them: only those who
/// want to know build it in.
#[cfg(feature = "count-allocations")]
fn allocations() -> Option<velvetrope_cli::AllocationCounter> {
    Some(|work| allocation_counter::measure(work).count_total)
}

#[cfg(not(feature = "count-allocations"))]
fn allocations() -> Option<velvetrope_cli::AllocationCounter> {
    None
}
