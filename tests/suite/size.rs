//! How large the shipped binary is. A debug build, which is what other runs of the tests start, promises nothing here.

use std::path::Path;

#[test]
fn the_static_binary_with_tls_has_at_most_3_megabytes() {
    let Some(binary) = std::env::var_os("BOOKEND_BIN") else { return };
    if !Path::new(&binary).ends_with("x86_64-unknown-linux-musl/release/bookend") {
        return;
    }
    let bytes = std::fs::metadata(&binary).unwrap().len();
    assert!(
        bytes <= 3_000_000,
        "{bytes} bytes: a new dependency, or the tables for unwinding or the backtraces are back?"
    );
}
