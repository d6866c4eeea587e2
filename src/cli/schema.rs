//! `bookend schema`: the JSON Schema of the configuration.

use super::outcome::{Outcome, print};

pub(super) fn run() -> Outcome {
    print(&bookend_config::schema());
    Ok(())
}
