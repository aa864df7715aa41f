//! Ports for programs that must be told one before they listen.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where nobody listens. It is below the ports that systems hand out by themselves, and no other test of this process gets
/// it, so that nobody takes it before the program listens.
pub fn free() -> SocketAddr {
    const FIRST: u16 = 12_000;
    const LAST: u16 = 32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different places.
    let start = u16::try_from(std::process::id() % u32::from(LAST - FIRST)).expect("it is below");
    let mut all = std::iter::repeat_with(|| FIRST + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % (LAST - FIRST));
    let free =
        all.by_ref().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).find(|at| TcpListener::bind(at).is_ok());
    free.expect("there are always more")
}
