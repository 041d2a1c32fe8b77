//! How many wrong tokens came from which address.
//!
//! The count only decides what a wrong token is answered, and never keeps a right one out: behind a proxy all clients have
//! one address, and whoever errs often enough would lock the operators out. Against guesses a token's own length stands.

use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;

const WINDOW: Duration = Duration::from_mins(1);

/// So many addresses are remembered; the one that has erred least recently is forgotten first.
const ADDRESSES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Counts wrong tokens by address, in minutes that begin with the first.
pub(super) struct FailedLogins {
    most: NonZeroU32,
    by_address: Mutex<LruCache<IpAddr, Minute>>,
}

#[derive(Clone, Copy)]
struct Minute {
    began: Instant,
    failed: u32,
}

impl FailedLogins {
    pub fn new(most: NonZeroU32) -> Self {
        Self { most, by_address: Mutex::new(LruCache::new(ADDRESSES)) }
    }

    /// Notes a wrong token; the error is for how long the address has to wait because there were too many.
    pub fn note(&self, from: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let minute = by_address.get_or_insert_mut(network(from), || Minute { began: now, failed: 0 });
        if now.duration_since(minute.began) >= WINDOW {
            *minute = Minute { began: now, failed: 0 };
        }
        if minute.failed >= self.most.get() {
            return Err(WINDOW.saturating_sub(now.duration_since(minute.began)));
        }
        minute.failed += 1;
        Ok(())
    }
}

/// Who has one IPv6 address has all of its /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_own_count_which_begins_anew_after_a_minute() {
        let logins = FailedLogins::new(NonZeroU32::MIN.saturating_add(1));
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let began = Instant::now();
        assert_eq!(logins.note(one, began), Ok(()));
        assert_eq!(logins.note(one, began + Duration::from_secs(10)), Ok(()));
        assert_eq!(logins.note(one, began + Duration::from_secs(20)), Err(Duration::from_secs(40)));
        assert_eq!(logins.note(other, began + Duration::from_secs(20)), Ok(()));
        assert_eq!(logins.note(one, began + Duration::from_mins(1)), Ok(()));
    }

    #[test]
    fn addresses_of_one_network_count_together_and_their_number_is_bounded() {
        let logins = FailedLogins::new(NonZeroU32::MIN);
        let now = Instant::now();
        assert_eq!(logins.note("2001:db8::1".parse().unwrap(), now), Ok(()));
        assert!(logins.note("2001:db8::2".parse().unwrap(), now).is_err());
        assert_eq!(logins.note("::ffff:192.0.2.1".parse().unwrap(), now), Ok(()));
        assert!(logins.note("192.0.2.1".parse().unwrap(), now).is_err());
        for number in 0..20_000_u32 {
            assert_eq!(logins.note(IpAddr::from(number.to_be_bytes()), now), Ok(()));
        }
        assert_eq!(logins.by_address.lock().unwrap().len(), ADDRESSES.get());
    }
}
