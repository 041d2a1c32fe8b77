//! A record as it came from Kafka, owned, byte for byte.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};

/// Header that carries the time at which the source record entered Kafka, in milliseconds since 1970, as text.
pub const SOURCE_TIME_HEADER: &str = "ordervault-source-time-ms";

/// Header of the W3C trace context.
pub const TRACEPARENT_HEADER: &str = "traceparent";

/// One Kafka record.
#[derive(Clone, Debug)]
pub struct Record {
    /// The topic it lies on.
    pub topic: Arc<str>,
    /// The partition it lies on.
    pub partition: i32,
    /// Its place in the partition.
    pub offset: i64,
    /// When it entered Kafka; 1970 where Kafka has no time for it.
    pub time: DateTime<Utc>,
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, of which facts may keep parts; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// The headers in their order.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name.
    pub name: String,
    /// The value, which may be null.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// Copies a message out of the consumer's buffers.
    #[must_use]
    pub fn copy_of(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Self {
        Self {
            topic: Arc::clone(topic),
            partition: message.partition(),
            offset: message.offset(),
            time: entered(message).unwrap_or_default(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(Bytes::copy_from_slice),
            headers: headers_of(message),
        }
    }

    /// The time at which the *source* record entered Kafka: the header of the layer before, else this record's own time.
    #[must_use]
    pub fn source_time(&self) -> DateTime<Utc> {
        self.header(SOURCE_TIME_HEADER).and_then(|text| text.parse().ok()).and_then(since_1970).unwrap_or(self.time)
    }

    /// The value of a header where it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|header| header.name == name)?;
        std::str::from_utf8(header.value.as_deref()?).ok()
    }

    /// How much memory the record holds, near enough for the bounds on what is buffered.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const OVERHEAD: usize = size_of::<Record>();
        let headers: usize =
            self.headers.iter().map(|header| header.name.len() + header.value.as_ref().map_or(0, Vec::len)).sum();
        OVERHEAD + self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Bytes::len) + headers
    }
}

/// When a message entered Kafka.
pub(crate) fn entered(message: &BorrowedMessage<'_>) -> Option<DateTime<Utc>> {
    message.timestamp().to_millis().and_then(since_1970)
}

/// A time before 1970 is none: no producer means it, and PostgreSQL does not hold all of them.
fn since_1970(millis: i64) -> Option<DateTime<Utc>> {
    if millis < 0 { None } else { DateTime::from_timestamp_millis(millis) }
}

fn headers_of(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let header = |place| {
        let header = headers.try_get(place)?;
        Some(Header { name: header.key.to_owned(), value: header.value.map(<[u8]>::to_vec) })
    };
    // The client panics on a header's name that is not UTF-8. Such a name must not stop the partition for ever, so the
    // record goes on without that header; it is not one that is needed.
    (0..headers.count()).filter_map(|place| catch_unwind(AssertUnwindSafe(|| header(place))).ok().flatten()).collect()
}
