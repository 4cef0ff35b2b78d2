//! The broker and the database a demo runs on: brought along, or one's own.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::RDKafkaErrorCode;

use super::broker::{ApacheBroker, EmbeddedBroker};
use super::error::DemoError;
use super::postgres::{Durability, PrivatePostgres};

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerChoice {
    /// librdkafka's mock cluster, inside this process.
    Embedded,
    /// A private Apache Kafka, started by `scripts/kafka`.
    Apache,
    /// A running one, by its `host:port`.
    Own(String),
}

enum Broker {
    Embedded(EmbeddedBroker),
    Apache(ApacheBroker),
    Own(String),
}

/// What the demo talks to; dropping it stops what it started.
pub struct Servers {
    broker: Broker,
    postgres: Option<PrivatePostgres>,
    database_url: String,
}

/// How long a broker may take to create the topics.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(30);

impl Servers {
    /// Starts what is to be brought along, one beside the other. Blocks for a few seconds.
    ///
    /// # Errors
    ///
    /// One of them does not start; the other is stopped again.
    pub fn start(
        broker: &BrokerChoice,
        database_url: Option<&str>,
        durability: Durability,
    ) -> Result<Self, DemoError> {
        let (broker, postgres) = std::thread::scope(|scope| {
            let postgres = scope.spawn(|| match database_url {
                Some(_) => Ok(None),
                None => PrivatePostgres::start(durability).map(Some),
            });
            // The embedded broker stays on the thread that made it.
            let broker = match broker {
                BrokerChoice::Embedded => EmbeddedBroker::start().map(Broker::Embedded),
                BrokerChoice::Apache => ApacheBroker::start().map(Broker::Apache),
                BrokerChoice::Own(address) => Ok(Broker::Own(address.clone())),
            };
            let postgres = postgres
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            (broker, postgres)
        });
        let (broker, postgres) = (broker?, postgres?);
        let private = postgres.as_ref().map(PrivatePostgres::url);
        Ok(Self {
            database_url: database_url.or(private).unwrap_or_default().to_owned(),
            broker,
            postgres,
        })
    }

    /// `host:port` of the broker.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        match &self.broker {
            Broker::Embedded(broker) => broker.bootstrap(),
            Broker::Apache(broker) => broker.bootstrap().to_owned(),
            Broker::Own(address) => address.clone(),
        }
    }

    /// `postgres://…`
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// What `psql` is to be given. The password of one's own server is not shown.
    #[must_use]
    pub fn psql_address(&self) -> &str {
        if self.postgres.is_some() {
            &self.database_url
        } else {
            "\"$DATABASE_URL\""
        }
    }

    /// Whether the broker is the embedded one, whose aborted transactions stay visible.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        matches!(self.broker, Broker::Embedded(_))
    }

    /// What the broker and the database are, for a report.
    #[must_use]
    pub fn kinds(&self) -> [String; 2] {
        let broker = match &self.broker {
            Broker::Embedded(_) => "embedded",
            Broker::Apache(_) => "private Apache Kafka, one broker on this machine",
            Broker::Own(address) => address,
        };
        let database = match &self.postgres {
            Some(server) => server.kind(),
            None => "one's own",
        };
        [broker.to_owned(), database.to_owned()]
    }

    /// Whether the broker is somebody's own, where other topics and groups may be.
    #[must_use]
    pub fn is_own_broker(&self) -> bool {
        matches!(self.broker, Broker::Own(_))
    }

    /// Whether anything was brought along that goes when this is dropped.
    #[must_use]
    pub fn brought_along(&self) -> bool {
        self.postgres.is_some() || !self.is_own_broker()
    }

    /// One sentence a server: what it is and whether it goes when the demo ends.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        let address = self.bootstrap();
        let broker = match &self.broker {
            Broker::Embedded(_) => format!(
                "Kafka     {address}, embedded in this process (for looking, not for keeping)"
            ),
            Broker::Apache(_) => {
                format!("Kafka     {address}, a private Apache Kafka, removed at the end")
            }
            Broker::Own(_) => format!("Kafka     {address}"),
        };
        let database = match &self.postgres {
            Some(server) => format!(
                "Postgres  {}, private, removed at the end",
                server.address()
            ),
            None => "Postgres  the one given by --database-url".to_owned(),
        };
        vec![broker, database]
    }

    /// Creates topics that do not exist yet.
    ///
    /// # Errors
    ///
    /// The broker is out of reach or refuses.
    pub async fn create_topics(
        &self,
        client: &ClientConfig,
        topics: &[&str],
        partitions: i32,
    ) -> Result<(), DemoError> {
        if let Broker::Embedded(broker) = &self.broker {
            return topics
                .iter()
                .try_for_each(|topic| broker.create_topic(topic, partitions));
        }
        let unreachable = |source| DemoError::Kafka {
            what: "the topics cannot be created",
            source,
        };
        let admin: AdminClient<DefaultClientContext> = client.create().map_err(unreachable)?;
        // -1: as many replicas as the broker gives a topic by default.
        let new: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|topic| NewTopic::new(topic, partitions, TopicReplication::Fixed(-1)))
            .collect();
        let options = AdminOptions::new()
            .request_timeout(Some(TOPIC_TIMEOUT))
            .operation_timeout(Some(TOPIC_TIMEOUT));
        for result in admin
            .create_topics(&new, &options)
            .await
            .map_err(unreachable)?
        {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => {
                    return Err(DemoError::Topic {
                        topic,
                        reason: code.to_string(),
                    });
                }
            }
        }
        Ok(())
    }
}
