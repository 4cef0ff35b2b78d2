//! All that is measured on: the parts of the data, scored by the model.

use tidewatch::drift::baseline::{Baseline, Identity};
use tidewatch::drift::copies::distinct_by;
use tidewatch::drift::counts::Shape;
use tidewatch::drift::null::NullSettings;

use super::MeasureArgs;
use super::data::{self, LABELS, Text, Tweets};
use super::readings::{Reader, Scored};

/// Texts of each part for a quick look.
const QUICK: usize = 1_500;

pub struct Prepared {
    pub reader: Reader,
    /// What every baseline needs to know of the model.
    pub model: Model,
    /// Tweets that calibrated the model.
    pub held_out: Vec<Scored>,
    /// Tweets of the same time that nothing has seen.
    pub unseen: Vec<Scored>,
    /// Tweets of the time after.
    pub later: Vec<Scored>,
    pub airline: Vec<Scored>,
    pub films: Vec<Scored>,
}

/// What a baseline says of the model that it was made with.
#[derive(Debug, Clone)]
pub struct Model {
    pub shape: Shape,
    pub unknown: Option<u32>,
    pub identity: Identity,
    /// What the logits were divided by.
    pub temperature: f64,
}

impl Prepared {
    pub fn load(args: &MeasureArgs) -> anyhow::Result<Self> {
        let mut reader = Reader::open(&args.model, &args.work)?;
        let tweets = Tweets::read(&args.data)?;
        let model = Model {
            shape: reader.shape(),
            unknown: reader.unknown(),
            identity: reader.identity(),
            temperature: reader.bundle.manifest.temperature,
        };
        let most = if args.quick { QUICK } else { usize::MAX };
        let mut read = |texts: Vec<Text>| {
            // From all over, as the texts of some files are of one time.
            let step = texts.len().div_ceil(most).max(1);
            let texts = texts.into_iter().step_by(step).collect();
            anyhow::Ok(apart(reader.read(texts)?))
        };
        Ok(Self {
            held_out: read(tweets.held_out)?,
            unseen: read(tweets.unseen)?,
            later: read(tweets.later)?,
            airline: read(data::airline(&args.data)?)?,
            films: read(data::films(&args.data)?)?,
            model,
            reader,
        })
    }

    /// All tweets of the training's time that the model was not trained on, in the order of their times.
    pub fn not_trained_on(&self) -> Vec<Scored> {
        apart([self.held_out.clone(), self.unseen.clone()].concat())
    }
}

impl Model {
    /// The baseline of some texts, in the order of their readings' times.
    pub fn baseline(&self, texts: &[&Scored], settings: &NullSettings) -> anyhow::Result<Baseline> {
        let readings = texts.iter().map(|text| (text.reading.clone(), text.truth));
        Ok(Baseline::build(
            readings.collect(),
            LABELS.map(String::from).to_vec(),
            self.unknown,
            self.shape,
            self.identity.clone(),
            settings,
        )?)
    }
}

/// Each text once, in the order of time, so that windows have as many distinct messages as messages.
pub fn apart(texts: Vec<Scored>) -> Vec<Scored> {
    let kept = distinct_by(&texts, |text| &text.reading);
    kept.into_iter().cloned().collect()
}
