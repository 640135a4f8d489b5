//! The doubling convolutions of the way up (transposed, 5×5, stride 2), in two forms that give the same.
//!
//! Only nodes are made here; what is wanted of a layer, and which weights it has, others say.

use std::ops::Range;

use super::{Builder, NodeProto, TensorProto};
use crate::convert::Tensor;

/// Which operators double. What is faster is a matter of the processor and of the library that runs the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Doubling {
    /// The operator of that name. ONNX Runtime's for the CPU also computes what is cropped, and adds up piecemeal.
    Transposed,
    /// As four ordinary convolutions, one per parity of column and bin, interleaved.
    #[default]
    Phases,
}

/// Taps of the transposed convolution in each direction.
const TAPS: usize = 5;
/// What the bins are cropped by before the first.
const BINS_CROPPED: usize = 1;
/// With fewer channels than that, four convolutions are no faster than one transposed.
const FEWEST_CHANNELS: usize = 16;

/// The columns of an input that the columns `wanted` of a layer's output depend on, and the padding on the time
/// axis with which the layer makes exactly those from exactly these.
pub(super) struct Reach {
    pub(super) input: Range<usize>,
    pub(super) pads: (usize, usize),
}

/// For a doubling convolution (5 wide, stride 2, cropped by 1 before and 2 behind) with `available` columns in:
/// output column o is made of the input columns i with 0 ≤ o + 1 − 2i ≤ 4.
pub(super) fn reach_of_doubling(wanted: &Range<usize>, available: usize) -> Reach {
    let first = wanted.start.saturating_sub(2) / 2;
    let end = (wanted.end / 2 + 1).min(available);
    let (near, made) = (wanted.start + 1 - 2 * first, 2 * (end - first) + 3);
    Reach { input: first..end, pads: (near, made - near - wanted.len()) }
}

/// One axis of an ordinary convolution: the tap of the transposed one in each place (`None` is a zero), and the
/// zeros around its input.
#[derive(Debug, PartialEq)]
pub(super) struct Phase {
    taps: Vec<Option<usize>>,
    pads: (usize, usize),
}

/// The two convolutions that make the even and the odd ones of 2·`pairs` outputs from `available` inputs, the
/// first `near` that the transposed one would give being cropped.
///
/// Uncropped output p is the sum of the inputs i times the taps p − 2i: for an even p = 2q the inputs q − 2 to q,
/// for an odd one q − 1 and q.
pub(super) fn phases(near: usize, pairs: usize, available: usize) -> [Phase; 2] {
    [near, near + 1].map(|p| {
        let (parity, newest) = (p % 2, p / 2);
        let reach = if parity == 0 { 2 } else { 1 };
        // A window that would start behind the first input, or end before the last one, is widened by zeros:
        // ordinary convolutions are padded, never cropped.
        let unused_before = newest.saturating_sub(reach);
        let unused_behind = available.saturating_sub(pairs + newest);
        let used = (0..=reach).map(|back| Some(2 * (reach - back) + parity));
        let taps = std::iter::repeat_n(None, unused_before)
            .chain(used)
            .chain(std::iter::repeat_n(None, unused_behind))
            .collect();
        Phase { taps, pads: (reach.saturating_sub(newest), (pairs + newest).saturating_sub(available)) }
    })
}

/// What one doubling layer is made of.
pub(super) struct Layer<'a> {
    pub(super) name: &'a str,
    /// `[from, to, 5, 5]`; the bias is in the graph already, under `NAME.bias`.
    pub(super) weight: &'a Tensor,
    /// Bins that come in.
    pub(super) bins: usize,
    /// Columns that come in, and the padding that says which columns are wanted.
    pub(super) columns: usize,
    pub(super) pads: (usize, usize),
}

impl Builder {
    /// A doubling convolution and its activation, in the form `doubling`.
    pub(super) fn double(&mut self, layer: &Layer<'_>, input: &str, doubling: Doubling) -> String {
        if doubling == Doubling::Transposed || layer.weight.shape[1] < FEWEST_CHANNELS {
            self.double_transposed(layer, input)
        } else {
            self.double_by_phases(layer, input)
        }
    }

    fn double_transposed(&mut self, layer: &Layer<'_>, input: &str) -> String {
        let (name, pads) = (layer.name, layer.pads);
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        self.initializers.push(TensorProto::from(layer.weight).named(&weight));
        let conv = NodeProto::new("ConvTranspose", &[input, &weight, &bias], name)
            .with_ints("strides", &[2, 2])
            .with_ints("pads", &[pads.0 as i64, 1, pads.1 as i64, 2]);
        let conv = self.node(conv);
        self.node(NodeProto::new("Relu", &[&conv], &format!("{name}/activation")))
    }

    fn double_by_phases(&mut self, layer: &Layer<'_>, input: &str) -> String {
        let Layer { name, weight, bins, columns, pads } = layer;
        let wanted = 2 * columns + TAPS - 2 - pads.0 - pads.1;
        let pairs = wanted.div_ceil(2);
        let values: Vec<f32> = weight.values().collect();
        let bias = format!("{name}.bias");
        let mut parts = Vec::new();
        for time in &phases(pads.0, pairs, *columns) {
            for frequency in &phases(BINS_CROPPED, *bins, *bins) {
                let part = format!("{name}/phase{}", parts.len());
                let kernel = phase_weight(&weight.shape, &values, time, frequency);
                self.initializers.push(TensorProto::from(&kernel).named(&format!("{part}.weight")));
                let pads = [time.pads.0, frequency.pads.0, time.pads.1, frequency.pads.1];
                let conv = NodeProto::new("Conv", &[input, &format!("{part}.weight"), &bias], &part)
                    .with_ints("pads", &pads.map(|p| p as i64));
                let conv = self.node(conv);
                // Before they are interleaved: there ONNX Runtime makes one operator of both.
                parts.push(self.node(NodeProto::new("Relu", &[&conv], &format!("{part}/activation"))));
            }
        }
        let inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        let all = self.node(NodeProto::new("Concat", &inputs, &format!("{name}/phases")).with_int("axis", 1));
        let mixed = NodeProto::new("DepthToSpace", &[&all], &format!("{name}/interleaved"));
        let mixed = self.node(mixed.with_int("blocksize", 2));
        self.slice(&mixed, &format!("{name}/wanted"), &(0..wanted), 2 * pairs)
    }
}

/// The weight of one of the four convolutions, `[to, from, time, frequency]`, out of the transposed one's.
fn phase_weight(shape: &[usize], values: &[f32], time: &Phase, frequency: &Phase) -> Tensor {
    let (from, to) = (shape[0], shape[1]);
    let mut kernel = Vec::with_capacity(to * from * time.taps.len() * frequency.taps.len());
    for out in 0..to {
        for channel in 0..from {
            let plane = &values[(channel * to + out) * TAPS * TAPS..][..TAPS * TAPS];
            for row in &time.taps {
                for tap in &frequency.taps {
                    kernel.push(row.zip(*tap).map_or(0.0, |(row, tap)| plane[row * TAPS + tap]));
                }
            }
        }
    }
    Tensor::new(&[to, from, time.taps.len(), frequency.taps.len()], &kernel)
}
