//! The output of `bookend --version`: the version, and the target and features of this binary.
//!
//! The same source gives the same text: nothing here depends on the time, the machine or a git repository.

/// The version first, as other programs read it; then one fact per line.
pub(super) fn text() -> &'static str {
    let environment = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let linked = if cfg!(target_feature = "crt-static") { "static" } else { "dynamic" };
    let features = if FEATURES.is_empty() { "-".to_owned() } else { FEATURES.join(" ") };
    let commit = COMMIT.map(|commit| format!("\ncommit: {commit}")).unwrap_or_default();
    let arch = std::env::consts::ARCH;
    let version = env!("CARGO_PKG_VERSION");
    format!("{version}\ntarget: {arch}-linux-{environment}, {linked}\nfeatures: {features}{commit}").leak()
}

/// The build sets it if it knows the commit.
const COMMIT: Option<&str> = option_env!("BOOKEND_COMMIT");

/// The features of this binary.
const FEATURES: &[&str] = &[
    #[cfg(feature = "auto")]
    "auto",
    #[cfg(feature = "completions")]
    "completions",
    #[cfg(feature = "doctor")]
    "doctor",
    #[cfg(feature = "otel")]
    "otel",
    #[cfg(feature = "page")]
    "page",
    #[cfg(feature = "reload")]
    "reload",
    #[cfg(feature = "sidecar")]
    "sidecar",
    #[cfg(feature = "tls")]
    "tls",
];
