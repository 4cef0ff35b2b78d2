//! The written graphs, read back as messages. That they compute the right thing is shown where ONNX
//! Runtime runs them.

use std::collections::BTreeSet;

use prost::Message;

use super::message::{GraphProto, ModelProto, TensorProto, data_type};
use crate::train::bert::BertConfig;
use crate::train::encoder::Model;
use crate::train::export::{ExportOptions, Form, Storage, as_stored, to_onnx};
use crate::train::layout::{Layout, WORDS};
use crate::train::weights::Weights;

const ALL: [ExportOptions; 4] = [
    ExportOptions {
        form: Form::Plain,
        weights: Storage::Float32,
    },
    ExportOptions {
        form: Form::Plain,
        weights: Storage::Int8,
    },
    ExportOptions {
        form: Form::Fused,
        weights: Storage::Float32,
    },
    ExportOptions {
        form: Form::Fused,
        weights: Storage::Int8,
    },
];

fn small() -> (BertConfig, Layout, Weights) {
    let config: BertConfig = serde_json::from_str(
        r#"{"vocab_size":30,"hidden_size":8,"intermediate_size":16,"num_hidden_layers":2,
            "num_attention_heads":2,"max_position_embeddings":12}"#,
    )
    .unwrap();
    let layout = Layout::new(&config, 3);
    let mut weights = Weights::zeros(&layout);
    let value = |i: usize| ((i * 7919 + 13) % 1000) as f32 / 2500.0 - 0.2;
    weights
        .dense
        .iter_mut()
        .enumerate()
        .for_each(|(i, w)| *w = value(i));
    weights
        .words
        .iter_mut()
        .enumerate()
        .for_each(|(i, w)| *w = value(i + 5));
    (config, layout, weights)
}

fn written(options: ExportOptions) -> ModelProto {
    let (config, layout, weights) = small();
    let model = Model {
        config: &config,
        layout: &layout,
        weights: &weights,
    };
    ModelProto::decode(to_onnx(model, options).as_slice()).unwrap()
}

fn graph(options: ExportOptions) -> GraphProto {
    written(options).graph.unwrap()
}

fn constant<'a>(graph: &'a GraphProto, name: &str) -> &'a TensorProto {
    graph
        .initializer
        .iter()
        .find(|tensor| tensor.name == name)
        .unwrap_or_else(|| panic!("no constant {name}"))
}

fn floats(tensor: &TensorProto) -> Vec<f32> {
    assert_eq!(tensor.data_type, data_type::FLOAT, "{}", tensor.name);
    tensor
        .raw_data
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect()
}

#[test]
fn every_node_reads_only_what_stands_before_it_and_no_name_is_given_twice() {
    for options in ALL {
        let graph = graph(options);
        let mut known: BTreeSet<String> =
            graph.input.iter().map(|input| input.name.clone()).collect();
        for tensor in &graph.initializer {
            assert!(
                known.insert(tensor.name.clone()),
                "{options:?}: {} twice",
                tensor.name
            );
        }
        for node in &graph.node {
            for input in &node.input {
                assert!(
                    known.contains(input),
                    "{options:?}: {} reads the unknown {input}",
                    node.name
                );
            }
            for output in &node.output {
                assert!(known.insert(output.clone()), "{options:?}: {output} twice");
            }
        }
        assert!(
            graph
                .output
                .iter()
                .all(|output| known.contains(&output.name)),
            "{options:?}"
        );
    }
}

#[test]
fn every_constant_is_read_by_some_node() {
    for options in ALL {
        let graph = graph(options);
        let read: BTreeSet<&String> = graph.node.iter().flat_map(|node| &node.input).collect();
        for tensor in &graph.initializer {
            assert!(
                read.contains(&tensor.name),
                "{options:?}: {} is not used",
                tensor.name
            );
        }
    }
}

#[test]
fn the_plain_form_needs_no_operators_but_onnx_own() {
    for (options, domains) in [(ALL[0], 1), (ALL[1], 1), (ALL[2], 2), (ALL[3], 2)] {
        assert_eq!(written(options).opset_import.len(), domains, "{options:?}");
    }
}

#[test]
fn the_weights_can_be_read_back_from_the_graph_under_the_checkpoints_names() {
    let (_, layout, weights) = small();
    let specs = || {
        let dense = layout.dense.iter().map(|spec| (spec, false));
        std::iter::once((&layout.words, true)).chain(dense)
    };
    for options in ALL {
        let graph = graph(options);
        let stored = as_stored(&layout, &weights, options.weights);
        for (spec, is_words) in specs() {
            let expected = if is_words {
                &stored.words[..]
            } else {
                &stored.dense[spec.range.clone()]
            };
            let tensor = constant(&graph, &spec.name);
            let shape: Vec<usize> = tensor
                .dims
                .iter()
                .map(|&size| usize::try_from(size).unwrap())
                .collect();
            assert_eq!(shape, spec.shape, "{}", spec.name);
            let values = if tensor.data_type == data_type::INT8 {
                let scales = floats(constant(&graph, &format!("{}.scale", spec.name)));
                let value = |(i, byte): (usize, &u8)| {
                    f32::from(byte.cast_signed()) * scales[i / spec.shape[1]]
                };
                tensor.raw_data.iter().enumerate().map(value).collect()
            } else {
                floats(tensor)
            };
            assert_eq!(values, expected, "{options:?}: {}", spec.name);
        }
    }
}

#[test]
fn an_eight_bit_table_takes_a_quarter_of_the_bytes() {
    let bytes = |options| constant(&graph(options), WORDS).raw_data.len();
    assert_eq!(bytes(ALL[2]), 4 * bytes(ALL[3]));
}
