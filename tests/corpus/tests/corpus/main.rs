//! Every container, codec, rate and header that Debian's encoders can write, held against what this project decodes.
//! Lossless files must come back to the sample; the others lie where the truth lies, are as long as the truth but for
//! their codec's own padding, and agree with a reference decoder. Nothing here may depend on how fast that is.
#![allow(clippy::unwrap_used)]

mod flac;
mod foreign;
mod mp4;
mod mpeg;
mod ogg;
mod others;
mod wav;
