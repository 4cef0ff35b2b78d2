//! A graph under construction: nodes and constants are added in order, values are named.

use prost::Message;

use super::message::{
    AttributeProto, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetId,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, attribute_type,
    data_type,
};

/// Version of ONNX's own operators: the first with both LayerNormalization and Gelu.
const OPSET: i64 = 20;
/// Version of the file format that belongs to [`OPSET`].
const IR_VERSION: i64 = 9;
/// Domain of ONNX Runtime's fused operators.
const FUSED_DOMAIN: &str = "com.microsoft";

/// The name of a value in a graph.
pub type Value = String;

/// An attribute of a node.
pub enum Attribute {
    /// One float.
    Float(&'static str, f32),
    /// One integer.
    Int(&'static str, i64),
    /// A list of integers.
    Ints(&'static str, Vec<i64>),
}

impl From<Attribute> for AttributeProto {
    fn from(attribute: Attribute) -> Self {
        let mut proto = Self::default();
        match attribute {
            Attribute::Float(name, value) => {
                (proto.name, proto.f, proto.r#type) = (name.into(), value, attribute_type::FLOAT);
            }
            Attribute::Int(name, value) => {
                (proto.name, proto.i, proto.r#type) = (name.into(), value, attribute_type::INT);
            }
            Attribute::Ints(name, values) => {
                (proto.name, proto.ints, proto.r#type) =
                    (name.into(), values, attribute_type::INTS);
            }
        }
        proto
    }
}

/// A graph to which nodes and constants are added.
#[derive(Default)]
pub struct Graph {
    proto: GraphProto,
}

impl Graph {
    /// Declares an int64 input whose dimensions are all known only at run time.
    pub fn input(&mut self, name: &str, dimensions: &[&str]) -> Value {
        let dimensions = dimensions.iter().map(|&name| Dimension::Name(name.into()));
        self.proto
            .input
            .push(value_info(name, data_type::INT64, dimensions.collect()));
        name.into()
    }

    /// Declares a float output.
    pub fn output(&mut self, name: &str, dimensions: Vec<Dimension>) {
        self.proto
            .output
            .push(value_info(name, data_type::FLOAT, dimensions));
    }

    /// Adds a standard operator with one output, which gets the node's name.
    pub fn node(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        self.push(name, operator, "", inputs, attributes)
    }

    /// Adds one of ONNX Runtime's fused operators.
    pub fn fused(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        self.push(name, operator, FUSED_DOMAIN, inputs, attributes)
    }

    fn push(
        &mut self,
        name: &str,
        operator: &str,
        domain: &str,
        inputs: &[&Value],
        attributes: Vec<Attribute>,
    ) -> Value {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.clone()).collect(),
            output: vec![name.into()],
            name: name.into(),
            op_type: operator.into(),
            attribute: attributes.into_iter().map(Into::into).collect(),
            domain: domain.into(),
        });
        name.into()
    }

    /// Adds a constant of 32-bit floats.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Value {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, shape, data_type::FLOAT, bytes)
    }

    /// Adds a constant of 8-bit integers.
    pub fn bytes(&mut self, name: &str, shape: &[usize], values: &[i8]) -> Value {
        let bytes = values.iter().map(|value| value.to_le_bytes()[0]).collect();
        self.constant(name, shape, data_type::INT8, bytes)
    }

    /// Adds a constant list of 64-bit integers, such as a shape or axes.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> Value {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.constant(name, &[values.len()], data_type::INT64, bytes)
    }

    fn constant(
        &mut self,
        name: &str,
        shape: &[usize],
        data_type: i32,
        raw_data: Vec<u8>,
    ) -> Value {
        let dims = shape.iter().map(|&size| size as i64).collect();
        self.proto.initializer.push(TensorProto {
            dims,
            data_type,
            name: name.into(),
            raw_data,
        });
        name.into()
    }

    /// The finished model file.
    pub fn encode(mut self, name: &str) -> Vec<u8> {
        self.proto.name = name.into();
        let uses_fused = self
            .proto
            .node
            .iter()
            .any(|node| node.domain == FUSED_DOMAIN);
        let mut opset_import = vec![OperatorSetId {
            domain: String::new(),
            version: OPSET,
        }];
        if uses_fused {
            opset_import.push(OperatorSetId {
                domain: FUSED_DOMAIN.into(),
                version: 1,
            });
        }
        ModelProto {
            ir_version: IR_VERSION,
            producer_name: "tidewatch-finetune".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.proto),
            opset_import,
        }
        .encode_to_vec()
    }
}

fn value_info(name: &str, elem_type: i32, dimensions: Vec<Dimension>) -> ValueInfoProto {
    let dim = dimensions
        .into_iter()
        .map(|value| DimensionProto { value: Some(value) })
        .collect();
    let tensor_type = TensorTypeProto {
        elem_type,
        shape: Some(TensorShapeProto { dim }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type: Some(tensor_type),
        }),
    }
}
