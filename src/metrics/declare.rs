//! How a metric is declared: its doc comment is its help text, its type says what it is and how it is told apart.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// What a declaration says.
#[derive(Debug)]
pub(super) struct Declared {
    pub name: String,
    #[cfg(test)]
    pub kind: &'static str,
    pub labels: &'static [&'static str],
    pub buckets: &'static [f64],
    pub help: String,
}

impl Declared {
    /// Its row in docs/metrics.md.
    #[cfg(test)]
    pub(super) fn row(&self) -> String {
        let labels: Vec<String> = self
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        format!(
            "| `{}` | {} | {} | {} |\n",
            self.name,
            self.kind,
            labels.join(", "),
            self.help
        )
    }

    fn opts(&self) -> Opts {
        Opts::new(&self.name, &self.help)
    }

    fn histogram_opts(&self) -> HistogramOpts {
        HistogramOpts::new(&self.name, &self.help).buckets(self.buckets.to_vec())
    }
}

/// A label whose values are all known beforehand.
pub trait Label: Copy + PartialEq + 'static {
    const ALL: &'static [Self];

    fn value(self) -> &'static str;
}

/// One metric for each value of a label; all exist from the start.
#[derive(Debug)]
pub struct By<L, M> {
    /// In the order of `L::ALL`.
    members: Vec<M>,
    label: PhantomData<L>,
}

impl<L: Label, M> By<L, M> {
    fn new(member: impl Fn(&[&str]) -> M) -> Self {
        Self {
            members: L::ALL
                .iter()
                .map(|label| member(&[label.value()]))
                .collect(),
            label: PhantomData,
        }
    }

    /// The one for this value.
    ///
    /// # Panics
    ///
    /// Never: `ALL` holds every value.
    #[must_use]
    pub fn of(&self, label: L) -> &M {
        let at = L::ALL.iter().position(|&other| other == label);
        &self.members[at.expect("ALL holds every value")]
    }
}

/// What can be declared.
pub(super) trait Metric: Sized {
    #[cfg(test)]
    const KIND: &'static str;

    fn make(declared: &Declared, registry: &Registry) -> prometheus::Result<Self>;
}

fn registered<C: Collector + Clone + 'static>(
    collector: C,
    registry: &Registry,
) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// How each type is made of `declared`.
macro_rules! metric {
    ($($type:ty, $kind:literal, |$declared:ident| $made:expr;)+) => {$(
        impl Metric for $type {
            #[cfg(test)]
            const KIND: &'static str = $kind;

            fn make($declared: &Declared, registry: &Registry) -> prometheus::Result<Self> {
                registered($made?, registry)
            }
        }
    )+};
}

metric! {
    IntCounter, "counter", |declared| Self::with_opts(declared.opts());
    IntGauge, "gauge", |declared| Self::with_opts(declared.opts());
    Gauge, "gauge", |declared| Self::with_opts(declared.opts());
    Histogram, "histogram", |declared| Self::with_opts(declared.histogram_opts());
    IntCounterVec, "counter", |declared| Self::new(declared.opts(), declared.labels);
    IntGaugeVec, "gauge", |declared| Self::new(declared.opts(), declared.labels);
    HistogramVec, "histogram", |declared| Self::new(declared.histogram_opts(), declared.labels);
}

impl<L: Label> Metric for By<L, IntCounter> {
    #[cfg(test)]
    const KIND: &'static str = IntCounterVec::KIND;

    fn make(declared: &Declared, registry: &Registry) -> prometheus::Result<Self> {
        let family = IntCounterVec::make(declared, registry)?;
        Ok(Self::new(|labels| family.with_label_values(labels)))
    }
}

impl<L: Label> Metric for By<L, Histogram> {
    #[cfg(test)]
    const KIND: &'static str = HistogramVec::KIND;

    fn make(declared: &Declared, registry: &Registry) -> prometheus::Result<Self> {
        let family = HistogramVec::make(declared, registry)?;
        Ok(Self::new(|labels| family.with_label_values(labels)))
    }
}

/// Makes metrics one after the other.
#[derive(Debug, Default)]
pub(super) struct Declarations {
    pub registry: Registry,
    /// For the test that compares them with the documentation.
    #[cfg(test)]
    pub inventory: Vec<Declared>,
}

impl Declarations {
    /// # Panics
    ///
    /// Prometheus refuses the declaration, which every test that touches metrics then shows.
    pub(super) fn add<M: Metric>(
        &mut self,
        name: &str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
        help: &str,
    ) -> M {
        let declared = Declared {
            name: format!("tidewatch_{name}"),
            #[cfg(test)]
            kind: M::KIND,
            labels,
            buckets,
            help: help.trim().to_owned(),
        };
        let made = M::make(&declared, &self.registry).expect("the declaration is sound");
        #[cfg(test)]
        self.inventory.push(declared);
        made
    }
}

/// `field: Type = "name" by ["label"] in BUCKETS;` under a doc comment that becomes the help text.
macro_rules! metrics {
    ($(
        #[doc = $help:literal]
        $field:ident: $type:ty = $name:literal $(by [$($label:literal),+])? $(in $buckets:ident)?;
    )+) => {
        /// The metrics by name.
        #[derive(Debug)]
        pub struct Families {
            $(#[doc = $help] pub $field: $type,)+
        }

        impl Families {
            fn declare(declarations: &mut Declarations) -> Self {
                Self {
                    $($field: declarations.add(
                        $name,
                        &[$($($label),+)?],
                        [$(&$buckets[..])?].first().copied().unwrap_or_default(),
                        $help,
                    ),)+
                }
            }
        }
    };
}

pub(super) use metrics;
