//! Whether the client still reaches Kafka: one that has lost it for good says nothing ([`crate::broker`] tells how that
//! comes), and its partitions lie still while all seems well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use tokio::task::JoinHandle;

use super::Consumer;
use super::client::Client;
use crate::broker::Broker;
use crate::processor::Processor;

/// How often it is looked while there is reason to doubt, and how often while there is none: every question is one that
/// may be answered with no brokers.
const SOON: Duration = Duration::from_secs(5);
const SELDOM: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(3);
/// So many looks in a row. One alone may fall into the moment in which Kafka comes back, which two clients do not
/// notice together.
const ENOUGH: u32 = 2;

/// What is known of the client's contact.
pub struct Contact {
    broker: Arc<Broker>,
    look: Option<JoinHandle<Seen>>,
    looked: Instant,
    in_doubt: bool,
    cut_off: u32,
}

/// What a look finds.
enum Seen {
    /// The client has its answer.
    Answered,
    /// Nobody has: Kafka is away.
    Away,
    /// Another client has.
    CutOff,
}

impl Contact {
    /// Compares with the answers that this one gets.
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker, look: None, looked: Instant::now(), in_doubt: false, cut_off: 0 }
    }

    /// The client has lost its last connection.
    pub fn doubt(&mut self) {
        self.in_doubt = true;
    }

    /// The client is a new one: what was seen of the old does not count.
    pub fn begin_anew(&mut self) {
        (self.look, self.looked, self.in_doubt, self.cut_off) = (None, Instant::now(), false, 0);
    }

    fn is_due(&self) -> bool {
        self.look.is_none() && self.looked.elapsed() > if self.in_doubt { SOON } else { SELDOM }
    }

    fn begin(&mut self, client: &Arc<Client>) {
        let (client, broker) = (Arc::clone(client), Arc::clone(&self.broker));
        // What raises doubt from now on is not settled by this look: an answer without brokers is one as well.
        (self.looked, self.in_doubt) = (Instant::now(), false);
        self.look = Some(tokio::task::spawn_blocking(move || {
            if !has_nobody_to_ask(&client, broker.topic()) {
                Seen::Answered
            } else if broker.partitions().is_err() {
                Seen::Away
            } else {
                Seen::CutOff
            }
        }));
    }

    /// Takes in what a look has found, once it is over.
    fn see(&mut self) {
        let Some(seen) = self.look.as_mut().and_then(FutureExt::now_or_never) else { return };
        self.look = None;
        self.in_doubt |= !matches!(seen, Ok(Seen::Answered));
        self.cut_off = if matches!(seen, Ok(Seen::CutOff)) { self.cut_off + 1 } else { 0 };
    }
}

impl<P: Processor> Consumer<P> {
    /// Looks from time to time whether the client gets an answer, and has it replaced where only others do. While
    /// nobody does, another client would be no better off, and batches in flight may go on.
    pub(super) fn keep_contact(&mut self) {
        self.contact.see();
        if self.contact.cut_off >= ENOUGH {
            self.contact.cut_off = 0;
            self.rejoin("it reaches no broker, where another client does");
        }
        if self.contact.is_due() {
            self.contact.begin(&self.client);
        }
    }
}

/// Whether the client finds no broker to put a question to. One that was asked and is slow to answer is another matter.
fn has_nobody_to_ask(client: &Client, topic: &str) -> bool {
    let answer = client.fetch_metadata(Some(topic), PATIENCE);
    answer.is_err_and(|error| error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure))
}
