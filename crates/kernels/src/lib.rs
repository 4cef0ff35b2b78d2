//! The trainer's kernels: each file is one operation with its forward and its backward, or what the optimiser does to each value.
//!
//! They are a crate of their own so that they are compiled with all optimisations also where the rest is not, as for tests.
//!
//! They work on packed rows (all tokens of all sequences one after another, no padding) in plain
//! row-major `f32` slices, on the calling thread only. Parallelism lives one level up: a batch is
//! cut into shards and each shard runs on a thread of its own, so a kernel never waits for another
//! core and needs no locks. Loops are compiled once for each instruction set and picked at run
//! time (see [`simd`]); matrix products go to `gemm`.

pub mod adamw;
pub mod attention;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
pub mod gelu;
pub mod layer_norm;
pub mod linear;
pub mod math;
pub mod matrix;
pub mod simd;
pub mod tanh;
