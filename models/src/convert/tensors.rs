//! Checks a stranger's ONNX file against the tensors an engine will feed it and read from it, before it is
//! loaded, so that a wrong file is refused with a name and two shapes and not deep inside a run.

use std::fmt;
use std::path::Path;

use super::ConvertError;
use super::onnx::{DimensionValue, ModelProto, TypeValue, ValueInfoProto, data_type};

/// Whether a tensor goes in or comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorSide {
    /// The engine feeds it.
    Input,
    /// The engine reads it.
    Output,
}

impl fmt::Display for TensorSide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}

/// A float32 tensor that a model must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedTensor {
    /// Input or output.
    pub side: TensorSide,
    /// Its name in the graph.
    pub name: String,
    /// Its shape; `None` where any size will do.
    pub shape: Vec<Option<usize>>,
}

impl ExpectedTensor {
    /// An input of a fixed shape.
    pub fn input(name: &str, shape: &[usize]) -> Self {
        Self {
            side: TensorSide::Input,
            name: name.to_owned(),
            shape: shape.iter().copied().map(Some).collect(),
        }
    }

    /// An output of a fixed shape.
    pub fn output(name: &str, shape: &[usize]) -> Self {
        Self { side: TensorSide::Output, ..Self::input(name, shape) }
    }
}

/// Checks that the ONNX file at `path` has every one of `expected`, and no other input.
///
/// A size that the file leaves open fits any; an output without a declared shape fits any shape, since exporters
/// often leave it out.
///
/// # Errors
/// When the file is no whole ONNX model, or names the first tensor that does not fit, with both shapes.
pub fn check_tensors(path: &Path, expected: &[ExpectedTensor]) -> Result<(), ConvertError> {
    let model = ModelProto::read(path)?;
    check_model(&model, expected)
}

/// As [`check_tensors`], for a model that is read already.
///
/// # Errors
/// Names the first tensor that does not fit, with both shapes.
pub fn check_model(model: &ModelProto, expected: &[ExpectedTensor]) -> Result<(), ConvertError> {
    let Some(graph) = &model.graph else {
        return Err(ConvertError::NotOnnx { path: "model".into(), reason: "it holds no graph".to_owned() });
    };
    // Old exporters list the weights among the inputs.
    let is_weight = |info: &&ValueInfoProto| graph.initializer.iter().any(|t| t.name == info.name);
    let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|info| !is_weight(info)).collect();
    let outputs: Vec<&ValueInfoProto> = graph.output.iter().collect();
    for tensor in expected {
        let there = if tensor.side == TensorSide::Input { &inputs } else { &outputs };
        let info = there.iter().find(|info| info.name() == tensor.name).ok_or_else(|| {
            ConvertError::NoSuchTensor {
                side: tensor.side,
                tensor: tensor.name.clone(),
                found: there.iter().map(|info| info.name().to_owned()).collect(),
            }
        })?;
        check_one(info, tensor)?;
    }
    let known =
        |info: &ValueInfoProto| expected.iter().any(|t| t.side == TensorSide::Input && t.name == info.name());
    if let Some(extra) = inputs.iter().find(|info| !known(info)) {
        return Err(ConvertError::WrongShape {
            tensor: extra.name().to_owned(),
            expected: Vec::new(),
            found: sizes(extra).unwrap_or_default(),
        });
    }
    Ok(())
}

fn check_one(info: &ValueInfoProto, expected: &ExpectedTensor) -> Result<(), ConvertError> {
    let tensor = match info.r#type.as_ref().and_then(|t| t.value.as_ref()) {
        Some(TypeValue::Tensor(tensor)) => tensor,
        other => {
            let found = if other.is_some() { "something other than a tensor" } else { "none" };
            return Err(wrong_type(expected, found.to_owned()));
        }
    };
    match tensor.elem_type {
        Some(data_type::FLOAT) => {}
        other => {
            let number = other.unwrap_or_default();
            return Err(wrong_type(expected, format!("{number} ({})", type_name(number))));
        }
    }
    let Some(found) = sizes(info) else { return Ok(()) };
    let fits = |(&found, wanted): (&i64, &Option<usize>)| {
        found < 0 || wanted.is_none_or(|wanted| usize::try_from(found) == Ok(wanted))
    };
    if found.len() == expected.shape.len() && found.iter().zip(&expected.shape).all(fits) {
        return Ok(());
    }
    // A rank that torch's exporter invents for a value it lost track of says nothing.
    let nothing_known = found.iter().all(|&d| d < 0);
    if expected.side == TensorSide::Output && nothing_known {
        return Ok(());
    }
    Err(ConvertError::WrongShape {
        tensor: expected.name.clone(),
        expected: expected.shape.iter().map(|d| d.map_or(-1, |d| d as i64)).collect(),
        found,
    })
}

fn wrong_type(expected: &ExpectedTensor, found: String) -> ConvertError {
    ConvertError::WrongType { tensor: expected.name.clone(), expected: "1 (float32)".to_owned(), found }
}

fn type_name(number: i32) -> &'static str {
    match number {
        2 => "uint8",
        3 => "int8",
        6 => "int32",
        7 => "int64",
        10 => "float16",
        11 => "float64",
        16 => "bfloat16",
        _ => "not a float32",
    }
}

/// The declared sizes, −1 where open; `None` without a declaration.
fn sizes(info: &ValueInfoProto) -> Option<Vec<i64>> {
    let Some(TypeValue::Tensor(tensor)) = info.r#type.as_ref()?.value.as_ref() else { return None };
    let size = |dim: &super::onnx::Dimension| match dim.value {
        Some(DimensionValue::Size(size)) => size,
        _ => -1,
    };
    Some(tensor.shape.as_ref()?.dim.iter().map(size).collect())
}

#[cfg(test)]
pub(in crate::convert) mod tests {
    use super::*;
    use crate::convert::onnx::{GraphProto, NodeProto, OperatorSetIdProto};
    use prost::Message;

    /// A model on disk that hands its input, a name and a shape, through as its output.
    pub(in crate::convert) fn stored(
        input: (&str, &[usize]),
        output: (&str, &[usize]),
    ) -> (tempfile::TempDir, std::path::PathBuf) {
        let model = ModelProto {
            opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
            graph: Some(GraphProto {
                node: vec![NodeProto::new("Identity", &[input.0], output.0)],
                input: vec![ValueInfoProto::floats(input.0, input.1)],
                output: vec![ValueInfoProto::floats(output.0, output.1)],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.onnx");
        std::fs::write(&path, model.encode_to_vec()).unwrap();
        (folder, path)
    }

    #[test]
    fn a_wrong_file_is_refused_with_the_name_and_both_shapes() {
        let (_folder, path) = stored(("mix", &[1, 2, 100]), ("stems", &[1, 2, 100]));
        let good =
            [ExpectedTensor::input("mix", &[1, 2, 100]), ExpectedTensor::output("stems", &[1, 2, 100])];
        check_tensors(&path, &good).unwrap();

        let error = check_tensors(&path, &[ExpectedTensor::input("mix", &[1, 2, 44])]).unwrap_err();
        assert_eq!(error.to_string(), "tensor mix has the shape [1, 2, 100], but [1, 2, 44] is needed");

        let error =
            check_tensors(&path, &[good[0].clone(), ExpectedTensor::output("masks", &[1])]).unwrap_err();
        assert_eq!(error.to_string(), "the model has no output named masks; it has stems");
    }

    #[test]
    fn text_and_cut_files_are_no_models() {
        let (folder, path) = stored(("mix", &[1, 2, 100]), ("stems", &[1, 2, 100]));
        let whole = std::fs::read(&path).unwrap();
        let cut = folder.path().join("cut.onnx");
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        assert!(check_tensors(&cut, &[]).unwrap_err().to_string().contains("not a whole ONNX model"));
        std::fs::write(&cut, b"just some words").unwrap();
        assert!(check_tensors(&cut, &[]).unwrap_err().to_string().contains("not a whole ONNX model"));
    }
}
