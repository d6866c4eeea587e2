//! The ready-made files under `config/`: each is read without a mistake.

use super::*;

/// Every file, by name: a new one that is not here fails the test below.
pub(super) const READY_MADE: &[(&str, &str)] = &[
    ("demo.toml", include_str!("../../../config/demo.toml")),
    ("gunicorn.toml", include_str!("../../../config/gunicorn.toml")),
    ("java.toml", include_str!("../../../config/java.toml")),
    ("minimal.toml", include_str!("../../../config/minimal.toml")),
    ("nginx.toml", include_str!("../../../config/nginx.toml")),
    ("node.toml", include_str!("../../../config/node.toml")),
    ("php-fpm.toml", include_str!("../../../config/php-fpm.toml")),
    ("reference.toml", include_str!("../../../config/reference.toml")),
    ("sidecar.toml", include_str!("../../../config/sidecar.toml")),
    ("worker.toml", include_str!("../../../config/worker.toml")),
];

#[test]
fn every_ready_made_configuration_is_accepted() {
    for (name, text) in READY_MADE {
        let effective = accept(&Sources { files: vec![document(name, text)], ..Sources::default() });
        let warnings = effective.budget().warnings;
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
    }
}

#[test]
fn no_ready_made_configuration_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    found.sort();
    assert_eq!(found, READY_MADE.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}
