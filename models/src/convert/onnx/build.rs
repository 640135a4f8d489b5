//! Short ways to read models and to build nodes and tensors. What a graph means is not known here.

use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::{
    AttributeProto, Dimension, DimensionValue, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, TypeValue, ValueInfoProto, attribute_type,
    data_type,
};
use crate::convert::{ConvertError, Tensor};

const OPSET: i64 = 17;
const IR_VERSION: i64 = 8;

impl ModelProto {
    /// A model of our own.
    pub fn of(graph: GraphProto) -> Self {
        Self {
            ir_version: Some(IR_VERSION),
            producer_name: Some("rehearsekit".to_owned()),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(OPSET) }],
            graph: Some(graph),
            ..Self::default()
        }
    }

    /// Reads the model at `path`. The tensors share the file's bytes in memory.
    ///
    /// # Errors
    /// When the file cannot be read or is no whole ONNX model.
    pub fn read(path: &Path) -> Result<Self, ConvertError> {
        let bytes = Bytes::from(std::fs::read(path).map_err(ConvertError::io(path))?);
        let not = |reason: String| ConvertError::NotOnnx { path: path.to_owned(), reason };
        let model = Self::decode(bytes).map_err(|e| not(e.to_string()))?;
        if model.graph.as_ref().is_none_or(|graph| graph.node.is_empty()) {
            return Err(not("it holds no graph".to_owned()));
        }
        Ok(model)
    }
}

impl From<&Tensor> for TensorProto {
    fn from(tensor: &Tensor) -> Self {
        Self {
            dims: tensor.shape.iter().map(|&d| d as i64).collect(),
            data_type: Some(data_type::FLOAT),
            raw_data: Some(tensor.data.clone()),
            ..Self::default()
        }
    }
}

impl TensorProto {
    /// A one-dimensional tensor of whole numbers.
    pub fn ints(name: &str, values: &[i64]) -> Self {
        Self {
            name: Some(name.to_owned()),
            dims: vec![values.len() as i64],
            data_type: Some(data_type::INT64),
            raw_data: Some(values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>().into()),
            ..Self::default()
        }
    }

    /// A single float.
    pub fn scalar(name: &str, value: f32) -> Self {
        Self {
            name: Some(name.to_owned()),
            data_type: Some(data_type::FLOAT),
            raw_data: Some(value.to_le_bytes().to_vec().into()),
            ..Self::default()
        }
    }

    /// The same tensor under a name.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }
}

impl NodeProto {
    /// A node of the standard operator set.
    pub fn new(op_type: &str, inputs: &[&str], output: &str) -> Self {
        Self {
            name: Some(output.to_owned()),
            op_type: Some(op_type.to_owned()),
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            ..Self::default()
        }
    }

    /// The node with one more attribute, a list of numbers.
    #[must_use]
    pub fn with_ints(mut self, name: &str, values: &[i64]) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(attribute_type::INTS),
            ints: values.to_vec(),
            ..AttributeProto::default()
        });
        self
    }

    /// The node with one more attribute, a number.
    #[must_use]
    pub fn with_int(mut self, name: &str, value: i64) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(attribute_type::INT),
            i: Some(value),
            ..AttributeProto::default()
        });
        self
    }

    /// The node with one more attribute, a float.
    #[must_use]
    pub fn with_float(mut self, name: &str, value: f32) -> Self {
        self.attribute.push(AttributeProto {
            name: Some(name.to_owned()),
            r#type: Some(attribute_type::FLOAT),
            f: Some(value),
            ..AttributeProto::default()
        });
        self
    }
}

impl ValueInfoProto {
    /// A float32 input or output of a fixed shape.
    pub fn floats(name: &str, shape: &[usize]) -> Self {
        Self::of_floats(name, shape.iter().map(|&d| DimensionValue::Size(d as i64)))
    }

    /// A float32 input or output whose first side, the batch, is open; `shape` is that of one of the batch.
    pub fn batched_floats(name: &str, shape: &[usize]) -> Self {
        let sizes = shape.iter().map(|&d| DimensionValue::Size(d as i64));
        Self::of_floats(name, std::iter::once(DimensionValue::Parameter("batch".to_owned())).chain(sizes))
    }

    fn of_floats(name: &str, sides: impl Iterator<Item = DimensionValue>) -> Self {
        let side = |value| Dimension { value: Some(value), denotation: None };
        let shape = TensorShapeProto { dim: sides.map(side).collect() };
        let tensor = TensorTypeProto { elem_type: Some(data_type::FLOAT), shape: Some(shape) };
        Self {
            name: Some(name.to_owned()),
            r#type: Some(TypeProto { value: Some(TypeValue::Tensor(tensor)), denotation: None }),
            ..Self::default()
        }
    }
}
