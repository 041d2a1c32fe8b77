//! How a metric is declared: once, with all that its registration and its line in `docs/metrics.md` need.

use prometheus::core::Collector;
use prometheus::{CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec};
use prometheus::{IntGauge, IntGaugeVec, Opts};

/// Whose value a replica shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Its own: the layer's is the sum.
    Member,
    /// The whole layer's, which every replica shows alike: the layer's is the greatest, and never the sum.
    Layer,
}

impl Scope {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Layer => "layer",
        }
    }
}

/// What is known of a metric before anything is measured.
#[derive(Clone, Copy, Debug)]
pub struct Declared {
    /// Its whole name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, beside `layer`.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets; none elsewhere.
    pub buckets: &'static [f64],
    /// Whose value it is.
    pub scope: Scope,
    /// What it says, as the comment on its field has it.
    pub help: &'static str,
}

impl Declared {
    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help.trim())
    }

    fn histogram(&self) -> HistogramOpts {
        HistogramOpts { common_opts: self.opts(), buckets: self.buckets.to_vec() }
    }
}

/// A metric that can be made as it is declared.
pub trait Metric: Collector + Clone + 'static {
    /// The kind in the text format.
    const KIND: &'static str;

    /// Makes it.
    fn make(declared: &Declared) -> prometheus::Result<Self>;
}

macro_rules! metric {
    ($type:ident, $kind:literal, |$declared:ident| $make:expr) => {
        impl Metric for $type {
            const KIND: &'static str = $kind;

            fn make($declared: &Declared) -> prometheus::Result<Self> {
                $make
            }
        }
    };
}

metric!(IntCounter, "counter", |declared| Self::with_opts(declared.opts()));
metric!(IntCounterVec, "counter", |declared| Self::new(declared.opts(), declared.labels));
metric!(CounterVec, "counter", |declared| Self::new(declared.opts(), declared.labels));
metric!(IntGauge, "gauge", |declared| Self::with_opts(declared.opts()));
metric!(IntGaugeVec, "gauge", |declared| Self::new(declared.opts(), declared.labels));
metric!(Gauge, "gauge", |declared| Self::with_opts(declared.opts()));
metric!(GaugeVec, "gauge", |declared| Self::new(declared.opts(), declared.labels));
metric!(Histogram, "histogram", |declared| Self::with_opts(declared.histogram()));
metric!(HistogramVec, "histogram", |declared| Self::new(declared.histogram(), declared.labels));

/// Declares all metrics: the struct that holds them, and [`Declared`] of each. The comment on a metric is its help text.
macro_rules! declare {
    ($(
        $(#[doc = $help:literal])+
        $scope:ident $field:ident: $type:ident = $name:literal $labels:tt $(buckets $buckets:ident)?;
    )+) => {
        /// The metrics of one service. Each also bears the label `layer`.
        #[derive(Debug)]
        pub struct Metrics {
            registry: Registry,
            $($(#[doc = $help])+ pub $field: $type,)+
        }

        /// Every metric of Ordervault's own, in the order of its declaration.
        pub const DECLARED: &[Declared] =
            &[$(declare!(@one $scope $type $name $labels [$($buckets)?] $($help)+)),+];

        impl Metrics {
            fn declared(registry: Registry) -> prometheus::Result<Self> {
                let metrics = Self {
                    $($field: <$type as Metric>::make(
                        &declare!(@one $scope $type $name $labels [$($buckets)?] $($help)+)
                    )?,)+
                    registry,
                };
                $(metrics.registry.register(Box::new(metrics.$field.clone()))?;)+
                Ok(metrics)
            }
        }
    };
    (@one $scope:ident $type:ident $name:literal $labels:tt [$($buckets:ident)?] $($help:literal)+) => {
        Declared {
            name: $name,
            kind: <$type as Metric>::KIND,
            labels: &$labels,
            buckets: declare!(@buckets $($buckets)?),
            scope: Scope::$scope,
            help: concat!($($help),+),
        }
    };
    (@buckets) => { &[] };
    (@buckets $buckets:ident) => { &$buckets };
}

pub(super) use declare;
