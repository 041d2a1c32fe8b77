//! The demonstration's backlog for services that run elsewhere, and the recount of what they made of it.
//!
//! The two have nothing in common but the servers: the recount counts whatever lies on the topic, however often and by
//! whomever it was filled.

use std::error::Error as StdError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sqlx::postgres::PgPool;

use crate::dictionary::Dictionary;
use crate::kafka::{self, Cluster};
use crate::orders::{Backlog, Mix, Plan};
use crate::recount::{NameCheck, Recount};
use crate::stage::{self, Standing, until};
use crate::{Error, servers};

/// The layers in the order of the pipeline, with topic and group as the services have them where nothing else is set.
const LAYERS: [(&str, &str); 3] =
    [(SOURCE, "ordervault-stg"), ("stg-service-orders", "ordervault-dds"), ("dds-service-orders", "ordervault-cdm")];
const SOURCE: &str = "order-service_orders";

/// Orders of a backlog where nothing else is wanted.
const ORDERS: u64 = 20_000;
/// So many order numbers belong to each seed, so that backlogs of different seeds share no order. All of them are whole
/// numbers to any reader of JSON.
const NUMBERS_OF_A_SEED: u32 = 1_000_000;
/// How long a backlog may take through all layers, on a slow machine.
const LONGEST: Duration = Duration::from_mins(30);

/// Which backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// How many orders.
    pub orders: u64,
    /// Which ones: the same seed makes the same orders again, and sends every record for another time.
    pub seed: u32,
}

impl Wanted {
    /// Reads `[--orders N] [--seed N]`; `None` where `arguments` are something else.
    #[must_use]
    pub fn parse(arguments: &[&str]) -> Option<Self> {
        let mut wanted = Self { orders: ORDERS, seed: fastrand::u32(..) };
        let mut arguments = arguments.iter();
        while let Some(option) = arguments.next() {
            let value = arguments.next()?;
            match *option {
                "--orders" => {
                    let orders = value.parse().ok();
                    wanted.orders = orders.filter(|orders| (1..=u64::from(NUMBERS_OF_A_SEED)).contains(orders))?;
                }
                "--seed" => wanted.seed = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(wanted)
    }

    fn first_order_id(self) -> i64 {
        i64::from(self.seed) * i64::from(NUMBERS_OF_A_SEED) + 1
    }
}

/// Fills Redis and the source topic; true when all of it is acknowledged.
pub async fn generate(wanted: Wanted) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let cluster = servers::kafka()?;
    let partitions = kafka::partitions(&cluster, SOURCE).await?;
    let Wanted { orders, seed } = wanted;
    let first_order_id = wanted.first_order_id();
    println!("seed {seed}: {orders} orders, numbered from {first_order_id}");

    let dictionary = Dictionary::generate(seed.into(), 500, 40);
    dictionary.write(&mut servers::dictionary().await?).await?;
    println!("500 users and 40 restaurants are in Redis");

    let plan = Plan { seed: seed.into(), first_order_id, orders, partitions, mix: Mix::adversarial() };
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::with_template("into Kafka {pos} {per_sec}")?);
    let begun = Instant::now();
    let backlog = Backlog::new(&dictionary, plan);
    let records = kafka::produce(&cluster, SOURCE, backlog, |sent| bar.set_position(sent)).await?;
    bar.finish_and_clear();
    println!(
        "{records} records are on {SOURCE} after {:.1} s: with duplicates, late versions and cancellations",
        begun.elapsed().as_secs_f64()
    );
    Ok(true)
}

/// Waits until all layers are done, counts anew and compares; says whether all is equal. With the address of CDM, what it
/// serves over REST is compared as well.
pub async fn recount(cdm: Option<&str>) -> Result<bool, Box<dyn StdError + Send + Sync>> {
    let (cluster, mut redis, pool) = (servers::kafka()?, servers::dictionary().await?, servers::warehouse().await?);
    let begun = Instant::now();
    println!("waiting until nothing is left to do in any layer");
    // Until the services have made their tables the question itself fails.
    until("the pipeline", LONGEST, async || Ok(is_settled(&cluster, &pool).await.unwrap_or(false).then_some(())))
        .await?;
    println!("all layers are done after {:.1} s; counting anew", begun.elapsed().as_secs_f64());

    let recount = Recount::of_topic(&cluster, SOURCE, &mut redis, &NameCheck::Present).await?;
    let summary = recount.summary();
    println!("{} records on {SOURCE} are {} versions of {} orders", summary.records, summary.versions, summary.orders);
    let mut reports =
        vec![recount.compare_stg(&pool).await?, recount.compare_dds(&pool).await?, recount.compare_cdm(&pool).await?];
    if let Some(cdm) = cdm {
        reports.push(recount.compare_reads(cdm.trim_end_matches('/'), servers::read_token().as_deref()).await?);
    }
    let mut equal = true;
    for report in reports {
        println!("{report}");
        equal &= report.is_equal();
    }
    println!("{}", if equal { "all of it is equal" } else { "there are differences" });
    Ok(equal)
}

/// Whether no layer has a record left, and no dead letter waits.
async fn is_settled(cluster: &Cluster, pool: &PgPool) -> Result<bool, Error> {
    // In the pipeline's order: what a layer has committed lies on the next one's topic before that is asked.
    for (topic, group) in LAYERS {
        let partitions = kafka::partitions(cluster, topic).await?;
        let standings = stage::standings(cluster, topic.to_owned(), group.to_owned(), partitions).await?;
        if standings.iter().map(Standing::lag).sum::<i64>() > 0 {
            return Ok(false);
        }
    }
    stage::nothing_waits(pool).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_in_any_order_and_nothing_else_is_taken() {
        let wanted = Wanted { orders: 5, seed: 7 };
        assert_eq!(Wanted::parse(&["--seed", "7", "--orders", "5"]), Some(wanted));
        assert_eq!(Wanted::parse(&[]).map(|wanted| wanted.orders), Some(ORDERS));
        for wrong in [["--orders", "0"], ["--orders", "1000001"], ["--seed", "-1"], ["--sed", "7"]] {
            assert_eq!(Wanted::parse(&wrong), None, "{wrong:?}");
        }
        assert_eq!(Wanted::parse(&["--seed"]), None);
    }

    #[test]
    fn no_order_belongs_to_two_seeds() {
        let last = Wanted { orders: u64::from(NUMBERS_OF_A_SEED), seed: u32::MAX };
        let before = Wanted { seed: u32::MAX - 1, ..last };
        assert_eq!(before.first_order_id() + i64::from(NUMBERS_OF_A_SEED), last.first_order_id());
        assert!(last.first_order_id() + i64::from(NUMBERS_OF_A_SEED) < 1 << 53);
    }
}
