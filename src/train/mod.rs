//! Fine-tuning: from labelled text to a model bundle.
//!
//! In the order of a run: the recipe ([`recipe`]) names files, which become examples ([`data`],
//! [`escape`]), which are split ([`split`]) and tokenised ([`tokens`]); batches of them ([`batches`],
//! [`packed`]) go through the model ([`encoder`], [`layer`], [`tidewatch_kernels`]) whose weights ([`weights`],
//! [`layout`]) the optimiser ([`optimise`]) moves; [`run`] holds it together ([`meter`]), [`checkpoint`] writes
//! the classifier in Hugging Face's layout, and [`state`] keeps what a run that died goes on from. Then, held together by [`finish`], the model is written for
//! inference ([`export`], [`onnx`]), compared with the trainer ([`parity`]), evaluated ([`evaluate`]) and
//! calibrated ([`calibrate`]), and with what is told of it ([`origin`], [`report`]) becomes a [`bundle`].

pub mod backbone;
pub mod baseline;
pub mod batches;
pub mod bert;
pub mod bundle;
pub mod calibrate;
pub mod checkpoint;
pub mod cli;
pub mod data;
pub mod encoder;
pub mod error;
pub mod escape;
pub mod evaluate;
pub mod export;
pub mod finish;
pub mod layer;
pub mod layout;
pub mod lines;
pub mod meter;
pub mod onnx;
pub mod optimise;
pub mod origin;
pub mod packed;
pub mod parity;
pub mod progress;
pub mod recipe;
pub mod report;
pub mod run;
pub mod scores;
pub mod session;
pub mod split;
pub mod state;
pub mod time;
pub mod tokens;
pub mod trainer;
pub mod weights;
