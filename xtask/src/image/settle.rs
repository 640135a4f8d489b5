//! Takes chance out of an image in a file: buildah notes the name and the host name of the container that it worked in,
//! new ones each time, and so the same image would have another identity each time. Everything else stays as it is.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::root::sha256;

/// Rewrites the docker archive `from` as `to` under the name `tag`; its identity and that of its one layer.
///
/// # Errors
/// When it is no such archive, has more than one layer, or cannot be written.
pub(super) fn settle(from: &Path, to: &Path, tag: &str) -> Result<(String, String)> {
    let mut archive = File::open(from).with_context(|| format!("could not read {}", from.display()))?;
    let manifest: Value = serde_json::from_slice(&read(&mut archive, "manifest.json")?)?;
    let name =
        |value: &Value| value.as_str().map(str::to_owned).context("the archive's manifest names no file");
    let config_name = name(&manifest[0]["Config"])?;
    ensure!(manifest[0]["Layers"].as_array().map(Vec::len) == Some(1), "the image should have one layer");
    let layer_name = name(&manifest[0]["Layers"][0])?;
    let mut config: Value = serde_json::from_slice(&read(&mut archive, &config_name)?)?;
    let fields = config.as_object_mut().context("the image says nothing of itself")?;
    for chance in ["container", "container_config"] {
        fields.remove(chance);
    }
    config["config"]["Hostname"] = json!("");
    let layer = config["rootfs"]["diff_ids"][0].as_str().context("the layer has no hash")?.to_owned();

    let config = serde_json::to_vec(&config)?;
    let id = sha256(&config);
    let config_name = format!("{id}.json");
    let manifest = json!([{ "Config": config_name, "RepoTags": [tag], "Layers": [layer_name] }]);
    let mut made = tar::Builder::new(BufWriter::new(File::create(to)?));
    let mut add = |name: &str, bytes: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes);
        header.set_mode(0o444);
        header.set_mtime(0);
        made.append_data(&mut header, name, content)
    };
    for (name, text) in [("manifest.json", serde_json::to_vec(&manifest)?), (&config_name, config)] {
        add(name, text.len() as u64, &mut &text[..])?;
    }
    with(&mut archive, &layer_name, |size, content| Ok(add(&layer_name, size, content)?))?;
    made.into_inner()?.flush()?;
    Ok((id, layer))
}

fn read(archive: &mut File, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    with(archive, name, |_, content| Ok(content.read_to_end(&mut bytes).map(drop)?))?;
    Ok(bytes)
}

/// Finds a file in the archive and has it read.
fn with(archive: &mut File, name: &str, then: impl FnOnce(u64, &mut dyn Read) -> Result<()>) -> Result<()> {
    archive.seek(SeekFrom::Start(0))?;
    let mut tar = tar::Archive::new(BufReader::new(archive));
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.path()?.as_os_str() == name {
            let size = entry.size();
            return then(size, &mut entry);
        }
    }
    anyhow::bail!("the archive holds no {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive as buildah writes it, from a container of that name.
    fn archive(at: &Path, container: &str, layers: &[&str]) {
        let config = json!({
            "container": container,
            "container_config": { "Hostname": container },
            "config": { "Hostname": container, "User": "568:568", "Healthcheck": { "Test": ["CMD", "x"] } },
            "rootfs": { "type": "layers", "diff_ids": ["sha256:abc"] },
        });
        let config = serde_json::to_vec(&config).unwrap();
        let manifest =
            serde_json::to_vec(&json!([{ "Config": "c.json", "RepoTags": ["a"], "Layers": layers }]));
        let mut tar = tar::Builder::new(File::create(at).unwrap());
        for (name, bytes) in
            [("l.tar", &b"layer"[..]), ("c.json", &config), ("manifest.json", &manifest.unwrap())]
        {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.finish().unwrap();
    }

    #[test]
    fn two_containers_give_one_image_and_what_it_says_of_itself_stays() {
        let folder = std::env::temp_dir().join(format!("settle-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let settled = |container: &str| {
            let (from, to) = (folder.join("from.tar"), folder.join(format!("{container}.tar")));
            archive(&from, container, &["l.tar"]);
            let (id, layer) = settle(&from, &to, "localhost/a:1").unwrap();
            assert_eq!(layer, "sha256:abc");
            (id, std::fs::read(to).unwrap())
        };
        let (one, other) = (settled("one"), settled("other"));
        assert_eq!(one, other);

        let mut made = File::open(folder.join("one.tar")).unwrap();
        let config = read(&mut made, &format!("{}.json", one.0)).unwrap();
        assert_eq!(sha256(&config), one.0, "the name is the hash of the content");
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["config"]["Healthcheck"]["Test"][1], "x");
        assert_eq!(config["config"]["User"], "568:568");
        assert_eq!(read(&mut made, "l.tar").unwrap(), b"layer");
        let manifest: Value = serde_json::from_slice(&read(&mut made, "manifest.json").unwrap()).unwrap();
        assert_eq!(manifest[0]["RepoTags"][0], "localhost/a:1");

        let from = folder.join("from.tar");
        archive(&from, "two-layers", &["l.tar", "m.tar"]);
        assert!(settle(&from, &folder.join("no.tar"), "a").is_err());
        std::fs::write(&from, b"no tar at all").unwrap();
        assert!(settle(&from, &folder.join("no.tar"), "a").is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
