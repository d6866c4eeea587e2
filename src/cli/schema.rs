//! `bookend schema`: the configuration's JSON Schema.

use super::outcome::{Done, print};

pub(super) fn run() -> Done {
    print(&bookend_config::schema());
    Ok(())
}
