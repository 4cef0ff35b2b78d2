//! What the posts are about. Every name is made up.

/// A brand or product, and what people say of its kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub name: &'static str,
    pub aspects: &'static [&'static str],
}

const PHONE: &[&str] = &[
    "battery",
    "camera",
    "screen",
    "speaker",
    "fingerprint reader",
    "charger",
    "keyboard",
    "update",
];
const AIRLINE: &[&str] = &[
    "boarding",
    "legroom",
    "crew",
    "gate change",
    "baggage desk",
    "in-flight wifi",
    "rebooking",
    "food",
];
const COFFEE: &[&str] = &[
    "flat white",
    "oat latte",
    "queue",
    "new blend",
    "pastry",
    "barista",
    "loyalty card",
    "cold brew",
];
const BANK: &[&str] = &[
    "app",
    "login",
    "transfer",
    "support chat",
    "card",
    "exchange rate",
    "budget view",
    "fee",
];
const GAME: &[&str] = &[
    "matchmaking",
    "final boss",
    "soundtrack",
    "patch",
    "frame rate",
    "co-op mode",
    "tutorial",
    "story",
];
const HOTEL: &[&str] = &[
    "room",
    "breakfast",
    "check-in",
    "pool",
    "shower",
    "view",
    "air conditioning",
    "front desk",
];
const SERIES: &[&str] = &[
    "finale",
    "pilot",
    "casting",
    "pacing",
    "dialogue",
    "second season",
    "plot twist",
    "score",
];
const HEADPHONES: &[&str] = &[
    "noise cancelling",
    "case",
    "bass",
    "fit",
    "microphone",
    "pairing",
    "battery life",
    "ear tip",
];
const BIKE: &[&str] = &[
    "dock",
    "brakes",
    "unlock code",
    "saddle",
    "map",
    "night rate",
    "helmet box",
    "lane",
];
const DELIVERY: &[&str] = &[
    "courier",
    "packaging",
    "time slot",
    "refund",
    "tracking page",
    "substitution",
    "voucher",
    "order",
];

const fn subject(name: &'static str, aspects: &'static [&'static str]) -> Subject {
    Subject { name, aspects }
}

pub(super) const SUBJECTS: [Subject; 16] = [
    subject("Quillon 9", PHONE),
    subject("Tessera Fold", PHONE),
    subject("Norrvik Air", AIRLINE),
    subject("Bluefin Airways", AIRLINE),
    subject("Kestrel Coffee", COFFEE),
    subject("Moka & Pine", COFFEE),
    subject("Pennywell Bank", BANK),
    subject("Lumo Pay", BANK),
    subject("Ashfall Online", GAME),
    subject("Harbor of Kings", GAME),
    subject("Hotel Marisol", HOTEL),
    subject("The Glass Orchard", SERIES),
    subject("Velda Buds", HEADPHONES),
    subject("Sonder One", HEADPHONES),
    subject("CityLoop Bikes", BIKE),
    subject("Basket & Bell", DELIVERY),
];
