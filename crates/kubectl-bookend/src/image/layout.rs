//! An image in a folder in the OCI image layout, as `skopeo copy`, `crane pull --format=oci` and `buildah push oci:` write it.

use std::path::Path;

use serde_json::Value;

use super::program::{ImageProgram, of_config};

/// Reads the image from the layout: the one of this name, or the only one.
pub(crate) fn from_layout(folder: &Path, image: &str) -> Result<ImageProgram, String> {
    let manifests = manifests(folder)?;
    let chosen = match manifests.as_slice() {
        [only] => only,
        several => several.iter().find(|manifest| is_named(manifest, image)).ok_or_else(|| {
            format!("{} has {} images, and {image} is not one of them", folder.display(), several.len())
        })?,
    };
    let mut document = blob(folder, chosen)?;
    // An index of several platforms: a program seldom differs between them, and most clusters are linux/amd64.
    if let Some(platforms) = document.get("manifests").and_then(Value::as_array) {
        let is_common = |manifest: &&Value| {
            let of = |key: &str| manifest.pointer(key).and_then(Value::as_str);
            of("/platform/os") == Some("linux") && of("/platform/architecture") == Some("amd64")
        };
        let platform = platforms.iter().find(is_common).or(platforms.first());
        document = blob(folder, platform.ok_or_else(|| format!("{} has an empty index", folder.display()))?)?;
    }
    let config = document.get("config").ok_or_else(|| format!("{} has no image", folder.display()))?;
    Ok(of_config(blob(folder, config)?.get("config").unwrap_or(&Value::Null)))
}

/// Whether the layout has one image, which `from_layout` takes for any name.
pub(crate) fn has_one_image(folder: &Path) -> bool {
    manifests(folder).is_ok_and(|manifests| manifests.len() == 1)
}

fn manifests(folder: &Path) -> Result<Vec<Value>, String> {
    let index = json(&folder.join("index.json"))?;
    Ok(index.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// `io.containerd.image.name` is the whole name, `org.opencontainers.image.ref.name` the whole name or its tag.
fn is_named(manifest: &Value, image: &str) -> bool {
    let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    let tag = image.rsplit_once(':').map(|(_, tag)| tag);
    let known = names.iter().filter_map(|name| manifest.get("annotations")?.get(*name)?.as_str());
    known.into_iter().any(|known| known == image || Some(known) == tag || known.ends_with(&format!("/{image}")))
}

/// The blob of a descriptor, `{"digest": "sha256:..."}`.
fn blob(folder: &Path, descriptor: &Value) -> Result<Value, String> {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|char| char.is_ascii_alphanumeric());
    match digest.split_once(':') {
        Some((kind, hash)) if is_word(kind) && is_word(hash) => json(&folder.join("blobs").join(kind).join(hash)),
        _ => Err(format!("{} has a descriptor without a digest", folder.display())),
    }
}

fn json(path: &Path) -> Result<Value, String> {
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("{} is not JSON: {error}", path.display()))
}
