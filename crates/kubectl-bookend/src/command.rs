//! The words that a container runs. A manifest without `command` runs the image's ENTRYPOINT, which it does not show; it is looked up, or asked for.

use std::path::PathBuf;

use serde_json::Value;

use crate::image::{ImageProgram, from_engine, from_layout, has_one_image, official};
use crate::outcome::Failure;
use crate::wrapped::is_bookend;

/// Options for containers whose manifest has no `command`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct CommandArgs {
    /// Command of the one container that has none in its manifest: words, or a list in JSON
    #[arg(long, value_name = "WORDS")]
    command: Option<String>,
    /// Engine that has the image: docker, podman, nerdctl or none [default: the first with it]
    #[arg(long, value_name = "PROGRAM")]
    engine: Option<String>,
    /// Folder with the image in the OCI layout
    #[arg(long, value_name = "DIR")]
    image_layout: Option<PathBuf>,
    /// Take the published ENTRYPOINT and CMD of well-known images, such as nginx
    #[arg(long)]
    assume_official: bool,
}

/// The words that a container runs, as far as the manifest does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// `None`: the manifest has the command.
    pub(crate) command: Option<Vec<String>>,
    pub(crate) stop_signal: Option<String>,
    pub(crate) note: Option<String>,
}

impl Found {
    /// Whether the image runs bookend.
    pub(crate) fn is_bookend(&self) -> bool {
        self.command.as_deref().is_some_and(is_bookend)
    }
}

impl CommandArgs {
    /// Only what the manifest has.
    pub(crate) fn manifest_only() -> CommandArgs {
        CommandArgs { engine: Some("none".to_owned()), ..CommandArgs::default() }
    }

    /// The words of `--command`.
    pub(crate) fn words(&self) -> Result<Option<Vec<String>>, Failure> {
        let Some(text) = &self.command else { return Ok(None) };
        let words = if text.trim_start().starts_with('[') {
            serde_json::from_str(text)
                .map_err(|error| Failure::usage(format!("--command is not a list of JSON: {error}")))?
        } else {
            shlex::split(text).ok_or_else(|| Failure::usage("--command has a quote without its end"))?
        };
        match words.is_empty() {
            true => Err(Failure::usage("--command is empty")),
            false => Ok(Some(words)),
        }
    }

    /// Why the options do not fit containers with these names and images, none of which has a command.
    pub(crate) fn must_fit(&self, containers: &[(String, String)]) -> Result<(), Failure> {
        let differ = || containers.windows(2).any(|pair| matches!(pair, [(_, one), (_, other)] if one != other));
        let why = if self.command.is_some() && containers.len() > 1 {
            "--command is for one container; several have no command"
        } else if self.image_layout.as_deref().is_some_and(has_one_image) && differ() {
            "--image-layout has one image; containers of several images have no command"
        } else {
            return Ok(());
        };
        let names: Vec<&str> = containers.iter().map(|(name, _)| name.as_str()).collect();
        Err(Failure::usage(format!("{why}: choose one with --container: {}", names.join(", "))))
    }

    /// The command of a container, if it is known. The error is a sentence for the user.
    pub(crate) fn find(&self, container: &Value, written: Option<&[String]>) -> Result<Found, String> {
        if has_command(container) {
            return Ok(Found::default());
        }
        if let Some(words) = written {
            return Ok(Found { command: Some(words.to_vec()), ..Found::default() });
        }
        let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
        let known = |program: ImageProgram, source: String| {
            let command = program.command(has_words(container, "args"));
            let note = format!("the manifest has no command: taken from {source}: {}", shown(&command));
            Found { command: Some(command), stop_signal: program.stop_signal, note: Some(note) }
        };
        if let Some(folder) = &self.image_layout {
            return Ok(known(from_layout(folder, image)?, folder.display().to_string()));
        }
        let engine = self.engine.as_deref();
        if engine != Some("none")
            && let Some((engine, program)) = from_engine(engine, image)
        {
            return Ok(known(program, format!("the image {image} in {engine}")));
        }
        let published = official(image);
        if self.assume_official
            && let Some(program) = published.clone()
        {
            return Ok(known(program, format!("the published {image}")));
        }
        let mut text = format!(
            "no command: it runs the ENTRYPOINT of {}, which the manifest does not show. Its hooks and probes stay as they are. ",
            if image.is_empty() { "its image" } else { image }
        );
        match published {
            Some(program) => text.push_str(&format!(
                "The published image has ENTRYPOINT {} and CMD {}: --assume-official takes them. Or give",
                shown(&program.entrypoint),
                shown(&program.cmd)
            )),
            None => text.push_str("Give"),
        }
        text.push_str(
            " --command, an engine that has the image (--engine) or a folder with it (--image-layout); \
             `inject --sidecar` needs no command",
        );
        Err(text)
    }
}

/// Whether the manifest has the command.
pub(crate) fn has_command(container: &Value) -> bool {
    has_words(container, "command")
}

/// Whether a list of a container is written and has an item: `null` and `[]` mean the image's own.
fn has_words(container: &Value, key: &str) -> bool {
    container.get(key).and_then(Value::as_array).is_some_and(|words| !words.is_empty())
}

fn shown(words: &[String]) -> String {
    serde_json::to_string(words).unwrap_or_default()
}
