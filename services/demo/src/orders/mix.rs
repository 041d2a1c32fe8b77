//! How calm or hostile a stream of orders is.

/// The adversities of a stream, each a rate between 0 and 1.
#[derive(Debug, Clone)]
pub struct Mix {
    /// Share of messages that are sent a second time, byte for byte.
    pub duplicates: f64,
    /// Share of orders of which every version is sent, not only the last one.
    pub versions: f64,
    /// Share of orders whose versions are sent in a random order.
    pub out_of_order: f64,
    /// Share of orders whose messages go to random partitions, whatever their key.
    pub scattered: f64,
    /// Share of orders that go from closed to cancelled and back to closed.
    pub revived: f64,
    /// Share of the other orders that end cancelled.
    pub cancelled: f64,
    /// Share of versions in which dishes were added to or taken off the order.
    pub items_changed: f64,
    /// Share of orders that name one dish on two lines.
    pub repeated_dishes: f64,
    /// Share of orders without any items.
    pub without_items: f64,
    /// Share of messages without the time of sending.
    pub without_sent_dttm: f64,
    /// Share of messages without the time of the last change.
    pub without_update_ts: f64,
    /// Share of messages whose key is missing or empty.
    pub empty_keys: f64,
}

impl Mix {
    /// What a well-behaved source sends: versions in order, few cancellations, nothing odd.
    #[must_use]
    pub fn calm() -> Self {
        Self {
            duplicates: 0.0,
            versions: 0.3,
            out_of_order: 0.0,
            scattered: 0.0,
            revived: 0.0,
            cancelled: 0.05,
            items_changed: 0.0,
            repeated_dishes: 0.05,
            without_items: 0.0,
            without_sent_dttm: 0.0,
            without_update_ts: 0.0,
            empty_keys: 0.0,
        }
    }

    /// Everything that may happen, far more often than it does.
    #[must_use]
    pub fn adversarial() -> Self {
        Self {
            duplicates: 0.15,
            versions: 0.6,
            out_of_order: 0.3,
            scattered: 0.3,
            revived: 0.1,
            cancelled: 0.15,
            items_changed: 0.2,
            repeated_dishes: 0.15,
            without_items: 0.02,
            without_sent_dttm: 0.05,
            without_update_ts: 0.05,
            empty_keys: 0.2,
        }
    }

    /// The statuses that one order goes through.
    pub(super) fn path(&self, random: &mut fastrand::Rng) -> Vec<&'static str> {
        let mut path = vec!["OPEN", "COOKING"];
        if random.bool() {
            path.push("DELIVERING");
        }
        path.push("CLOSED");
        if random.f64() < self.revived {
            path.extend(["CANCELLED", "CLOSED"]);
        } else if random.f64() < self.cancelled {
            path.push("CANCELLED");
        }
        path
    }
}
