//! Records that go on coming in while something else is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use super::Stage;
use crate::Error;
use crate::kafka::Producer;
use crate::orders::Produced;

/// A stream of records onto a layer's topic.
pub struct Stream {
    over: Arc<AtomicBool>,
    producing: JoinHandle<Result<u64, Error>>,
}

impl Stream {
    /// Begins to produce `messages` at `per_second` onto the topic that a layer reads.
    pub fn begin(
        stage: &Stage,
        layer: &str,
        messages: impl Iterator<Item = Produced> + Send + 'static,
        per_second: f64,
    ) -> Result<Self, Error> {
        let mut producer = Producer::new(&stage.cluster)?;
        let (over, topic) = (Arc::new(AtomicBool::new(false)), stage.source_topic(layer));
        let asked = Arc::clone(&over);
        let producing = tokio::spawn(async move {
            let messages = messages.take_while(move |_| !asked.load(Ordering::Relaxed));
            producer.pace(&topic, messages, per_second).await?;
            producer.flush().await?;
            Ok(producer.delivered())
        });
        Ok(Self { over, producing })
    }

    /// Ends it; returns how many records there were, all of them acknowledged.
    pub async fn end(self) -> Result<u64, Error> {
        self.over.store(true, Ordering::Relaxed);
        self.producing.await?
    }
}
