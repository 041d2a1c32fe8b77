//! The running services on real servers, whatever befalls them. All in one program: these tests wait far more than they
//! work, so that several run at a time, and what they are built on is linked once. Beside it stand those that load the
//! machine themselves, `contract`, and those that other load would disturb, `incidents`.

#![expect(clippy::unwrap_used, reason = "tests may")]

mod beginnings;
mod proxied;

// What becomes of records and orders.
mod becomes;
mod adversarial;
mod surroundings;
mod recreated;
mod too_much;
mod renaming;
mod orders;
mod takeover;

// What falls, stands still, comes back or follows.
mod kills;
mod frozen;
mod handover;
mod outages;
mod failover;
mod breaker;
mod shutdown;
mod migrating;
mod upgrades;

// What operators do.
mod pauses;
mod pause_changes;
mod resets;
mod reset_falls;
mod letters;
mod replays;
mod republish;
mod stored_orders;
mod jobs;
mod audit;
mod tidying;
mod runbooks;

// What the outside sees.
mod settings;
mod access;
mod answers;
mod lag;
mod reads;
mod traces;
