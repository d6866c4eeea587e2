//! YAML as text and as values: values as kubectl reads them (YAML 1.1), and changes that leave every other line of the text
//! as it is, comments included.
//!
//! ```text
//!   text ─► nodes (where each value stands) ─► values ─► (pure changes) ─► wanted values
//!                └──────────────────── rewrite ◄──────────────────────────────┘
//! ```

mod line;
mod node;
mod positions;
mod render;
mod rewrite;
mod scalar;
#[cfg(test)]
mod tests;

pub(crate) use self::line::line_of;
pub(crate) use self::node::{Node, parse};
pub(crate) use self::rewrite::rewrite;
