//! Ports for the services to listen on.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections: one of those, found free, may be in use a moment later.
const PORTS: Range<u16> = 20_000..32_000;

/// Each is given once, beginning anywhere, so that neither two services nor two programs come by the same.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..)));

/// A port on which nobody listens, and of which nobody else is told.
pub fn free() -> io::Result<u16> {
    let free = PORTS
        .map(|_| PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start))
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.ok_or_else(|| io::Error::from(io::ErrorKind::AddrInUse))
}
