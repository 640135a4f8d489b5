//! A user's own spectral network: an ONNX graph with the tensors of [`super::unet_graph`], which is only told
//! which columns of its masks are wanted.

use std::ops::Range;
use std::path::Path;

use prost::Message;

use super::{BINS, INPUT, OUTPUT};
use crate::convert::onnx::{EXTERNAL, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::convert::tensors::{ExpectedTensor, check_model};
use crate::convert::{ConvertError, TensorSide};

/// The name that the masks of the whole window get inside.
const WHOLE: &str = "rehearsekit/whole_masks";
/// `Slice` takes its ranges as tensors since this operator set.
const SMALLEST_OPSET: i64 = 10;

/// The tensors a graph over `columns` for `stems` stems must have.
pub fn expected_tensors(columns: usize, stems: usize) -> [ExpectedTensor; 2] {
    [
        ExpectedTensor::input(INPUT, &[1, 2, columns, BINS]),
        ExpectedTensor::output(OUTPUT, &[stems, 2, columns, BINS]),
    ]
}

/// Reads the graph at `path` and checks that it works on each of `windows` (in columns) for `stems` stems.
///
/// # Errors
/// When it is no whole ONNX model, keeps its weights elsewhere, or names the tensor that does not fit with both
/// shapes.
pub fn read_graph(path: &Path, stems: usize, windows: &[usize]) -> Result<ModelProto, ConvertError> {
    let model = ModelProto::read(path)?;
    let not = |reason: &str| ConvertError::NotOnnx { path: path.to_owned(), reason: reason.to_owned() };
    let graph = model.graph.as_ref().ok_or_else(|| not("it holds no graph"))?;
    if graph.initializer.iter().any(|tensor| tensor.data_location == Some(EXTERNAL)) {
        return Err(not("its weights lie in another file; save it with the weights inside"));
    }
    let standard = |domain: &Option<String>| domain.as_deref().is_none_or(|d| d.is_empty() || d == "ai.onnx");
    let opset = model.opset_import.iter().find(|set| standard(&set.domain)).and_then(|set| set.version);
    if opset.is_none_or(|version| version < SMALLEST_OPSET) {
        return Err(not("its operator set is older than 10; export it again"));
    }
    for &columns in windows {
        check_model(&model, &expected_tensors(columns, stems))?;
    }
    Ok(model)
}

/// The graph of `model` over a window of `columns`, with only the masks of the columns `keep` as output.
///
/// # Errors
/// When no node makes the masks.
pub(super) fn kept_graph(
    model: &ModelProto,
    stems: usize,
    columns: usize,
    keep: &Range<usize>,
) -> Result<Vec<u8>, ConvertError> {
    let mut model = model.clone();
    let missing = || ConvertError::NoSuchTensor {
        side: TensorSide::Output,
        tensor: OUTPUT.to_owned(),
        found: Vec::new(),
    };
    let graph = model.graph.as_mut().ok_or_else(missing)?;
    let names = graph.node.iter_mut().flat_map(|node| node.output.iter_mut().chain(&mut node.input));
    let mut renamed = 0;
    for name in names.filter(|name| *name == OUTPUT) {
        *name = WHOLE.to_owned();
        renamed += 1;
    }
    if renamed == 0 {
        return Err(missing());
    }
    let [from, to, axis] = ["from", "to", "axis"].map(|part| format!("rehearsekit/kept/{part}"));
    for (name, number) in [(&from, keep.start), (&to, keep.end), (&axis, 2)] {
        graph.initializer.push(TensorProto::ints(name, &[number as i64]));
    }
    graph.node.push(NodeProto::new("Slice", &[WHOLE, &from, &to, &axis], OUTPUT));
    for input in graph.input.iter_mut().filter(|info| info.name() == INPUT) {
        *input = ValueInfoProto::floats(INPUT, &[1, 2, columns, BINS]);
    }
    graph.output = vec![ValueInfoProto::floats(OUTPUT, &[stems, 2, keep.len(), BINS])];
    Ok(model.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::{Doubling, UnetWeights, unet_graph};
    use super::*;
    use crate::convert::tensors::tests::stored;

    fn masks_of(stems: usize) -> (tempfile::TempDir, std::path::PathBuf) {
        stored(("magnitude", &[1, 2, 64, BINS]), ("masks", &[stems, 2, 64, BINS]))
    }

    #[test]
    fn an_own_graph_gives_only_the_columns_that_are_kept() {
        let (_folder, path) = masks_of(3);
        let weights = UnetWeights::load(&path, &["a", "b", "c"]).unwrap();
        assert_eq!(weights.stems(), 3);
        let bytes = unet_graph(&weights, 64, 10..14, Doubling::default()).unwrap();
        let graph = ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap();
        assert_eq!(graph.output, [ValueInfoProto::floats("masks", &[3, 2, 4, BINS])]);
        let slice = graph.node.last().unwrap();
        assert_eq!((slice.op_type(), slice.input[0].as_str()), ("Slice", WHOLE));
        assert_eq!(graph.node[0].output, [WHOLE]);
    }

    #[test]
    fn an_own_graph_of_another_shape_is_refused() {
        let (_folder, path) = masks_of(2);
        read_graph(&path, 2, &[64]).unwrap();
        let error = read_graph(&path, 4, &[64]).unwrap_err().to_string();
        assert_eq!(error, "tensor masks has the shape [2, 2, 64, 1024], but [4, 2, 64, 1024] is needed");
        let error = read_graph(&path, 2, &[64, 512]).unwrap_err().to_string();
        assert!(error.starts_with("tensor magnitude has the shape"), "{error}");
    }
}
