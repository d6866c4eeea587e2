//! `kubectl bookend kit`: the admission policies of config/kubernetes/inject with the values of a cluster. Pure except for
//! `run`, which prints them.

use crate::outcome::{Failure, Outcome, print};
use crate::quantity::quantity;

#[derive(Debug, clap::Args)]
pub(crate) struct KitArgs {
    /// Image of bookend, as the nodes can pull it
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// Text before the names of labels and annotations: example.com/bookend-
    #[arg(long, value_name = "PREFIX", default_value = PREFIX)]
    prefix: String,
    /// Set a default of the policies, for example cpuLimit=50m; repeatable
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = read_default)]
    defaults: Vec<(String, String)>,
    /// Take the binary of `wrap` from an image volume (not tried on a cluster)
    #[arg(long)]
    image_volume: bool,
}

impl KitArgs {
    pub(crate) fn run(self) -> Outcome {
        let kit =
            Kit { image: self.image, prefix: self.prefix, defaults: self.defaults, image_volume: self.image_volume };
        print(&kit.render().map_err(|error| Failure::usage(error.to_string()))?);
        Ok(())
    }
}

/// The values of a cluster.
#[derive(Debug, Clone)]
pub struct Kit {
    /// The image of bookend.
    pub image: String,
    /// The text before the names of labels and annotations.
    pub prefix: String,
    /// Names and values of defaults that are not the files' own.
    pub defaults: Vec<(String, String)>,
    /// Whether the binary of `wrap` comes from an image volume.
    pub image_volume: bool,
}

impl Default for Kit {
    fn default() -> Kit {
        Kit { image: IMAGE.to_owned(), prefix: PREFIX.to_owned(), defaults: Vec::new(), image_volume: false }
    }
}

/// A value that the policies cannot have.
#[derive(Debug, thiserror::Error)]
pub enum KitError {
    /// An image that cannot stand in a policy.
    #[error("--image {0:?} is not the name of an image")]
    Image(String),
    /// A prefix that cannot begin the name of a label.
    #[error("--prefix {0:?} cannot begin the name of a label; accepted: a text like `bookend-`, or a domain and `/`")]
    Prefix(String),
    /// A default that the policies do not have.
    #[error("there is no default {0}; accepted: {known}", known = NAMES.join(", "))]
    UnknownDefault(String),
    /// A default with a value that it cannot have.
    #[error("--default {name}={value}: {accepted}")]
    Default {
        /// The name of the default.
        name: String,
        /// Its value.
        value: String,
        /// The values that it may have.
        accepted: &'static str,
    },
    /// The API server would refuse each pod.
    #[error("{0} is more than {1}; set both with --default")]
    RequestAboveLimit(String, String),
}

impl Kit {
    /// The policies and their bindings as one text for `kubectl apply`.
    ///
    /// # Errors
    /// A value cannot stand in a policy.
    pub fn render(&self) -> Result<String, KitError> {
        self.check()?;
        let wrap = if self.image_volume { WRAP_IMAGE_VOLUME } else { WRAP };
        let mut text = [SIDECAR, wrap, CHECKS].join("---\n");
        text = text.replace(&format!("'{IMAGE}'"), &format!("'{}'", self.image));
        for (name, value) in &self.defaults {
            text = with_default(&text, name, value);
        }
        Ok(with_prefix(&text, &self.prefix))
    }

    fn check(&self) -> Result<(), KitError> {
        let is_image = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
        if self.image.is_empty() || !self.image.chars().all(is_image) {
            return Err(KitError::Image(self.image.clone()));
        }
        if !is_prefix(&self.prefix) {
            return Err(KitError::Prefix(self.prefix.clone()));
        }
        for (name, value) in &self.defaults {
            let accepted = match name.as_str() {
                "drainMaxSeconds" => {
                    let is_time = value.parse::<u16>().is_ok_and(|seconds| (1..=9999).contains(&seconds));
                    (!is_time || value.starts_with(['0', '+'])).then_some("accepted: 1 to 9999")
                }
                "cpuLimit" if value.is_empty() => None,
                name if NAMES.contains(&name) => {
                    quantity(value).is_none().then_some("accepted: a quantity like 50m or 32Mi")
                }
                _ => return Err(KitError::UnknownDefault(name.clone())),
            };
            if let Some(accepted) = accepted {
                return Err(KitError::Default { name: name.clone(), value: value.clone(), accepted });
            }
        }
        for (request, limit) in [("cpuRequest", "cpuLimit"), ("memoryRequest", "memoryLimit")] {
            let (least, most) = (self.default_of(request), self.default_of(limit));
            if quantity(least).zip(quantity(most)).is_some_and(|(least, most)| least > most) {
                return Err(KitError::RequestAboveLimit(format!("{request}={least}"), format!("{limit}={most}")));
            }
        }
        Ok(())
    }

    /// The value of a default: the last one that is set, or that of the files.
    fn default_of(&self, name: &str) -> &str {
        let set = self.defaults.iter().rev().find(|(set, _)| set == name);
        set.map_or_else(|| SIDECAR.split(&format!("'{name}': '")).nth(1), |(_, value)| Some(value))
            .and_then(|rest| rest.split('\'').next())
            .unwrap_or_default()
    }
}

fn read_default(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "it contains no `=`; accepted: NAME=VALUE like cpuLimit=50m".to_owned())
}

/// `[domain/][text]`, as the name of a label or annotation may begin.
fn is_prefix(prefix: &str) -> bool {
    let (domain, name) = prefix.split_once('/').unwrap_or(("", prefix));
    let is_label = |label: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !label.is_empty() && label.chars().all(is_inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let domain_fits = domain.len() <= 253 && domain.split('.').all(is_label);
    // The longest name has 17 characters, of 63.
    let name_fits = name.len() <= 46
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && name.chars().next().is_none_or(|c| c.is_ascii_alphanumeric());
    if prefix.contains('/') { domain_fits && name_fits } else { name_fits && !name.is_empty() }
}

/// Replaces the prefix of each label and annotation. The names of policies and volumes begin with it as well, and stay.
fn with_prefix(text: &str, prefix: &str) -> String {
    let mut all = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(PREFIX) {
        let (before, after) = rest.split_at(at);
        let after = after.strip_prefix(PREFIX).unwrap_or_default();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
        let name = after.get(..end).unwrap_or_default();
        all.push_str(before);
        all.push_str(if KEYS.contains(&name) { prefix } else { PREFIX });
        rest = after;
    }
    all + rest
}

/// Replaces the value in `'name': 'value'`.
fn with_default(text: &str, name: &str, value: &str) -> String {
    let key = format!("'{name}': '");
    let mut parts = text.split(&key);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('\'').unwrap_or_default();
        all.push_str(&format!("{key}{value}'{rest}"));
    }
    all
}

/// The prefix in the files.
pub const PREFIX: &str = "bookend-";
/// The names behind the prefix: of the label, of annotations that a user sets, and of those that the policies set.
pub const KEYS: [&str; 7] = ["inject", "drain-max-seconds", "containers", "replace-hooks", "config", "port", "skipped"];
/// The names in the variable `defaults`.
const NAMES: [&str; 6] = ["drainMaxSeconds", "cpuRequest", "cpuLimit", "guaranteedCpu", "memoryRequest", "memoryLimit"];
/// The image in the files.
const IMAGE: &str = concat!("bookend:", env!("CARGO_PKG_VERSION"));

const SIDECAR: &str = include_str!("kit/sidecar.yaml");
const WRAP: &str = include_str!("kit/wrap.yaml");
const WRAP_IMAGE_VOLUME: &str = include_str!("kit/wrap-image-volume.yaml");
const CHECKS: &str = include_str!("kit/checks.yaml");

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(change: impl FnOnce(&mut Kit)) -> Result<String, String> {
        let mut kit = Kit::default();
        change(&mut kit);
        kit.render().map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_the_kit_is_the_files() {
        assert_eq!(rendered(|_| {}).unwrap(), [SIDECAR, WRAP, CHECKS].join("---\n"));
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&rendered(|_| {}).unwrap()).unwrap();
        assert_eq!(documents.len(), 14);
    }

    #[test]
    fn no_other_prefix_is_left() {
        for image_volume in [false, true] {
            let text = rendered(|kit| {
                kit.prefix = "lifecycle.example.com/".to_owned();
                kit.image_volume = image_volume;
            });
            let text = text.unwrap();
            for key in KEYS {
                assert!(text.contains(&format!("lifecycle.example.com/{key}")), "{key}");
            }
            // The names that are left belong to policies, bindings and volumes.
            let mut left: Vec<&str> = text.split(PREFIX).skip(1).collect();
            left.iter_mut().for_each(|rest| {
                *rest = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap();
            });
            left.sort_unstable();
            left.dedup();
            let names = [
                "bin",
                "checks",
                "checks-namespace",
                "checks-templates",
                "hints",
                "hints-namespace",
                "hints-templates",
                "run",
                "sidecar",
                "sidecar-namespace",
                "toml",
                "wrap",
                "wrap-namespace",
            ];
            assert_eq!(left, names);
        }
    }

    #[test]
    fn image_and_defaults_are_set_in_each_mutating_policy() {
        let text = rendered(|kit| {
            kit.image = "registry.example:5000/tools/bookend@sha256:00ff".to_owned();
            kit.defaults =
                vec![("cpuLimit".to_owned(), "50m".to_owned()), ("drainMaxSeconds".to_owned(), "20".to_owned())];
        });
        let text = text.unwrap();
        assert_eq!(text.matches("\"'registry.example:5000/tools/bookend@sha256:00ff'\"").count(), 2);
        assert_eq!(text.matches("{'drainMaxSeconds': '20', 'cpuRequest': '10m', 'cpuLimit': '50m',").count(), 2);
        assert!(!text.contains(IMAGE));
    }

    #[test]
    fn values_that_cannot_stand_in_a_policy_are_refused() {
        let default = |name: &str, value: &str| {
            let pair = (name.to_owned(), value.to_owned());
            rendered(|kit| kit.defaults.push(pair)).unwrap_err()
        };
        assert!(default("cpu", "1").contains("accepted: drainMaxSeconds, cpuRequest"));
        for (name, value) in
            [("drainMaxSeconds", "0"), ("drainMaxSeconds", "015"), ("cpuLimit", "1'"), ("memoryLimit", "")]
        {
            assert!(default(name, value).contains("accepted: "), "{name}={value}");
        }
        assert!(default("memoryLimit", "50Mx").contains("accepted: a quantity"));
        let text = default("memoryRequest", "0.5Gi");
        assert_eq!(text, "memoryRequest=0.5Gi is more than memoryLimit=32Mi; set both with --default");
        assert!(default("cpuLimit", "0.005").starts_with("cpuRequest=10m is more than cpuLimit=0.005"));
        for image in ["", "a b", "x'", "x\\"] {
            assert!(rendered(|kit| kit.image = image.to_owned()).unwrap_err().contains("--image"));
        }
        for prefix in
            ["", "/", "a b-", "-x", "Example.com/", "a/b/c", "example.com/-x", "example..com/", "x'", &"x".repeat(60)]
        {
            assert!(rendered(|kit| kit.prefix = prefix.to_owned()).is_err(), "{prefix}");
        }
        for prefix in ["example.com/", "example.com/bookend-", "x", "team_a.b-"] {
            assert!(rendered(|kit| kit.prefix = prefix.to_owned()).is_ok(), "{prefix}");
        }
    }
}
