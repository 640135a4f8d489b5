//! Writes Spleeter's U-Nets as one ONNX graph, for any number of stems and any window, computing in the decoder
//! only what the columns that are kept depend on.
//!
//! **Input** `magnitude [batch, 2, T, 1024]`: magnitudes of the lowest 1024 bins, T columns.
//! **Output** `masks [batch, 2·stems, kept, 1024]`: what each stem gets of each bin, two channels after two channels;
//! over the stems they sum to 1. The size of the batch is left open.
//!
//! A U-Net here is six halving convolutions (5×5, stride 2, one more zero at the far side than at the near, as
//! TensorFlow pads), six doubling ones and a dilated one, whose sigmoid multiplies the input:
//! y = u7·x. The skip connections are taken *before* batch norm and activation. Masks are
//! (y² + ε/stems)/(Σy² + ε).
//!
//! Only graphs are made here; nothing is run.

mod doubling;
pub mod own;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use prost::Message;

use super::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::weights::read_weights;
use super::{ConvertError, ExpectedTensor, Tensor};
pub use doubling::Doubling;
use doubling::{Layer, Reach, reach_of_doubling};

/// Bins the networks see.
pub const BINS: usize = 1024;
/// T must be a multiple of this: six halvings.
pub const COLUMN_MULTIPLE: usize = 64;
/// Name of the graph's input.
pub const INPUT: &str = "magnitude";
/// Name of the graph's output.
pub const OUTPUT: &str = "masks";

const LEVELS: usize = 6;
/// Channels after each halving, from the stereo input down.
const CHANNELS: [usize; LEVELS + 1] = [2, 16, 32, 64, 128, 256, 512];
/// Channels that each doubling makes, from the bottom up.
const UP_CHANNELS: [usize; LEVELS] = [256, 128, 64, 32, 16, 1];
const MASK_EPSILON: f32 = 1e-10;
const NORM_EPSILON: f32 = 1e-3;
const NORM_PARTS: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// The weights of one U-Net per stem, in the manifest's order, each checked to be complete; or a user's own
/// graph in their place.
#[derive(Clone, Debug)]
pub struct UnetWeights {
    stems: usize,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Nets(Vec<BTreeMap<String, Tensor>>),
    Graph(Box<ModelProto>),
}

impl UnetWeights {
    /// Checks that every net has every tensor in the right shape. What the network does not use is dropped.
    ///
    /// # Errors
    /// Names the stem and the tensor that is missing or misshapen.
    pub fn new(nets: Vec<(String, BTreeMap<String, Tensor>)>) -> Result<Self, ConvertError> {
        let mut checked = Vec::with_capacity(nets.len());
        for (stem, mut tensors) in nets {
            let mut net = BTreeMap::new();
            for (name, shape) in needed_tensors() {
                let missing = || ConvertError::MissingTensor { net: stem.clone(), tensor: name.clone() };
                let tensor = tensors.remove(&name).ok_or_else(missing)?;
                if tensor.shape != shape {
                    let sizes = |shape: &[usize]| shape.iter().map(|&d| d as i64).collect();
                    return Err(ConvertError::WrongShape {
                        tensor: format!("{stem}/{name}"),
                        expected: sizes(&shape),
                        found: sizes(&tensor.shape),
                    });
                }
                net.insert(name, tensor);
            }
            checked.push(net);
        }
        Ok(Self { stems: checked.len(), content: Content::Nets(checked) })
    }

    /// Reads what the store keeps of a spectral U-Net at `path`: weights, or a user's own `.onnx` graph.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or does not fit `stems`.
    pub fn load<S: AsRef<str>>(path: &Path, stems: &[S]) -> Result<Self, ConvertError> {
        if path.extension().is_some_and(|extension| extension == "onnx") {
            let graph = own::read_graph(path, stems.len(), &[])?;
            return Ok(Self { stems: stems.len(), content: Content::Graph(Box::new(graph)) });
        }
        Self::from_tensors(stems, &read_weights(path)?)
    }

    /// Takes the nets of `stems` out of one set of tensors named `STEM/TENSOR`, as [`to_tensors`] names them.
    ///
    /// # Errors
    /// As [`UnetWeights::new`].
    ///
    /// [`to_tensors`]: UnetWeights::to_tensors
    pub fn from_tensors<S: AsRef<str>>(
        stems: &[S],
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<Self, ConvertError> {
        let nets = stems.iter().map(|stem| {
            let stem = stem.as_ref();
            let own = tensors
                .iter()
                .filter_map(|(name, tensor)| {
                    let name = name.strip_prefix(stem)?.strip_prefix('/')?;
                    Some((name.to_owned(), tensor.clone()))
                })
                .collect();
            (stem.to_owned(), own)
        });
        Self::new(nets.collect())
    }

    /// All tensors under the names `STEM/TENSOR`, ready to be kept in one file. None for an own graph.
    ///
    /// `stems` must name as many stems as there are nets; more are ignored.
    pub fn to_tensors<S: AsRef<str>>(&self, stems: &[S]) -> BTreeMap<String, Tensor> {
        let named = |(stem, net): (&S, &BTreeMap<String, Tensor>)| {
            let prefix = stem.as_ref().to_owned();
            net.iter().map(move |(name, t)| (format!("{prefix}/{name}"), t.clone())).collect::<Vec<_>>()
        };
        let nets = match &self.content {
            Content::Nets(nets) => nets.as_slice(),
            Content::Graph(_) => &[],
        };
        stems.iter().zip(nets).flat_map(named).collect()
    }

    /// Number of stems.
    pub fn stems(&self) -> usize {
        self.stems
    }

    /// The tensors of [`unet_graph`] over `columns` that keeps `kept` of them, at a batch of one.
    pub fn expected_tensors(&self, columns: usize, kept: usize) -> [ExpectedTensor; 2] {
        let masks = match &self.content {
            Content::Nets(_) => [1, 2 * self.stems, kept, BINS],
            Content::Graph(_) => [self.stems, 2, kept, BINS],
        };
        [ExpectedTensor::input(INPUT, &[1, 2, columns, BINS]), ExpectedTensor::output(OUTPUT, &masks)]
    }
}

/// Every tensor of one net: its name in the checkpoint and its shape.
pub(crate) fn needed_tensors() -> Vec<(String, Vec<usize>)> {
    let mut all = Vec::new();
    let norm = |all: &mut Vec<_>, layer: String, channels: usize| {
        all.extend(NORM_PARTS.map(|part| (format!("{layer}.{part}"), vec![channels])));
    };
    for level in 1..=LEVELS {
        let (from, to) = (CHANNELS[level - 1], CHANNELS[level]);
        all.push((format!("down{level}_conv.1.weight"), vec![to, from, 5, 5]));
        all.push((format!("down{level}_conv.1.bias"), vec![to]));
        if level < LEVELS {
            norm(&mut all, format!("down{level}_act.0"), to);
        }
    }
    for step in 1..=LEVELS {
        let to = UP_CHANNELS[step - 1];
        // The first takes the bottom, every other what is below it joined with the skip of the same size.
        let from = if step == 1 { CHANNELS[LEVELS] } else { 2 * UP_CHANNELS[step - 2] };
        all.push((format!("up{step}.0.weight"), vec![from, to, 5, 5]));
        all.push((format!("up{step}.0.bias"), vec![to]));
        norm(&mut all, format!("up{step}.3"), to);
    }
    all.push(("up7.0.weight".to_owned(), vec![2, 1, 4, 4]));
    all.push(("up7.0.bias".to_owned(), vec![2]));
    all
}

/// For the last convolution (4 wide, dilated by 2, padded by 3): o is made of o − 3, o − 1, o + 1 and o + 3.
fn reach_of_last(wanted: &Range<usize>, available: usize) -> Reach {
    let first = wanted.start.saturating_sub(3);
    let end = (wanted.end + 3).min(available);
    Reach { input: first..end, pads: (first + 3 - wanted.start, wanted.end + 3 - end) }
}

/// The graph of all nets over a window of `columns` that outputs the masks of the columns `keep`. A user's own
/// graph stays as it is but for the columns.
///
/// # Errors
/// When `columns` is not a positive multiple of 64, or `keep` is empty or outside the window.
pub fn unet_graph(
    weights: &UnetWeights,
    columns: usize,
    keep: Range<usize>,
    doubling: Doubling,
) -> Result<Vec<u8>, ConvertError> {
    let window = |reason: &str| ConvertError::Window { columns, reason: reason.to_owned() };
    if columns == 0 || !columns.is_multiple_of(COLUMN_MULTIPLE) {
        return Err(window("it must be a multiple of 64"));
    }
    if keep.is_empty() || keep.end > columns {
        return Err(window(&format!("the columns {}..{} are not in it", keep.start, keep.end)));
    }
    let nets = match &weights.content {
        Content::Nets(nets) => nets,
        Content::Graph(model) => return own::kept_graph(model, weights.stems, columns, &keep),
    };
    let mut graph = Builder { doubling, ..Builder::default() };
    let kept = graph.slice(INPUT, "kept", &keep, columns);
    let mut squares = Vec::new();
    for (index, net) in nets.iter().enumerate() {
        let y = graph.net(&format!("net{index}"), net, columns, &keep, &kept);
        squares.push(graph.node(NodeProto::new("Mul", &[&y, &y], &format!("net{index}/square"))));
    }
    graph.masks(&squares);

    let masks = [2 * weights.stems(), keep.len(), BINS];
    let model = ModelProto::of(GraphProto {
        name: Some("spectral_unet".to_owned()),
        node: graph.nodes,
        initializer: graph.initializers,
        input: vec![ValueInfoProto::batched_floats(INPUT, &[2, columns, BINS])],
        output: vec![ValueInfoProto::batched_floats(OUTPUT, &masks)],
        ..GraphProto::default()
    });
    Ok(model.encode_to_vec())
}

#[derive(Default)]
struct Builder {
    doubling: Doubling,
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
}

impl Builder {
    /// One net over the whole window; the name of its masked magnitude in the columns `keep`.
    fn net(
        &mut self,
        net: &str,
        weights: &BTreeMap<String, Tensor>,
        columns: usize,
        keep: &Range<usize>,
        kept: &str,
    ) -> String {
        // What doubles adds its weights in the form it takes them.
        let doubles =
            |name: &str| name.starts_with("up") && !name.starts_with("up7") && name.ends_with(".0.weight");
        for (name, tensor) in weights.iter().filter(|(name, _)| !doubles(name)) {
            self.initializers.push(TensorProto::from(tensor).named(&format!("{net}/{name}")));
        }
        // The whole way down: the lowest column depends on all of the window.
        let mut skips = Vec::new();
        let mut value = INPUT.to_owned();
        for level in 1..=LEVELS {
            let layer = format!("{net}/down{level}_conv.1");
            let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
            let conv = NodeProto::new("Conv", &[&value, &weight, &bias], &layer)
                .with_ints("strides", &[2, 2])
                .with_ints("pads", &[1, 1, 2, 2]);
            let skip = self.node(conv);
            if level < LEVELS {
                let norm = self.norm(&skip, &format!("{net}/down{level}_act.0"));
                let activation = NodeProto::new("LeakyRelu", &[&norm], &format!("{net}/down{level}_act.1"));
                value = self.node(activation.with_float("alpha", 0.2));
            }
            skips.push(skip);
        }
        // What each layer on the way up must make, found from the top down.
        let last = reach_of_last(keep, columns);
        let mut reaches = Vec::new();
        let mut wanted = last.input.clone();
        for step in (1..=LEVELS).rev() {
            let reach = reach_of_doubling(&wanted, columns >> (LEVELS + 1 - step));
            wanted = reach.input.clone();
            reaches.push(reach);
        }
        reaches.reverse();
        for (step, reach) in (1..=LEVELS).zip(&reaches) {
            let from = columns >> (LEVELS + 1 - step);
            let skip = self.slice(&skips[LEVELS - step], &format!("{net}/skip{step}"), &reach.input, from);
            let input = if step == 1 {
                skip
            } else {
                let joined = NodeProto::new("Concat", &[&skip, &value], &format!("{net}/join{step}"));
                self.node(joined.with_int("axis", 1))
            };
            let name = format!("{net}/up{step}.0");
            let layer = Layer {
                name: &name,
                weight: &weights[&format!("up{step}.0.weight")],
                bins: BINS >> (LEVELS + 1 - step),
                columns: reach.input.len(),
                pads: reach.pads,
            };
            let doubled = self.double(&layer, &input, self.doubling);
            value = self.norm(&doubled, &format!("{net}/up{step}.3"));
        }
        let layer = format!("{net}/up7.0");
        let (weight, bias) = (format!("{layer}.weight"), format!("{layer}.bias"));
        let conv = NodeProto::new("Conv", &[&value, &weight, &bias], &layer)
            .with_ints("dilations", &[2, 2])
            .with_ints("pads", &[last.pads.0 as i64, 3, last.pads.1 as i64, 3]);
        let conv = self.node(conv);
        let gain = self.node(NodeProto::new("Sigmoid", &[&conv], &format!("{net}/up7.1")));
        self.node(NodeProto::new("Mul", &[&gain, kept], &format!("{net}/masked")))
    }

    fn norm(&mut self, input: &str, layer: &str) -> String {
        let parts = NORM_PARTS.map(|part| format!("{layer}.{part}"));
        let inputs: Vec<&str> = std::iter::once(input).chain(parts.iter().map(String::as_str)).collect();
        self.node(NodeProto::new("BatchNormalization", &inputs, layer).with_float("epsilon", NORM_EPSILON))
    }

    /// The columns `range` of a value that has `available`; the value itself when that is all.
    fn slice(&mut self, value: &str, name: &str, range: &Range<usize>, available: usize) -> String {
        if *range == (0..available) {
            return value.to_owned();
        }
        let names = ["from", "to", "axis"].map(|part| format!("{name}/{part}"));
        for (name, number) in names.iter().zip([range.start, range.end, 2]) {
            self.initializers.push(TensorProto::ints(name, &[number as i64]));
        }
        self.node(NodeProto::new("Slice", &[value, &names[0], &names[1], &names[2]], name))
    }

    /// (y² + ε/stems)/(Σy² + ε) of every stem, one behind the other.
    fn masks(&mut self, squares: &[String]) {
        let share = MASK_EPSILON / squares.len() as f32;
        self.initializers.push(TensorProto::scalar("share", share));
        self.initializers.push(TensorProto::scalar("epsilon", MASK_EPSILON));
        let inputs: Vec<&str> = squares.iter().map(String::as_str).collect();
        let sum = self.node(NodeProto::new("Sum", &inputs, "sum"));
        let whole = self.node(NodeProto::new("Add", &[&sum, "epsilon"], "whole"));
        let mut masks = Vec::new();
        for (index, square) in squares.iter().enumerate() {
            let part = self.node(NodeProto::new("Add", &[square, "share"], &format!("net{index}/part")));
            masks.push(self.node(NodeProto::new("Div", &[&part, &whole], &format!("net{index}/mask"))));
        }
        let inputs: Vec<&str> = masks.iter().map(String::as_str).collect();
        self.node(NodeProto::new("Concat", &inputs, OUTPUT).with_int("axis", 1));
    }

    fn node(&mut self, node: NodeProto) -> String {
        let output = node.output.first().cloned().unwrap_or_default();
        self.nodes.push(node);
        output
    }
}

#[cfg(test)]
mod tests;
