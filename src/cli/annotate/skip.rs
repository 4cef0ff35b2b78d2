//! `tidewatch annotate skip`.

use clap::Args;

use super::{AnnotatorArgs, open};
use crate::cli::ConfigArgs;
use crate::cli::exit::{BadInput, End};
use crate::record::Origin;

/// Say that a message cannot be labelled: nobody is asked about it any more
///
/// If people skip what is hard, the rest says too much good of the model: skip only what has no label.
#[derive(Debug, Args)]
pub(in crate::cli) struct SkipArgs {
    #[arg(value_name = "TOPIC")]
    topic: String,
    #[arg(value_name = "PARTITION")]
    partition: i32,
    #[arg(value_name = "OFFSET")]
    offset: i64,
    #[command(flatten)]
    annotator: AnnotatorArgs,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &SkipArgs) -> anyhow::Result<End> {
    let origin = Origin {
        topic: args.topic.as_str().into(),
        partition: args.partition,
        offset: args.offset,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let skipped = runtime.block_on(async {
        let (_, store) = open(&args.config).await?;
        anyhow::Ok(store.skip_annotation(&origin, &args.annotator.name).await?)
    })?;
    if skipped {
        Ok(End::Done)
    } else {
        Err(BadInput::from(format!(
            "{origin} does not wait for a label: `tidewatch annotate list` shows those that do"
        )))
    }
}
