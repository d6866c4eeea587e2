//! The door; behind it there is only the configuration yet.
fn main() {}
