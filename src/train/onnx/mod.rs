//! Writing a classifier as an ONNX graph, without protoc and without Python.

pub mod classifier;
pub mod graph;
pub mod message;
mod parts;
pub mod quantise;
#[cfg(test)]
mod tests;
