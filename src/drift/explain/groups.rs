//! Whether a drift is of one source or subject, of some, or of all.

use std::collections::HashMap;

use serde::Serialize;

use super::super::counts::Counts;
use super::super::proportion::share;
use super::super::reading::Reading;

/// Groups of a kind that are looked at one by one; all smaller ones count as one more.
pub const LARGEST: usize = 50;
/// Groups that "some" may be at most.
const SOME: usize = 5;

/// What messages are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// The platform or feed.
    Source,
    /// What a message is about.
    Subject,
}

/// A group of messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Group {
    /// What it is a group by.
    pub kind: GroupKind,
    /// The source or subject, empty where messages name none; no name at all for the smaller groups taken together.
    pub name: Option<String>,
}

/// A group's part in a window and in its distance from the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupPart {
    /// The group.
    pub group: Group,
    /// Its messages in the window.
    pub messages: u64,
    /// Its share of the window's messages.
    pub share: f64,
    /// Its share of the reference's messages; of sources only, as a reference does not hold subjects.
    pub reference_share: Option<f64>,
    /// Shares of the labels predicted in it, in the labels' order.
    pub classes: Vec<f64>,
    /// The distance of the window's other messages; none where there are none or too few others.
    pub distance_without: Option<f64>,
    /// How far the distance falls without the group; below zero where it rises.
    pub fall: Option<f64>,
}

/// How widely a drift is spread.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One group carries it: it holds under half of the messages, and without it the distance falls below the threshold, as it
    /// does not without as many others.
    One(Group),
    /// These groups, at most five of one kind, carry it together and none alone.
    Some(Vec<Group>),
    /// It is in all of them.
    All,
}

/// The parts of the largest groups of each kind, and how widely the drift is spread.
///
/// One or some groups carry a drift if
/// 1. they hold under half of the window's messages,
/// 2. without them the distance falls below the threshold, and
/// 3. without as many other messages, taken evenly over the window, it does not.
///
/// The third condition is there because a p-value grows towards one with every message taken out, whatever it says. If both
/// sources and subjects qualify, the smaller part of the window is named, for it says more. Smaller groups taken together are
/// never named.
pub(super) fn explain(
    window: &[&Reading],
    counts: &Counts,
    reference: &Counts,
    threshold: f64,
    distance: impl Fn(&Counts) -> Option<f64>,
) -> (Vec<GroupPart>, Option<Scope>) {
    let whole = distance(counts).unwrap_or(0.0);
    let mut parts = Vec::new();
    let mut carriers = Vec::new();
    for kind in [GroupKind::Source, GroupKind::Subject] {
        let setting = Setting {
            window,
            counts,
            threshold,
            distance: &distance,
            membership: Membership::of(window, kind),
        };
        let of_kind = setting.parts(kind, reference, whole);
        if whole >= threshold {
            carriers.extend(setting.carriers(&of_kind));
        }
        parts.extend(of_kind);
    }
    let scope = (whole >= threshold).then(|| {
        carriers.sort_by_key(|(names, messages)| (names.len(), *messages));
        match carriers.into_iter().next() {
            None => Scope::All,
            Some((mut groups, _)) if groups.len() == 1 => Scope::One(groups.remove(0)),
            Some((groups, _)) => Scope::Some(groups),
        }
    });
    (parts, scope)
}

fn name(reading: &Reading, kind: GroupKind) -> &str {
    match kind {
        GroupKind::Source => &reading.source,
        GroupKind::Subject => &reading.subject,
    }
}

/// Which message of the window is in which group.
struct Membership {
    /// The largest groups, by falling number of messages, then by name; none for the smaller ones.
    names: Vec<Option<String>>,
    /// For each message, the index of its group.
    of: Vec<usize>,
}

impl Membership {
    fn of(window: &[&Reading], kind: GroupKind) -> Self {
        let mut sizes: HashMap<&str, u64> = HashMap::new();
        for reading in window {
            *sizes.entry(name(reading, kind)).or_default() += 1;
        }
        let mut ordered: Vec<(&str, u64)> = sizes.into_iter().collect();
        ordered.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let has_rest = ordered.len() > LARGEST;
        ordered.truncate(LARGEST);
        let places: HashMap<&str, usize> = ordered.iter().map(|(name, _)| *name).zip(0..).collect();
        let place =
            |reading: &&Reading| places.get(name(reading, kind)).copied().unwrap_or(LARGEST);
        let mut names: Vec<Option<String>> = ordered
            .iter()
            .map(|(name, _)| Some((*name).to_owned()))
            .collect();
        if has_rest {
            names.push(None);
        }
        Self {
            of: window.iter().map(place).collect(),
            names,
        }
    }
}

/// Whether counts tell where their messages come from: those of training data mostly do not.
fn names_sources(counts: &Counts) -> bool {
    counts.sources.keys().any(|source| !source.is_empty())
}

struct Setting<'a, D> {
    window: &'a [&'a Reading],
    counts: &'a Counts,
    threshold: f64,
    distance: &'a D,
    membership: Membership,
}

impl<D: Fn(&Counts) -> Option<f64>> Setting<'_, D> {
    /// Counts over the messages whose indices pass.
    fn count(&self, pass: impl Fn(usize) -> bool) -> Counts {
        let mut counts = Counts::new(self.counts.shape());
        for (index, reading) in self.window.iter().enumerate() {
            if pass(index) {
                counts.add(reading);
            }
        }
        counts
    }

    /// The distance of the window without some of its messages, if any are left.
    fn without(&self, part: &Counts) -> Option<f64> {
        let mut rest = self.counts.clone();
        rest.subtract(part);
        if rest.messages == 0 {
            return None;
        }
        (self.distance)(&rest)
    }

    fn parts(&self, kind: GroupKind, reference: &Counts, whole: f64) -> Vec<GroupPart> {
        let of_group = |(place, name): (usize, &Option<String>)| {
            let counts = self.count(|index| self.membership.of[index] == place);
            let distance_without = self.without(&counts);
            GroupPart {
                group: Group {
                    kind,
                    name: name.clone(),
                },
                messages: counts.messages,
                share: share(counts.messages, self.counts.messages),
                reference_share: (kind == GroupKind::Source && names_sources(reference))
                    .then(|| share(self.known(name.as_deref(), reference), reference.messages)),
                classes: counts
                    .classes
                    .iter()
                    .map(|&count| share(count, counts.messages))
                    .collect(),
                distance_without,
                fall: distance_without.map(|without| whole - without),
            }
        };
        let names = self.membership.names.iter().enumerate();
        names.map(of_group).collect()
    }

    /// The reference's messages of a source, or of all that are not among the largest here.
    fn known(&self, source: Option<&str>, reference: &Counts) -> u64 {
        let of = |name: &str| reference.sources.get(name).copied().unwrap_or(0);
        if let Some(source) = source {
            return of(source);
        }
        let named = self.membership.names.iter().flatten();
        reference.messages
            - named
                .map(|name| of(name))
                .sum::<u64>()
                .min(reference.messages)
    }

    /// The fewest groups that carry the drift, those with the largest fall first, and how many messages they have.
    fn carriers(&self, parts: &[GroupPart]) -> Option<(Vec<Group>, u64)> {
        let fall = |place: &usize| parts[*place].fall.unwrap_or(f64::NEG_INFINITY);
        let mut order: Vec<usize> = (0..parts.len())
            .filter(|&place| parts[place].group.name.is_some() && fall(&place) > 0.0)
            .collect();
        order.sort_by(|a, b| f64::total_cmp(&fall(b), &fall(a)));
        // Alone, each in its turn; then the first few together.
        let alone = order.iter().map(|&place| vec![place]);
        let together = (2..=order.len().min(SOME)).map(|many| order[..many].to_vec());
        let candidates = alone.take(SOME).chain(together);
        candidates
            .filter(|places| self.carry(places, parts))
            .map(|places| {
                let groups = places.iter().map(|&place| parts[place].group.clone());
                let messages = places.iter().map(|&place| parts[place].messages);
                (groups.collect(), messages.sum())
            })
            .next()
    }

    /// The criterion of [`explain`].
    fn carry(&self, places: &[usize], parts: &[GroupPart]) -> bool {
        let inside = |index: usize| places.contains(&self.membership.of[index]);
        let taken: u64 = places.iter().map(|&place| parts[place].messages).sum();
        if taken * 2 >= self.counts.messages {
            return false;
        }
        let without = match places {
            [place] => parts[*place].distance_without,
            _ => self.without(&self.count(inside)),
        };
        if !without.is_some_and(|distance| distance < self.threshold) {
            return false;
        }
        let others: Vec<usize> = (0..self.window.len()).filter(|&i| !inside(i)).collect();
        let mut chosen = vec![false; self.window.len()];
        for step in 0..taken as usize {
            chosen[others[step * others.len() / taken as usize]] = true;
        }
        self.without(&self.count(|index| chosen[index]))
            .is_some_and(|distance| distance >= self.threshold)
    }
}
