//! The real packages: what a pull leaves, and that what was converted from it computes the right thing.
//!
//! The models must be in `$REHEARSEKIT_DATA` (`cargo xtask test` pulls them there first). One that is missing
//! fails these tests: nothing here skips itself.
#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rehearsekit_models::convert::unet::{self, Doubling, UnetWeights, unet_graph};
use rehearsekit_models::convert::weights::read_weights;
use rehearsekit_models::convert::{check_tensors, htdemucs};
use rehearsekit_models::fetch::{Cancel, runtime::installed_runtime};
use rehearsekit_models::runtime::{Graph, Network, On, Runtime};
use rehearsekit_models::store::{Content, PullOptions, Store, StoreError};

const SPLEETER: &str = "spleeter-2stems";

fn data() -> PathBuf {
    let told = std::env::var_os("REHEARSEKIT_DATA").expect(
        "REHEARSEKIT_DATA must name the folder that `rehearsekit models pull` filled; run cargo xtask test",
    );
    PathBuf::from(told)
}

fn store() -> Store {
    Store::open(&data()).unwrap()
}

fn runtime() -> Runtime {
    let library = installed_runtime(&data()).unwrap().expect("ONNX Runtime must have been fetched before");
    Runtime::load(&library).unwrap()
}

fn spleeter_weights() -> UnetWeights {
    let installed = store().verified(SPLEETER).expect("spleeter-2stems must have been pulled before");
    let Content::Unet(weights) = installed.content() else { panic!("spleeter-2stems must be a U-Net") };
    UnetWeights::from_tensors(&installed.manifest.stems, &read_weights(&weights).unwrap()).unwrap()
}

/// Magnitudes as music has them: many small, few large; the same every time.
fn magnitudes(columns: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 16_777_216.0
    };
    (0..2 * columns * unet::BINS).map(|_| 40.0 * next().powi(4)).collect()
}

fn masks(
    weights: &UnetWeights,
    columns: usize,
    keep: std::ops::Range<usize>,
    doubling: Doubling,
) -> Vec<f32> {
    let graph = unet_graph(weights, columns, keep.clone(), doubling).unwrap();
    let tensors = weights.expected_tensors(columns, keep.len());
    let mut network =
        Network::load(&runtime(), SPLEETER, Graph::Bytes(&graph), On::processor(1), &tensors).unwrap();
    let shape = [1, 2, columns, unet::BINS];
    let outputs = network.run(&[(unet::INPUT, &shape, &magnitudes(columns))]).unwrap();
    outputs.slices().unwrap()[0].to_vec()
}

#[test]
fn the_example_song_and_the_licence_are_kept_with_spleeter() {
    let installed = store().verified(SPLEETER).unwrap();
    for extra in ["audio_example.mp3", "LICENSE"] {
        assert!(installed.extra(extra).unwrap().is_file(), "{extra}");
    }
    assert!(installed.extra("weights.onnx").is_none());
}

#[test]
fn the_cropped_decoder_computes_what_the_whole_one_does_in_both_its_forms() {
    let weights = spleeter_weights();
    let whole = masks(&weights, 64, 0..64, Doubling::Transposed);
    assert!(whole.iter().all(|mask| (0.0..=1.0).contains(mask)));
    let kept = [63..64, 62..63, 61..63, 55..56, 52..56, 40..56, 30..33, 0..1, 0..64];
    let forms = [Doubling::Transposed, Doubling::Phases];
    for (keep, doubling) in kept.iter().flat_map(|keep| forms.map(|form| (keep, form))) {
        let part = masks(&weights, 64, keep.clone(), doubling);
        let (rows, bins) = (2 * weights.stems(), unet::BINS);
        for row in 0..rows {
            let from_whole = &whole[(row * 64 + keep.start) * bins..(row * 64 + keep.end) * bins];
            let from_part = &part[row * keep.len() * bins..(row + 1) * keep.len() * bins];
            let pairs = from_whole.iter().zip(from_part);
            let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(difference < 2e-6, "{doubling:?}, columns {keep:?}, row {row}: {difference}");
        }
    }
}

#[test]
fn the_masks_of_all_stems_sum_to_one_and_differ() {
    let masks = masks(&spleeter_weights(), 64, 0..64, Doubling::default());
    let (vocals, accompaniment) = masks.split_at(masks.len() / 2);
    assert!(vocals.iter().zip(accompaniment).all(|(v, a)| (v + a - 1.0).abs() < 1e-5));
    let apart = vocals.iter().zip(accompaniment).filter(|(v, a)| (*v - *a).abs() > 0.5).count();
    assert!(apart > vocals.len() / 100, "only {apart} bins are told apart");
}

#[test]
fn a_pulled_model_travels_to_a_machine_without_internet() {
    let folder = tempfile::tempdir().unwrap();
    let tar = folder.path().join("spleeter.tar");
    let mut file = std::fs::File::create(&tar).unwrap();
    store().export(SPLEETER, &mut file, &tar, &Cancel::new(), &mut |_| {}).unwrap();
    let other = Store::open(&folder.path().join("data")).unwrap();
    let arrived = other.import(&tar, &PullOptions::default(), &mut |_| {}).unwrap().model;
    assert_eq!(arrived.files, store().installed(SPLEETER).unwrap().files);
}

#[test]
fn pulling_what_is_there_fetches_nothing() {
    let downloading = |p: rehearsekit_models::store::PullProgress| {
        assert_eq!(p.step, rehearsekit_models::fetch::FetchStep::Verifying);
    };
    store().pull(SPLEETER, &PullOptions::default(), &mut { downloading }).unwrap();
}

/// Not a test of its own: the process that [`a_killed_pull_leaves_nothing_half_written`] starts and kills.
#[test]
#[ignore = "started by another test"]
fn pull_until_killed() {
    let Some(folder) = std::env::var_os("REHEARSEKIT_TEST_PULL_INTO") else {
        panic!("this is started by a_killed_pull_leaves_nothing_half_written only");
    };
    let store = Store::open(Path::new(&folder)).unwrap();
    store.pull(SPLEETER, &PullOptions::default(), &mut |_| {}).unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_pull_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let staging = folder.path().join("models/.staging");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "pull_until_killed", "--ignored"])
        .env("REHEARSEKIT_TEST_PULL_INTO", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    // As soon as it has begun to make something; there is no telling how long that takes.
    let begun = Instant::now();
    while std::fs::read_dir(&staging).map_or(0, Iterator::count) == 0 {
        assert!(child.0.try_wait().unwrap().is_none(), "the pull ended before it could be killed");
        assert!(begun.elapsed() < Duration::from_secs(300), "the pull never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    let meanwhile = Store::open(folder.path()).unwrap();
    let busy = meanwhile.pull(SPLEETER, &PullOptions::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(busy, StoreError::Busy { .. }), "{busy}");
    drop(child);

    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(store.installed(SPLEETER), Err(StoreError::NotInstalled { .. })));
    assert!(!folder.path().join("models").join(SPLEETER).exists());
}

/// Run by hand: `cargo nextest run -p rehearsekit-models --run-ignored only htdemucs` with the model pulled.
#[test]
#[ignore = "needs htdemucs, whose licence a person must accept"]
fn htdemucs_comes_in_every_window_and_keeps_its_weights_once() {
    let installed = store().verified("htdemucs").expect("htdemucs must have been pulled before");
    let Content::Hybrid(windows) = installed.content() else { panic!("htdemucs must be a hybrid model") };
    assert_eq!(windows.keys().copied().collect::<Vec<_>>(), [56, 84, 112, 168, 336]);
    for (&columns, path) in &windows {
        check_tensors(path, &htdemucs::expected_tensors(columns, 4)).unwrap();
        let bytes = std::fs::metadata(path).unwrap().len();
        assert!(bytes < 10_000_000, "the graph of {columns} columns has {bytes} bytes: are weights in it?");
    }
    let columns = 56;
    let tensors = htdemucs::expected_tensors(columns, 4);
    let mut network =
        Network::load(&runtime(), "htdemucs", Graph::File(&windows[&columns]), On::processor(2), &tensors)
            .unwrap();
    let frames = htdemucs::window_frames(columns);
    let (wave, spectrum) = (vec![0.1; 2 * frames], vec![0.1; 4 * 2048 * columns]);
    let inputs: [(&str, &[usize], &[f32]); 2] = [
        (htdemucs::WAVE_INPUT, &[1, 2, frames], &wave),
        (htdemucs::SPECTRUM_INPUT, &[1, 4, 2048, columns], &spectrum),
    ];
    let outputs = network.run(&inputs).unwrap();
    let outputs = outputs.slices().unwrap();
    assert_eq!(outputs[0].len(), 4 * 4 * 2048 * columns);
    assert_eq!(outputs[1].len(), 4 * 2 * frames);
    assert!(outputs.iter().all(|output| output.iter().all(|value| value.is_finite())));
}

#[test]
fn a_network_whose_file_is_gone_is_named_with_the_way_to_get_it_back() {
    let gone = Path::new("/nowhere/window-56.onnx");
    let told = match Network::load(&runtime(), "htdemucs", Graph::File(gone), On::processor(1), &[]) {
        Ok(_) => panic!("a file that is not there was loaded"),
        Err(error) => error.to_string(),
    };
    assert!(told.starts_with("/nowhere/window-56.onnx cannot be read any more ("), "{told}");
    assert!(told.ends_with("put it back with 'rehearsekit models pull htdemucs'"), "{told}");
}
