//! Peak levels, gathered while playing. Must not smooth, decay or convert.

use rehearsekit_audio::StemSet;

/// The highest absolute sample of each signal since this was last taken, linear, left and right.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Peaks {
    /// The mix as it came in.
    pub input: [f32; 2],
    /// The main output.
    pub main: [f32; 2],
    /// What each lane adds to the main output, behind its gain. While the mix stands in for the stems, all of it
    /// is on the lane that closes the sum.
    pub lanes: [[f32; 2]; StemSet::MAX],
}

impl Peaks {
    /// Raises `peak` to the absolute value of `sample`.
    pub(crate) fn raise(peak: &mut f32, sample: f32) {
        // Not `f32::max`: a NaN cannot come here, and this is one instruction.
        let level = sample.abs();
        if level > *peak {
            *peak = level;
        }
    }
}
