//! Alone, whole, alone, whole, … alone: noise and drift of the machine show as differences between equals.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::bare::{Alone, Bare};
use super::companion::Companion;
use super::error::BenchError;
use super::report::{Report, Setup};
use super::round::{Round, preload, work_off};
use super::turns::Turns;
use super::variant::Variant;
use crate::blocking::blocking;
use crate::config::Config;
use crate::demo::Servers;
use crate::pipeline::config::Start;
use crate::pipeline::{Delivery, client};
use crate::replay::{Feeder, Post};
use crate::store::Store;

/// Of each topic.
const PARTITIONS: i32 = 4;

/// A measurement to be made.
pub struct Bench {
    pub posts: Vec<Post>,
    /// Where they came from, for the report.
    pub input: String,
    /// How often the whole is measured; the bare session once more often.
    pub repeat: u32,
    /// The model bundle's folder.
    pub model: PathBuf,
    /// Measure each time also like this.
    pub beside: Vec<Variant>,
    /// The folder of the training that runs in [`Variant::Training`]: a recipe and its files, as a training leaves it.
    pub training: PathBuf,
    /// The bundle that takes turns with the model in [`Variant::Swaps`].
    pub swap: PathBuf,
}

impl Bench {
    /// Measures; `tell` hears of each step.
    ///
    /// # Errors
    ///
    /// A part fails, or the whole was not exactly once.
    pub async fn run(
        self,
        mut config: Config,
        servers: &Servers,
        mut tell: impl FnMut(String),
    ) -> Result<Report, BenchError> {
        config.kafka.bootstrap_servers = servers.bootstrap();
        config.kafka.start = Start::Earliest;
        config.input.truncate(1);
        config.postgres.url = servers.database_url().into();
        config.http.listen = ([127, 0, 0, 1], 0).into();
        config.model.path = self.model;
        // Who is champion elsewhere is not what is measured.
        config.registry.url.clear();
        let store = Store::connect(&config.postgres).await?;
        store.migrate().await?;

        tell(format!("preparing {} messages", self.posts.len()));
        let posts = Arc::new(self.posts);
        let messages = posts.len() as u64;
        let bare = blocking({
            let (posts, config) = (Arc::clone(&posts), config.clone());
            move || Bare::prepare(&posts, &config.input[0], &config.batch, &config.model)
        })
        .await?;
        let bare = Arc::new(bare);
        let mut alone: Vec<Alone> = vec![session(&bare, &mut tell).await?];
        let mut whole: Vec<Round> = Vec::new();
        let mut beside: Vec<(Variant, Vec<Round>)> = self
            .beside
            .iter()
            .map(|&variant| (variant, Vec::new()))
            .collect();
        let turns = if self.beside.contains(&Variant::Swaps) {
            Some(Turns::prepare(&config, &store, &self.swap).await?)
        } else {
            None
        };
        let mut work = Work {
            config: &mut config,
            servers,
            store: &store,
            posts: &posts,
            training: &self.training,
            turns: turns.as_ref(),
        };
        for number in 1..=self.repeat {
            let round = work.measure(number, None).await?;
            tell(round.said("the whole service", number, messages));
            whole.push(round);
            for (variant, rounds) in &mut beside {
                let round = work.measure(number, Some(*variant)).await?;
                let what = format!("the same {}", variant.difference());
                tell(round.said(&what, number, messages));
                rounds.push(round);
            }
            alone.push(session(&bare, &mut tell).await?);
        }
        store.close().await;
        let setup = Setup::of(&config, servers, self.input, messages, &bare);
        Ok(Report::new(setup, &alone, &whole, &beside))
    }
}

/// What a time through the whole service needs.
struct Work<'a> {
    config: &'a mut Config,
    servers: &'a Servers,
    store: &'a Store,
    posts: &'a Arc<Vec<Post>>,
    training: &'a Path,
    turns: Option<&'a Turns>,
}

impl Work<'_> {
    /// One time, on topics of its own, all counted at its end.
    async fn measure(
        &mut self,
        number: u32,
        variant: Option<Variant>,
    ) -> Result<Round, BenchError> {
        let messages = self.posts.len() as u64;
        let topic = rename(self.config, number);
        let client = client::base(&self.config.kafka);
        let output = &self.config.output;
        let topics = [&*topic, &output.results, &output.dead_letters];
        self.servers
            .create_topics(&client, &topics, PARTITIONS)
            .await?;
        let feeder = Feeder::new(client, &topic, None)?;
        let to_send = Arc::clone(self.posts);
        blocking(move || preload(&feeder, &to_send)).await?;
        let mut config = self.config.clone();
        let delivery = variant.map_or(Delivery::ExactlyOnce, Variant::delivery);
        if let Some(variant) = variant {
            variant.adapt(&mut config);
        }
        let companion = if variant == Some(Variant::Training) {
            let (folder, runner) = (self.training.to_owned(), config.retrain.runner.clone());
            Some(blocking(move || Companion::start(&folder, &runner)).await?)
        } else {
            None
        };
        let round = match self.turns.filter(|_| variant == Some(Variant::Swaps)) {
            None => work_off(config, messages, delivery).await?,
            Some(turns) => {
                turns.begin(&mut config).await?;
                let round = tokio::select! {
                    round = work_off(config, messages, delivery) => round?,
                    Err(error) = turns.take() => return Err(error),
                };
                if round.swaps == 0 {
                    return Err(BenchError::NoSwap);
                }
                round
            }
        };
        if let Some(companion) = companion {
            blocking(move || companion.finish()).await?;
        }
        let counts = self.store.counts(&topic).await?;
        let rows = counts.predictions + counts.dead_letters;
        if rows != messages {
            return Err(BenchError::Miscounted { rows, messages });
        }
        Ok(round)
    }
}

async fn session(bare: &Arc<Bare>, tell: &mut impl FnMut(String)) -> Result<Alone, BenchError> {
    let took = blocking({
        let bare = Arc::clone(bare);
        move || bare.run()
    })
    .await?;
    let seconds = took.wall.as_secs_f64();
    tell(format!(
        "the bare session: {:.0} texts a second ({seconds:.1} s)",
        bare.scored as f64 / seconds
    ));
    Ok(took)
}

/// Topics, a group and a transactional id that no other round and nobody else uses; returns the input's.
fn rename(config: &mut Config, number: u32) -> String {
    let run = format!("tidewatch-bench-{:08x}-{number}", rand::random::<u32>());
    config.kafka.group.clone_from(&run);
    config.kafka.instance.clone_from(&run);
    config.input[0].topic = format!("{run}.posts");
    config.output.results = format!("{run}.sentiment");
    config.output.dead_letters = format!("{run}.sentiment-dead-letters");
    config.input[0].topic.clone()
}
