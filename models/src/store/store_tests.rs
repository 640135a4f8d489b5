//! The store with small models of our own making; the real packages are in `tests/acquire.rs`.

use super::*;
use crate::convert::weights::{Tensor, write_weights};

/// A manifest of a model whose nets lie beside it, and these nets, all zeros.
fn own_model(folder: &Path, name: &str, needs_acceptance: bool) -> PathBuf {
    let tensors: BTreeMap<String, Tensor> = crate::convert::unet::needed_tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = vec![0.0; shape.iter().product()];
            (name, Tensor::new(&shape, &values))
        })
        .collect();
    let mut text = format!(
        r#"
        format = 1
        name = "{name}"
        description = "Ours."
        role = "tests"
        stems = ["vocals", "other"]
        rate_hz = 44100
        [licence]
        name = "none"
        summary = "Agree."
        needs_acceptance = {needs_acceptance}
        [family]
        kind = "spectral-unet"
        n_fft = 4096
        step_frames = 1024
        bins = 1024
        live_columns = 64
        offline_columns = 64
        right_edge = {{ treatment = "none" }}
        level_rms = 0.0
        high_band_bins = 32
        [source]
        kind = "file"
        "#
    );
    for stem in ["vocals", "other"] {
        write_weights(&folder.join(format!("{stem}.safetensors")), &tensors).unwrap();
        text +=
            &format!("[[source.files]]\npath = \"{stem}.safetensors\"\nholds = \"net\"\nstem = \"{stem}\"\n");
    }
    let path = folder.join("manifest.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn quiet() -> impl FnMut(PullProgress) {
    |_| {}
}

fn agreed() -> PullOptions {
    PullOptions { accept_licence: true, ..PullOptions::default() }
}

fn names(store: &Store) -> Vec<String> {
    let installed = |line: Listed| line.installed_bytes.map(|_| line.manifest.name);
    store.list().unwrap().into_iter().filter_map(installed).collect()
}

#[test]
fn a_users_own_model_comes_in_is_checked_and_goes() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(data.path()).unwrap();
    own_model(own.path(), "mine", false);
    let installed = store.import_manifest(own.path(), &PullOptions::default(), &mut quiet()).unwrap();
    assert_eq!(installed.manifest.name, "mine");
    assert_eq!(names(&store), ["mine"]);
    store.verified("mine").unwrap();

    let weights = installed.dir.join(UNET_WEIGHTS);
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, &bytes).unwrap();
    let error = store.verified("mine").unwrap_err().to_string();
    assert!(error.contains("the model mine is damaged: weights.safetensors was changed"), "{error}");
    bytes.pop();
    std::fs::write(&weights, &bytes).unwrap();
    let error = store.installed("mine").unwrap_err().to_string();
    assert!(error.contains("weights.safetensors is missing or cut short"), "{error}");

    store.remove("mine").unwrap();
    assert!(names(&store).is_empty());
    assert!(!installed.dir.exists());
    assert!(!data.path().join("models/.staging").exists());
}

#[test]
fn unknown_and_missing_models_are_told_apart() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(data.path()).unwrap();
    let error = store.installed("nonsense").unwrap_err().to_string();
    assert!(error.contains("no model named nonsense; known are spleeter-2stems, htdemucs"), "{error}");
    let error = store.pull("../../etc", &PullOptions::default(), &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Unknown { .. }));
    assert!(matches!(store.installed("htdemucs"), Err(StoreError::NotInstalled { .. })));
    assert!(matches!(store.remove("htdemucs"), Err(StoreError::NotInstalled { .. })));
    let error = store.pull("htdemucs", &PullOptions::default(), &mut quiet()).unwrap_err().to_string();
    assert!(error.contains("--accept-licence htdemucs"), "{error}");
}

#[test]
fn a_wrong_file_leaves_the_store_as_it_was() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(data.path()).unwrap();
    let manifest = own_model(own.path(), "mine", false);
    store.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).unwrap();

    let net = own.path().join("other.safetensors");
    let bytes = std::fs::read(&net).unwrap();
    std::fs::write(&net, &bytes[..bytes.len() / 2]).unwrap();
    assert!(store.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).is_err());
    std::fs::remove_file(&net).unwrap();
    let error = store.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).unwrap_err();
    assert!(error.to_string().contains("other.safetensors"), "{error}");
    store.verified("mine").unwrap();
    assert!(!data.path().join("models/.staging").exists());
}

#[test]
fn a_hybrid_model_whose_tensors_do_not_fit_is_refused_with_both_shapes() {
    use crate::convert::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = include_str!("../../manifests/htdemucs.toml").replace("\"htdemucs\"", "\"mine\"");
    let (start, _) = manifest.split_once("[source]").unwrap();
    let source = "[source]\nkind = \"file\"\n[[source.files]]\npath = \"own.onnx\"\nholds = \"graph\"\n";
    std::fs::write(own.path().join("manifest.toml"), format!("{start}{source}")).unwrap();
    let graph = GraphProto {
        node: vec![NodeProto::new("Identity", &["input"], "output")],
        input: vec![ValueInfoProto::floats("input", &[1, 2, 44_100])],
        ..GraphProto::default()
    };
    let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
    std::fs::write(own.path().join("own.onnx"), prost::Message::encode_to_vec(&model)).unwrap();

    let store = Store::open(data.path()).unwrap();
    let error = store.import_manifest(own.path(), &agreed(), &mut quiet()).unwrap_err().to_string();
    assert_eq!(error, "tensor input has the shape [1, 2, 44100], but [1, 2, 343980] is needed");
    assert!(names(&store).is_empty());
}

fn export(store: &Store, name: &str, tar: &Path) {
    let mut file = std::fs::File::create(tar).unwrap();
    store.export(name, &mut file, tar, &Cancel::new(), &mut quiet()).unwrap();
}

#[test]
fn a_model_travels_in_a_tar_file_and_its_licence_is_asked_for_again() {
    let (data, other, own) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (store, there) = (Store::open(data.path()).unwrap(), Store::open(other.path()).unwrap());
    own_model(own.path(), "mine", true);
    assert!(store.import_manifest(own.path(), &PullOptions::default(), &mut quiet()).is_err());
    let here = store.import_manifest(own.path(), &agreed(), &mut quiet()).unwrap();
    let tar = own.path().join("mine.tar");
    export(&store, "mine", &tar);

    let error = there.import(&tar, &PullOptions::default(), &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::LicenceNotAccepted { .. }));
    let arrived = there.import(&tar, &agreed(), &mut quiet()).unwrap().model;
    assert_eq!((arrived.manifest, arrived.files), (here.manifest, here.files));
    there.verified("mine").unwrap();

    let whole = std::fs::read(&tar).unwrap();
    for cut in [0, 100, whole.len() / 2] {
        std::fs::write(&tar, &whole[..cut]).unwrap();
        assert!(there.import(&tar, &agreed(), &mut quiet()).is_err(), "cut at {cut}");
    }
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    std::fs::write(&tar, changed).unwrap();
    let error = there.import(&tar, &agreed(), &mut quiet()).unwrap_err().to_string();
    assert!(error.contains("is not what the inventory says"), "{error}");
    there.verified("mine").unwrap();
}

#[test]
fn an_archive_cannot_write_elsewhere() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(data.path()).unwrap();
    for path in [
        "../x/manifest.toml",
        "/tmp/manifest.toml",
        "mine/../../x",
        "mine/sub/x",
        "mine/.lock",
        "x",
        "runtime/../x",
        "runtime/a/../x",
        "runtime/a/b/x",
        "other/a/x",
    ] {
        let mut header = tar::Header::new_gnu();
        // Set byte by byte: the writer itself refuses such paths.
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(1);
        header.set_cksum();
        let mut tar = tar::Builder::new(Vec::new());
        tar.append(&header, &b"x"[..]).unwrap();
        let file = data.path().join("evil.tar");
        std::fs::write(&file, tar.into_inner().unwrap()).unwrap();
        let error = store.import(&file, &agreed(), &mut quiet()).unwrap_err();
        assert!(matches!(error, StoreError::Archive { .. }), "{path}: {error}");
    }
}

#[test]
fn a_store_that_somebody_changes_can_be_read_but_not_changed() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(data.path()).unwrap();
    let _other = Workshop::take(&data.path().join("models")).unwrap().unwrap();
    let manifest = own_model(own.path(), "mine", false);
    let error = store.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Busy { .. }));
    assert_eq!(Store::open(data.path()).unwrap().list().unwrap().len(), 2);
}

#[test]
fn a_cancelled_import_leaves_nothing() {
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(data.path()).unwrap();
    let manifest = own_model(own.path(), "mine", false);
    let options = PullOptions::default();
    options.cancel.cancel();
    let error = store.import_manifest(&manifest, &options, &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Fetch(FetchError::Cancelled)));
    assert!(names(&store).is_empty());
    assert!(!data.path().join("models/.staging").exists());
}

#[test]
fn a_users_own_spectral_graph_comes_in_and_a_wrong_one_is_refused_with_both_shapes() {
    use crate::convert::onnx::{GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto};
    let (data, own) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(data.path()).unwrap();
    let path = own_model(own.path(), "mine", false);
    let text = std::fs::read_to_string(&path).unwrap();
    let (start, _) = text.split_once("[[source.files]]").unwrap();
    std::fs::write(&path, format!("{start}[[source.files]]\npath = \"own.onnx\"\nholds = \"graph\"\n"))
        .unwrap();
    let import = |bins: usize| {
        let model = ModelProto {
            opset_import: vec![OperatorSetIdProto { domain: None, version: Some(17) }],
            graph: Some(GraphProto {
                node: vec![NodeProto::new("Identity", &["magnitude"], "masks")],
                input: vec![ValueInfoProto::floats("magnitude", &[1, 2, 64, bins])],
                output: vec![ValueInfoProto::floats("masks", &[2, 2, 64, 1024])],
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        };
        std::fs::write(own.path().join("own.onnx"), prost::Message::encode_to_vec(&model)).unwrap();
        store.import_manifest(&path, &PullOptions::default(), &mut quiet())
    };
    let error = import(512).unwrap_err().to_string();
    assert_eq!(error, "tensor magnitude has the shape [1, 2, 64, 512], but [1, 2, 64, 1024] is needed");
    let installed = import(1024).unwrap();
    assert_eq!(installed.content(), Content::Unet(installed.dir.join(UNET_GRAPH)));
}

#[test]
fn a_stored_model_is_run_as_this_version_runs_it() {
    let known = manifest::built_in().into_iter().find(|m| m.name == "spleeter-2stems").unwrap();
    let mut stored = known.clone();
    let Family::SpectralUnet(family) = &mut stored.family else { panic!("family") };
    family.level_rms = 0.1;
    assert_eq!(as_run_today(stored.clone()), known);
    stored.source.version = "0.0.1".to_owned();
    assert_eq!(as_run_today(stored.clone()), stored);

    // The windows of a hybrid model are files, so they stay; its figures are as good as the program's.
    let known = manifest::built_in().into_iter().find(|m| m.name == "htdemucs").unwrap();
    let mut stored = Manifest { quality: Vec::new(), ..known.clone() };
    let Family::HybridDemucs(family) = &mut stored.family else { panic!("family") };
    family.windows = vec![84, 336];
    let today = as_run_today(stored.clone());
    assert_eq!((&today.quality, &today.family), (&known.quality, &stored.family));

    // What is kept can be read by versions without figures; a user's own are all there is of them.
    for known in manifest::built_in() {
        assert!(as_stored(&known).quality.is_empty() && !known.quality.is_empty());
        assert_eq!(as_run_today(as_stored(&known)), known);
        let own = Manifest { name: "own".to_owned(), ..known };
        assert_eq!(as_stored(&own), own);
    }
}

#[test]
fn a_model_that_came_with_the_program_is_there_stays_and_gives_way_to_ones_own() {
    let (data, other, own) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let manifest = own_model(own.path(), "mine", false);
    let there = Store::open(other.path()).unwrap();
    there.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).unwrap();
    let mut store = Store::open(data.path()).unwrap();
    store.shipped = Some(other.path().join("models"));

    assert_eq!(store.verified("mine").unwrap().dir, other.path().join("models/mine"));
    let error = store.remove("mine").unwrap_err().to_string();
    assert!(error.contains("came with this program"), "{error}");
    export(&store, "mine", &own.path().join("mine.tar"));

    store.import_manifest(&manifest, &PullOptions::default(), &mut quiet()).unwrap();
    assert_eq!(store.installed("mine").unwrap().dir, data.path().join("models/mine"));
    store.remove("mine").unwrap();
    assert!(matches!(store.remove("mine"), Err(StoreError::Shipped { .. })));
    there.verified("mine").unwrap();
}
