//! The client that the questions are put to, made anew where it has had no answer for long.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::{end, outsider};
use crate::config::KafkaConfig;

/// Longer than a client needs to find its way back to brokers that have come back.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(10);

/// Puts questions to the broker.
pub struct Asking {
    config: KafkaConfig,
    present: Mutex<Present>,
}

struct Present {
    client: Arc<BaseConsumer>,
    answered: Instant,
}

impl Asking {
    /// With a client of its own; no connection is waited for.
    pub fn new(config: &KafkaConfig) -> KafkaResult<Self> {
        let present = Present { client: Arc::new(outsider(config).create()?), answered: Instant::now() };
        Ok(Self { config: config.clone(), present: Mutex::new(present) })
    }

    /// Asks, and remembers whether there was an answer.
    pub fn ask<T>(&self, question: impl FnOnce(&BaseConsumer) -> KafkaResult<T>) -> KafkaResult<T> {
        let client = Arc::clone(&self.present().client);
        let answer = question(&client);
        // What else the client has to say is said by the consumer's own; unheard it would pile up.
        while client.poll(Duration::ZERO).is_some() {}
        self.note(&client, answer.is_ok());
        answer
    }

    fn note(&self, asked: &Arc<BaseConsumer>, answered: bool) {
        let mut present = self.present();
        // What became of a question to a client that has been replaced says nothing of its successor.
        if !Arc::ptr_eq(&present.client, asked) {
            return;
        }
        if answered {
            present.answered = Instant::now();
        } else if present.answered.elapsed() > GIVEN_UP_AFTER {
            match outsider(&self.config).create() {
                Ok(client) => {
                    tracing::debug!("the client that asks the broker has had no answer and is replaced");
                    end(std::mem::replace(&mut present.client, Arc::new(client)));
                    present.answered = Instant::now();
                }
                Err(error) => tracing::error!(%error, "the client that asks the broker could not be made anew"),
            }
        }
    }

    /// A panic elsewhere leaves it whole.
    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
