//! Which module may use which: the table.

/// What a module may use beside itself, and why no more.
pub(super) struct Rule {
    pub(super) module: &'static str,
    /// Modules, or parts of modules.
    pub(super) may_use: &'static [&'static str],
    pub(super) because: &'static str,
}

/// In the order of the data. A module that is not listed here may use everything: it composes.
pub(super) const RULES: &[Rule] = &[
    Rule {
        module: "adjustment",
        may_use: &[],
        because: "whoever applies or undoes a correction of probabilities needs nothing else",
    },
    Rule {
        module: "record",
        may_use: &[],
        because: "it holds the types handed over, and reading them must need nothing else",
    },
    Rule {
        module: "blocking",
        may_use: &[],
        because: "it is a thread to wait on",
    },
    Rule {
        module: "clock",
        may_use: &[],
        because: "reading a time needs nothing",
    },
    Rule {
        module: "json",
        may_use: &[],
        because: "finding a value needs nothing",
    },
    Rule {
        module: "nearby",
        may_use: &[],
        because: "finding a file needs nothing",
    },
    Rule {
        module: "refusal",
        may_use: &[],
        because: "whoever makes a Kafka client needs it",
    },
    Rule {
        module: "reminder",
        may_use: &[],
        because: "whoever keeps a Kafka client for long needs it",
    },
    Rule {
        module: "fault",
        may_use: &[],
        because: "a point may stand anywhere",
    },
    Rule {
        module: "coin",
        may_use: &[],
        because: "whoever draws messages by chance needs it",
    },
    Rule {
        module: "special",
        may_use: &[],
        because: "distributions need nothing",
    },
    Rule {
        module: "durable",
        may_use: &[],
        because: "whoever writes files that must outlast a power cut needs it",
    },
    Rule {
        module: "log",
        may_use: &[],
        because: "everything may log, so logging may use nothing",
    },
    Rule {
        module: "health",
        may_use: &[],
        because: "every part reports to it, so it may know none",
    },
    Rule {
        module: "labels",
        may_use: &["record", "clock", "json"],
        because: "what a label is must not depend on how it came or where it is kept",
    },
    Rule {
        module: "metrics",
        may_use: &["record", "labels"],
        because: "every part counts with it; it knows only what is counted",
    },
    Rule {
        module: "model",
        may_use: &["record", "adjustment", "nearby", "rollout::share"],
        because: "a model scores texts wherever they come from: it knows neither Kafka nor Postgres",
    },
    Rule {
        module: "watermark",
        may_use: &["record"],
        because: "in what order of event time partitions are heard concerns neither what is counted nor by whom",
    },
    Rule {
        module: "drift",
        may_use: &["record", "adjustment", "coin", "watermark"],
        because: "whether the feed has changed is arithmetic over readings, wherever they come from",
    },
    Rule {
        module: "alerts",
        may_use: &["record", "watermark"],
        because: "whether sentiment has changed is arithmetic over counts, wherever they come from",
    },
    Rule {
        module: "store",
        may_use: &["record", "labels", "fault", "metrics", "rollout"],
        because: "SQL is written for records, whoever makes them",
    },
    Rule {
        module: "registry",
        may_use: &["blocking", "record", "durable", "fault", "model", "store"],
        because: "which bundles there are and which one serves must be known wherever one is loaded, without stages or training",
    },
    Rule {
        module: "deploy",
        may_use: &[
            "record", "metrics", "model", "rollout", "store", "registry", "monitor",
        ],
        because: "which model serves is the registry's word, and the stages take what is live",
    },
    Rule {
        module: "pipeline",
        may_use: &[
            "record", "clock", "json", "fault", "refusal", "reminder", "model", "rollout", "drift",
            "store", "metrics", "health",
        ],
        because: "the stages join messages, model and store, and run without probes, demo or command line",
    },
    Rule {
        module: "notify",
        may_use: &[
            "record",
            "alerts",
            "store",
            "metrics",
            "refusal",
            "pipeline::config",
            "pipeline::client",
        ],
        because: "couriers deliver what stands in Postgres, whoever has written it",
    },
    Rule {
        module: "monitor",
        may_use: &[
            "record",
            "watermark",
            "labels",
            "drift",
            "alerts",
            "annotate",
            "model",
            "store",
            "notify",
            "metrics",
            "refusal",
            "pipeline::config",
            "pipeline::client",
        ],
        because: "the watch counts what the stages have left in Postgres, and must not reach into them",
    },
    Rule {
        module: "http",
        may_use: &["health", "metrics", "record", "labels", "store"],
        because: "probes look on, annotators write to Postgres alone, and neither may reach into the stages",
    },
    Rule {
        module: "train",
        may_use: &[
            "record", "model", "drift", "nearby", "log", "fault", "durable",
        ],
        because: "the trainer is a program of its own, which meets the service only in the bundle",
    },
    Rule {
        module: "gate",
        may_use: &["record", "drift", "model", "special"],
        because: "two models are compared by what they said, whoever ran them",
    },
    Rule {
        module: "compare",
        may_use: &[
            "record",
            "labels",
            "model",
            "posts",
            "replay",
            "store",
            "gate",
            "alerts::score",
            "train::escape",
            "train::export",
            "train::parity",
        ],
        because: "it runs models and asks the gate; who wants to know, and what follows, is not its business",
    },
    Rule {
        module: "posts",
        may_use: &["replay", "train::escape"],
        because: "reading a file needs no model",
    },
    Rule {
        module: "rollout",
        may_use: &["record", "model", "gate", "special"],
        because: "who is served by which model is decided by what is passed in",
    },
    Rule {
        module: "annotate",
        may_use: &["record", "labels", "drift", "coin"],
        because: "what is worth a label is chosen from what is passed in",
    },
    Rule {
        module: "retrain",
        may_use: &["record", "labels", "drift", "coin", "train"],
        because: "when to train and on what is decided by what is passed in; a training is a process, so that any command can be one",
    },
    Rule {
        module: "renewal",
        may_use: &[
            "blocking",
            "durable",
            "fault",
            "drift",
            "model",
            "posts",
            "compare::config",
            "train",
            "store",
            "metrics",
            "registry",
            "retrain",
        ],
        because: "it joins labels, training and registry for whoever asks for a training, on the command line or by duty",
    },
    Rule {
        module: "controller",
        may_use: &[
            "fault",
            "record",
            "labels",
            "drift",
            "model",
            "store",
            "metrics",
            "notify::config",
            "notify::receivers",
            "gate",
            "compare",
            "registry",
            "retrain",
            "renewal",
            "remedy",
            "rollout",
        ],
        because: "it joins what decides, trains, judges and rolls out, and meets the stages in Postgres only",
    },
    Rule {
        module: "derive",
        may_use: &["model", "store", "registry"],
        because: "a bundle made of others is taken in like any, whoever asks for it and why",
    },
    Rule {
        module: "remedy",
        may_use: &[
            "record",
            "adjustment",
            "labels",
            "model",
            "drift",
            "store",
            "registry",
            "gate",
            "train::calibrate",
            "derive",
        ],
        because: "it joins labels, estimates and registry for whoever asks for a remedy, on the command line or by duty",
    },
    Rule {
        module: "replay",
        may_use: &["clock", "refusal", "reminder"],
        because: "feeding a topic must work against any deployment, also where nothing else of this runs",
    },
    Rule {
        module: "verify",
        may_use: &[
            "config",
            "refusal",
            "pipeline::config",
            "pipeline::client",
            "store::config",
        ],
        because: "whoever checks the service must not share its faults: it takes the settings from it and nothing else",
    },
    Rule {
        module: "repair",
        may_use: &["config", "record", "pipeline", "store", "verify"],
        because: "it writes as the service does what the check has found missing, without stages, probes or command line",
    },
];
