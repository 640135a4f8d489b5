//! Makes shorter windows of the HTDemucs graph, and keeps the weights once for all of them.
//!
//! The exported graph works on 336 columns (7.8 s) only because constants say so: 80 small lists of sizes, 8
//! counting tensors and 2 tables. Changing them gives a window of any T columns and L = 1024·T − 84 frames. (The
//! 84 stays, since the graph pads by 4 − length mod 4.) T = 336 reproduces the original exactly.
//!
//! The graphs that come out hold no weights: those lie in one file beside them, which the graphs point into
//! (ONNX "external data").
//!
//! A graph in which those numbers are not found, each as often as expected, is refused. Nothing is run here.

use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use prost::Message;

use super::ConvertError;
use super::onnx::{
    DimensionValue, EXTERNAL, ModelProto, StringStringEntryProto, TensorProto, TypeValue, ValueInfoProto,
    data_type,
};
use super::tensors::{ExpectedTensor, check_model};

/// Columns of the window that the original graph works on.
pub const FULL_COLUMNS: usize = 336;
/// Input: the window's audio, `[1, 2, L]`, normalised by the caller.
pub const WAVE_INPUT: &str = "input";
/// Input: its spectrum, `[1, 4, 2048, T]`, the channels left real, left imaginary, right real, right imaginary.
pub const SPECTRUM_INPUT: &str = "onnx::ReduceMean_1";
/// Output of the spectral branch: `[1, stems, 4, 2048, T]`.
pub const SPECTRUM_OUTPUT: &str = "output";
/// Output of the wave branch: `[1, stems, 2, L]`. The exporter named it by a running number.
pub const WAVE_OUTPUT: &str = "5073";
/// Name of the file with the weights of all windows.
pub const WEIGHTS_FILE: &str = "weights.bin";

const STEP: usize = 1024;
const BINS: usize = 2048;
const SIZES: usize = 80;
const COUNTS: usize = 8;
const TABLES: usize = 2;
const MAX_SIZES_IN_A_LIST: usize = 8;
/// As ONNX Runtime maps the file into memory, the tensors lie at multiples of this.
const ALIGNMENT: usize = 64;

/// Name of the graph file for a window of `columns`.
pub fn graph_file(columns: usize) -> String {
    format!("window-{columns}.onnx")
}

/// Frames of audio in a window of `columns`.
pub fn window_frames(columns: usize) -> usize {
    STEP * columns - 84
}

/// The tensors that a graph with a window of `columns` for `stems` stems must have.
pub fn expected_tensors(columns: usize, stems: usize) -> [ExpectedTensor; 4] {
    let frames = window_frames(columns);
    [
        ExpectedTensor::input(WAVE_INPUT, &[1, 2, frames]),
        ExpectedTensor::input(SPECTRUM_INPUT, &[1, 4, BINS, columns]),
        ExpectedTensor::output(SPECTRUM_OUTPUT, &[1, stems, 4, BINS, columns]),
        ExpectedTensor::output(WAVE_OUTPUT, &[1, stems, 2, frames]),
    ]
}

/// Writes into `folder` the weights of the full-window graph at `source` and a graph for each of `windows`
/// (in columns), and waits until they are on the disk. Returns the names of the files.
///
/// # Errors
/// When a file cannot be read or written, when `source` is not the graph whose windows can be shortened, or
/// when a window is not within 1..=336 columns.
pub fn split_windows(
    source: &Path,
    folder: &Path,
    stems: usize,
    windows: &[usize],
) -> Result<Vec<String>, ConvertError> {
    let mut model = ModelProto::read(source)?;
    check_model(&model, &expected_tensors(FULL_COLUMNS, stems))?;
    let weights = folder.join(WEIGHTS_FILE);
    move_weights(&mut model, &weights)?;
    let mut files = vec![WEIGHTS_FILE.to_owned()];
    for &columns in windows {
        let mut shorter = model.clone();
        shorten(&mut shorter, columns)?;
        let name = graph_file(columns);
        let path = folder.join(&name);
        let write = || {
            let mut file = std::fs::File::create_new(&path)?;
            file.write_all(&shorter.encode_to_vec())?;
            file.sync_all()
        };
        write().map_err(ConvertError::io(&path))?;
        files.push(name);
    }
    Ok(files)
}

/// Moves the initializers' bytes into a new file at `path`.
fn move_weights(model: &mut ModelProto, path: &Path) -> Result<(), ConvertError> {
    let tensors = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
    let move_all = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create_new(path)?);
        let mut at = 0usize;
        for tensor in tensors {
            let Some(data) = tensor.raw_data.take() else { continue };
            let start = at.next_multiple_of(ALIGNMENT);
            file.write_all(&[0; ALIGNMENT][..start - at])?;
            file.write_all(&data)?;
            at = start + data.len();
            let entry = |key: &str, value: String| StringStringEntryProto {
                key: Some(key.to_owned()),
                value: Some(value),
            };
            tensor.external_data = vec![
                entry("location", WEIGHTS_FILE.to_owned()),
                entry("offset", start.to_string()),
                entry("length", data.len().to_string()),
            ];
            tensor.data_location = Some(EXTERNAL);
        }
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()
    };
    move_all().map_err(ConvertError::io(path))
}

/// Changes the graph to a window of `columns`.
///
/// # Errors
/// When `columns` is not within 1..=336, or the graph does not have the constants that are to be changed, each
/// as often as expected.
pub fn shorten(model: &mut ModelProto, columns: usize) -> Result<(), ConvertError> {
    if columns == 0 || columns > FULL_COLUMNS {
        let reason = format!("only 1 to {FULL_COLUMNS} columns can be cut out of the full window");
        return Err(ConvertError::Window { columns, reason });
    }
    let Some(graph) = &mut model.graph else { return not_this("graph", 1, 0) };
    let [mut sizes, mut counts, mut tables] = [0; 3];
    let constants = graph.node.iter_mut().filter(|node| node.op_type() == "Constant");
    for tensor in constants.flat_map(|node| &mut node.attribute).filter_map(|a| a.t.as_mut()) {
        match tensor.data_type {
            Some(data_type::INT64) => {
                sizes += usize::from(change_sizes(tensor, columns));
                counts += usize::from(cut_counting(tensor, columns));
            }
            Some(data_type::FLOAT) => tables += usize::from(cut_table(tensor, columns)),
            _ => {}
        }
    }
    for (what, expected, found) in [
        ("lists of sizes", SIZES, sizes),
        ("counting tensors", COUNTS, counts),
        ("tables as long as the window", TABLES, tables),
    ] {
        if found != expected {
            return not_this(what, expected, found);
        }
    }
    for info in graph.input.iter_mut().chain(&mut graph.output) {
        change_shape(info, columns);
    }
    Ok(())
}

fn not_this(what: &'static str, expected: usize, found: usize) -> Result<(), ConvertError> {
    Err(ConvertError::NotThisGraph { what, expected, found })
}

/// What a size of the full window becomes; `None` for a size that does not depend on the window.
fn new_size(size: i64, columns: usize) -> Option<i64> {
    let t = columns as i64;
    match size {
        336 => Some(t),
        2688 => Some(8 * t),
        1344 => Some(4 * t),
        85_995 => Some(256 * t - 21),
        85_997 => Some(256 * t - 19),
        343_980 => Some(1024 * t - 84),
        343_982 => Some(1024 * t - 82),
        _ => None,
    }
}

fn ints(tensor: &TensorProto) -> Option<Vec<i64>> {
    let raw = tensor.raw_data.as_ref()?;
    let number = |bytes: &[u8]| bytes.try_into().ok().map(i64::from_le_bytes);
    raw.chunks(8).map(number).collect()
}

fn raw(values: impl Iterator<Item = i64>) -> Option<Bytes> {
    Some(values.flat_map(i64::to_le_bytes).collect::<Vec<_>>().into())
}

fn change_sizes(tensor: &mut TensorProto, columns: usize) -> bool {
    let Some(old) = ints(tensor).filter(|list| list.len() <= MAX_SIZES_IN_A_LIST) else { return false };
    if old.iter().all(|&size| new_size(size, columns).is_none()) {
        return false;
    }
    tensor.raw_data = raw(old.iter().map(|&size| new_size(size, columns).unwrap_or(size)));
    true
}

/// 0, 1, … 335 becomes 0, 1, … T − 1.
fn cut_counting(tensor: &mut TensorProto, columns: usize) -> bool {
    let full = FULL_COLUMNS as i64;
    if tensor.dims != [full] || ints(tensor).is_none_or(|list| !list.into_iter().eq(0..full)) {
        return false;
    }
    tensor.dims = vec![columns as i64];
    tensor.raw_data = raw(0..columns as i64);
    true
}

/// Zeros `[512, 8, 336]` become `[512, 8, T]`; `[336, 128]` becomes its first T rows.
fn cut_table(tensor: &mut TensorProto, columns: usize) -> bool {
    let Some(data) = &tensor.raw_data else { return false };
    let length = match *tensor.dims {
        [512, 8, 336] if data.iter().all(|&byte| byte == 0) => {
            tensor.dims = vec![512, 8, columns as i64];
            512 * 8 * columns * 4
        }
        [336, 128] => {
            tensor.dims = vec![columns as i64, 128];
            columns * 128 * 4
        }
        _ => return false,
    };
    if length > data.len() {
        return false;
    }
    tensor.raw_data = Some(data.slice(..length));
    true
}

fn change_shape(info: &mut ValueInfoProto, columns: usize) {
    let Some(TypeValue::Tensor(tensor)) = info.r#type.as_mut().and_then(|t| t.value.as_mut()) else { return };
    for dim in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
        if let Some(DimensionValue::Size(size)) = &mut dim.value {
            *size = new_size(*size, columns).unwrap_or(*size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::onnx::{AttributeProto, GraphProto, NodeProto};

    fn constant(tensor: TensorProto) -> NodeProto {
        let mut node = NodeProto::new("Constant", &[], "c");
        node.attribute = vec![AttributeProto { t: Some(tensor), ..AttributeProto::default() }];
        node
    }

    fn table(dims: &[i64]) -> TensorProto {
        let count: i64 = dims.iter().product();
        TensorProto {
            dims: dims.to_vec(),
            data_type: Some(data_type::FLOAT),
            raw_data: Some(vec![0; count as usize * 4].into()),
            ..TensorProto::default()
        }
    }

    /// A graph with the constants that the real one has, and some that must stay.
    fn lookalike() -> ModelProto {
        let all: Vec<i64> = (0..336).collect();
        let mut node = vec![constant(TensorProto::ints("", &[4, 8, 2048])), constant(table(&[48, 336]))];
        node.extend((0..79).map(|_| constant(TensorProto::ints("", &[1, 336, 2688, 7]))));
        node.push(constant(TensorProto::ints("", &[343_982])));
        node.extend((0..8).map(|_| constant(TensorProto::ints("", &all))));
        node.extend([constant(table(&[512, 8, 336])), constant(table(&[336, 128]))]);
        let graph = GraphProto {
            node,
            input: vec![ValueInfoProto::floats(WAVE_INPUT, &[1, 2, 343_980])],
            ..GraphProto::default()
        };
        ModelProto { graph: Some(graph), ..ModelProto::default() }
    }

    fn tensor(model: &ModelProto, node: usize) -> TensorProto {
        model.graph.as_ref().unwrap().node[node].attribute[0].t.clone().unwrap()
    }

    #[test]
    fn every_size_follows_the_window_and_nothing_else_changes() {
        let mut model = lookalike();
        shorten(&mut model, 84).unwrap();
        assert_eq!(tensor(&model, 0), tensor(&lookalike(), 0));
        assert_eq!(tensor(&model, 1), tensor(&lookalike(), 1));
        assert_eq!(ints(&tensor(&model, 2)).unwrap(), [1, 84, 672, 7]);
        assert_eq!(ints(&tensor(&model, 81)).unwrap(), [1024 * 84 - 82]);
        assert_eq!(ints(&tensor(&model, 82)).unwrap(), (0..84).collect::<Vec<_>>());
        assert_eq!(tensor(&model, 90), table(&[512, 8, 84]));
        assert_eq!(tensor(&model, 91), table(&[84, 128]));
        let graph = model.graph.unwrap();
        assert_eq!(graph.input[0], ValueInfoProto::floats(WAVE_INPUT, &[1, 2, window_frames(84)]));
    }

    #[test]
    fn the_full_window_is_the_original() {
        let mut model = lookalike();
        shorten(&mut model, 336).unwrap();
        assert_eq!(model, lookalike());
    }

    #[test]
    fn another_graph_is_refused_with_the_count() {
        let mut model = lookalike();
        model.graph.as_mut().unwrap().node.remove(5);
        assert_eq!(
            shorten(&mut model, 84).unwrap_err().to_string(),
            "this is not the HTDemucs graph that can be shortened: expected 80 lists of sizes, found 79"
        );
        assert!(shorten(&mut lookalike(), 337).is_err());
        assert!(shorten(&mut lookalike(), 0).is_err());
    }
}
