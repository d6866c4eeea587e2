//! `kubectl-bookend`: carries manifests over to bookend, and looks at containers and at their stops. A kubectl plugin, and a
//! plain binary for CI. Portable: it uses no Linux API, and kubectl where a cluster is needed.
//!
//! | module      | contents                                                          | imports                     |
//! | ----------- | ----------------------------------------------------------------- | --------------------------- |
//! | `cli`       | the command line: one module per subcommand                       | every module below          |
//! | `import`    | the subcommand: a container's hooks and probes as a bookend.toml  | `convert`                   |
//! | `stops`     | the subcommand: how the stops of ended containers went            | `chosen_pods`, `wrapped`    |
//! | `check`     | the subcommand: bookend's configuration in manifests              | `doctor`                    |
//! | `doctor`    | the subcommand: what in manifests loses requests                  | `manifests`, `wrapped`      |
//! | `status`    | the subcommand: `bookend status` of all containers of pods        | `chosen_pods`, `wrapped`    |
//! | `chosen_pods` | the options that choose pods, and the pods from kubectl         | `kubectl`, `objects`        |
//! | `objects`   | reads a JSON list object by object                                | none                        |
//! | `wrapped`   | whether a container runs bookend, as its spec shows it; pure      | none                        |
//! | `kit`       | the subcommand: the admission policies of a cluster                | `outcome`                   |
//! | `convert`   | from a Pod spec to a configuration; pure                          | none                        |
//! | `kubectl`   | runs kubectl, with limits                                         | `outcome`                   |
//! | `manifests` | documents of files, folders, stdin and lists                      | `outcome`                   |
//! | `outcome`   | how a subcommand ends                                             | none                        |
#![expect(
    clippy::disallowed_methods,
    reason = "this is a tool for people and CI: it reads files, starts kubectl and waits for it"
)]

mod check;
mod chosen_pods;
mod cli;
pub mod convert;
mod doctor;
#[cfg(test)]
mod generated;
mod import;
pub mod kit;
#[allow(dead_code, reason = "subcommands that follow use all of it")]
mod kubectl;
#[allow(dead_code, reason = "subcommands that follow use all of it")]
mod manifests;
mod objects;
#[allow(dead_code, reason = "subcommands that follow use all of it")]
mod outcome;
mod status;
mod stops;
mod wrapped;

pub use cli::main;
