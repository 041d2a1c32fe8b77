//! The tasks beside the consumer loop. None of them may fall unseen: a layer that is not steered, or whose dead letters
//! wait for ever, looks well.

use std::future::pending;

use tokio::task::{JoinError, JoinSet};

/// Waits until one of the tasks has panicked; those that come to their end may do so.
pub async fn one_has_fallen(tasks: &mut JoinSet<()>) -> JoinError {
    while let Some(ended) = tasks.join_next().await {
        if let Err(fallen) = ended {
            return fallen;
        }
    }
    pending().await
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_seen_and_an_end_is_none() {
        let mut tasks = JoinSet::new();
        tasks.spawn(async {});
        tasks.spawn(pending());
        tokio::task::yield_now().await;
        assert!(one_has_fallen(&mut tasks).now_or_never().is_none());
        tasks.spawn(async { panic!("a defect") });
        assert!(one_has_fallen(&mut tasks).await.is_panic());
    }
}
