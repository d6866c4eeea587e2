//! `kubectl-bookend`: carries manifests over to bookend, and looks at containers and at their stops. A kubectl plugin, and a
//! plain binary for CI. Portable: it uses no Linux API, and kubectl where a cluster is needed.
//!
//! | module      | contents                                                          | imports                        |
//! | ----------- | ----------------------------------------------------------------- | ------------------------------ |
//! | `cli`       | the command line: one module per subcommand                       | the subcommands                |
//! | `import`    | the subcommand: a container's hooks and probes as a bookend.toml  | `rework` and below             |
//! | `inject`    | the subcommands `inject` and `uninject`                           | `rework` and below             |
//! | `stops`     | the subcommand: how the stops of ended containers went            | `chosen_pods`, `wrapped`       |
//! | `check`     | the subcommand: bookend's configuration in manifests              | `doctor`                       |
//! | `doctor`    | the subcommand: settings in manifests that lose requests          | `manifests`, `workload` and below |
//! | `status`    | the subcommand: `bookend status` of all containers of pods        | `chosen_pods`, `wrapped`       |
//! | `chosen_pods` | the options that choose pods, and the pods from kubectl         | `kubectl`, `objects`           |
//! | `objects`   | reads a JSON list object by object                                | none                           |
//! | `wrapped`   | whether a container runs bookend, as its spec shows it; pure      | `shell`                        |
//! | `kit`       | the subcommand: the admission policies of a cluster               | `outcome`, `quantity`          |
//! | `rework`    | manifests, changed pod by pod                                     | `manifests`, `kubectl`, `yaml` |
//! | `convert`   | from a Pod's template to one with bookend, and back; pure         | `workload`, `wrapped`, `shell`, `image`, `quantity` |
//! | `command`   | what a container runs, if the manifest does not have it           | `image`                        |
//! | `image`     | ENTRYPOINT and CMD of an image                                    | `child`                        |
//! | `workload`  | pods and containers in documents; pure                            | none                           |
//! | `shell`     | the simple commands of a shell's script; pure                     | none                           |
//! | `kubectl`   | runs kubectl, with the options of the cluster                     | `child`, `outcome`             |
//! | `quantity`  | amounts of processor and memory; pure                             | none                           |
//! | `child`     | runs one program, with limits on its time and its output          | none                           |
//! | `manifests` | texts of files, folders and stdin, and their documents            | `yaml`, `outcome`              |
//! | `yaml`      | values as kubectl reads them, and changes that keep other lines   | none                           |
//! | `outcome`   | how a subcommand ends                                             | none                           |
#![expect(
    clippy::disallowed_methods,
    reason = "this is a tool for people and CI: it reads files, starts kubectl and waits for it"
)]

mod check;
mod child;
mod chosen_pods;
mod cli;
mod command;
mod convert;
mod doctor;
#[cfg(test)]
mod generated;
mod image;
mod import;
mod inject;
pub mod kit;
mod kubectl;
mod manifests;
mod objects;
mod outcome;
mod quantity;
mod rework;
mod shell;
mod status;
mod stops;
mod workload;
mod wrapped;
mod yaml;

pub use cli::{injected, main};
pub use import::{Imported, import};
