//! What an order contributes to the counters, and what changes when it changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDateTime;
use ordervault_contracts::order_report::OrderReport;
use uuid::Uuid;

/// The status that takes an order off the counters.
pub const CANCELLED: &str = "CANCELLED";

/// What an order says at one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// The version.
    pub version: NaiveDateTime,
    /// How the order stands.
    pub status: String,
    /// Who ordered.
    pub user: Uuid,
    /// Where.
    pub restaurant: Uuid,
    /// Each dish once.
    pub products: BTreeSet<Uuid>,
    /// Each category once.
    pub categories: BTreeSet<Uuid>,
}

/// What has a name that may change. Hub keys are made of the business key alone, so two kinds may bear the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A dish.
    Product,
    /// A restaurant.
    Restaurant,
    /// A user, whose name stands in no counter.
    User,
}

impl Kind {
    /// As it is written in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Product => "product",
            Self::Restaurant => "restaurant",
            Self::User => "user",
        }
    }

    /// The kind that is written so.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Product, Self::Restaurant, Self::User].into_iter().find(|kind| kind.name() == name)
    }
}

/// A name of a dish, a restaurant or a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// What it is called.
    pub name: String,
    /// The version of the dictionary that says so.
    pub version: NaiveDateTime,
}

/// An order's report, ready to be counted.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its hub key.
    pub id: Uuid,
    /// What it says.
    pub contribution: Contribution,
    /// The names of its dishes, its restaurant and, where the report has it, its user.
    pub names: Vec<((Kind, Uuid), Name)>,
    /// The names of its categories, which never change: the key is made of the name.
    pub categories: Vec<(Uuid, String)>,
}

/// What is to be added to each counter; what would add nothing is left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences {
    /// By user and dish.
    pub user_product: BTreeMap<(Uuid, Uuid), i64>,
    /// By user and category.
    pub user_category: BTreeMap<(Uuid, Uuid), i64>,
    /// By restaurant and category.
    pub restaurant_category: BTreeMap<(Uuid, Uuid), i64>,
}

impl Order {
    /// Reads what counts from a report.
    #[must_use]
    pub fn new(report: &OrderReport) -> Self {
        let (payload, version) = (&report.payload, report.version().0);
        // A dish is as old as its restaurant's entry in the dictionary.
        let dictionary_version = payload.restaurant.update_ts.map_or(version, |time| time.0);
        let name = |name: &String| Name { name: name.clone(), version: dictionary_version };
        let mut names = vec![((Kind::Restaurant, payload.restaurant.id), name(&payload.restaurant.name))];
        names.extend(payload.products.iter().map(|product| ((Kind::Product, product.id), name(&product.name))));
        names.extend(payload.user.username.iter().map(|username| {
            let version = payload.user.update_ts.map_or(version, |time| time.0);
            ((Kind::User, payload.user.id), Name { name: username.clone(), version })
        }));
        let categories = payload.products.iter().map(|product| (product.category.id, product.category.name.clone()));
        let contribution = Contribution {
            version,
            status: payload.status.clone(),
            user: payload.user.id,
            restaurant: payload.restaurant.id,
            products: payload.products.iter().map(|product| product.id).collect(),
            categories: payload.products.iter().map(|product| product.category.id).collect(),
        };
        Self { id: payload.id, contribution, names, categories: categories.collect() }
    }
}

impl Differences {
    /// Notes that an order now says `new` where it said `old`.
    pub fn replace(&mut self, old: Option<&Contribution>, new: &Contribution) {
        if let Some(old) = old {
            self.add(old, -1);
        }
        self.add(new, 1);
    }

    /// Leaves out what adds nothing.
    pub fn settle(&mut self) {
        for counter in [&mut self.user_product, &mut self.user_category, &mut self.restaurant_category] {
            counter.retain(|_, difference| *difference != 0);
        }
    }

    fn add(&mut self, order: &Contribution, times: i64) {
        if order.status == CANCELLED {
            return;
        }
        for product in &order.products {
            *self.user_product.entry((order.user, *product)).or_default() += times;
        }
        for category in &order.categories {
            *self.user_category.entry((order.user, *category)).or_default() += times;
            *self.restaurant_category.entry((order.restaurant, *category)).or_default() += times;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: &str, products: &[u128]) -> Contribution {
        Contribution {
            version: NaiveDateTime::default(),
            status: status.to_owned(),
            user: Uuid::from_u128(1),
            restaurant: Uuid::from_u128(2),
            products: products.iter().map(|id| Uuid::from_u128(*id)).collect(),
            categories: [Uuid::from_u128(9)].into(),
        }
    }

    #[test]
    fn a_cancelled_order_is_taken_off_and_one_that_comes_back_is_counted_again() {
        let (closed, cancelled) = (order("CLOSED", &[3, 4]), order("CANCELLED", &[3, 4]));
        let mut differences = Differences::default();
        differences.replace(Some(&closed), &cancelled);
        assert!(differences.user_product.values().all(|difference| *difference == -1));
        differences.replace(Some(&cancelled), &closed);
        differences.settle();
        assert_eq!(differences, Differences::default());
    }

    #[test]
    fn the_same_order_again_changes_nothing() {
        let mut differences = Differences::default();
        differences.replace(Some(&order("CLOSED", &[3])), &order("CLOSED", &[3]));
        differences.settle();
        assert_eq!(differences, Differences::default());
    }

    #[test]
    fn only_the_dish_that_left_an_order_is_taken_off() {
        let mut differences = Differences::default();
        differences.replace(Some(&order("CLOSED", &[3, 4])), &order("CLOSED", &[4]));
        differences.settle();
        assert_eq!(differences.user_product, [((Uuid::from_u128(1), Uuid::from_u128(3)), -1)].into());
        assert!(differences.user_category.is_empty());
    }
}
