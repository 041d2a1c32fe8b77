//! The versions that the vault takes, with their keys at hand.

use std::collections::BTreeMap;

use super::dictionary::{Resolved, Snapshot};
use super::numbers::{python_text, stored_text};
use super::orders::{Orders, Version};

/// A version of an order that is good for the vault.
#[derive(Debug)]
pub(super) struct Fact<'a> {
    pub(super) resolved: Resolved<'a>,
    pub(super) order_id: String,
    pub(super) cost: Amount,
    pub(super) payment: Amount,
}

/// An amount of money.
#[derive(Debug)]
pub(super) struct Amount {
    /// As it enters a key.
    pub(super) in_key: String,
    /// As its column holds it.
    pub(super) stored: String,
}

/// All good versions, and how many are not.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) all: Vec<Fact<'a>>,
    /// Versions that refer to something the dictionary does not have.
    pub(super) waiting: usize,
    /// Versions that the vault's columns cannot take.
    pub(super) refused: usize,
}

impl<'a> Facts<'a> {
    /// Sorts the versions of all orders into good ones and others.
    pub(super) fn of(orders: &'a Orders, snapshot: &'a Snapshot) -> Self {
        let mut facts = Self::default();
        for version in &orders.versions {
            let Some(resolved) = snapshot.resolve(version) else {
                facts.waiting += 1;
                continue;
            };
            match Fact::of(resolved) {
                Some(fact) => facts.all.push(fact),
                None => facts.refused += 1,
            }
        }
        facts
    }

    /// Of every order the version that stays.
    pub(super) fn newest(&self) -> impl Iterator<Item = &Fact<'a>> {
        let mut newest: BTreeMap<i64, &Fact<'a>> = BTreeMap::new();
        for fact in &self.all {
            let kept = newest.entry(fact.version().order).or_insert(fact);
            if fact.version().supersedes(kept.version()) {
                *kept = fact;
            }
        }
        newest.into_values()
    }
}

impl<'a> Fact<'a> {
    fn of(resolved: Resolved<'a>) -> Option<Self> {
        // PostgreSQL's text has no place for the character 0.
        if resolved.version.status.contains('\0') {
            return None;
        }
        let cost = Amount::of(&resolved.version.cost)?;
        let payment = Amount::of(&resolved.version.payment)?;
        Some(Self { order_id: resolved.version.order.to_string(), cost, payment, resolved })
    }

    pub(super) fn version(&self) -> &'a Version {
        self.resolved.version
    }
}

impl Amount {
    fn of(json: &str) -> Option<Self> {
        Some(Self { in_key: python_text(json)?, stored: stored_text(json)? })
    }
}
