//! Spawns the app.

use std::ffi::OsString;

use crate::compat::policy::{Place, Policy};
use crate::handlers::HandlerContext;
use crate::handlers::program::{ProgramError, Variables, container_variables, prepare_app};
use crate::process::inherited::Inherited;
use crate::process::spawn::{Env, Home, Sockets, Spawn};
use crate::process::{Pid, last_resort, terminal};
use bookend_config::settings::AppSettings;

/// Spawns the app and lets the reaper watch it. `set` has the variables that preStart handlers have set. Returns the pid,
/// and the variables that the app was given in addition to those that bookend was started with.
pub(super) fn spawn(
    settings: &AppSettings,
    policy: Policy,
    set: &[(OsString, OsString)],
    context: &HandlerContext,
) -> Result<(Pid, Variables), ProgramError> {
    let variables = container_variables(settings, set)?;
    let app = prepare_app(settings, &variables)?;
    let home = match policy.place {
        Place::Group => Home::Foreground,
        Place::Session => {
            terminal::give_up();
            Home::Session
        }
        Place::Ours => Home::Ours,
    };
    let spawn = Spawn {
        command: &app.command,
        env: app.env.as_deref().map_or(Env::Inherited, Env::Own),
        fds: &[],
        home,
        parent_death: settings.pdeath_signal,
        sockets: Sockets::Its,
        setup: &app.setup,
    };
    let pid = spawn.start(&context.inherited)?;
    context.reaper.watch_app(pid, policy.exit_signal);
    last_resort::stay_for(Some(pid));
    Inherited::close_strays();
    Ok((pid, variables))
}
