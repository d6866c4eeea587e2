//! The life before this one, from the state file. It is read, and claimed for this life, on a thread of its own: the volume may
//! hang, and then its past is not known.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::detached::spawn_blocking_detached;
use crate::error::describe;
use crate::files::read_beginning_of;
use crate::report::rewritten_file::rewrite;
use crate::report::timestamp::Timestamp;
use crate::runtime::dispatcher::TaskMessage;
use crate::runtime::life_before::LifeBefore;
use crate::tasks::spawn;
use bookend_lifecycle::past::{LifeStage, Past};

/// Reads the file and claims it: writes that this life begins. `TaskMessage::LifeBefore` follows. `has_handlers`: there are
/// postStop handlers for a missed end; if they are to run, the file records that first. `content`: these handlers are over, and this
/// is the content of the file.
pub(super) fn claim_detached(
    path: PathBuf,
    has_handlers: bool,
    content: Option<Vec<u8>>,
    to_loop: mpsc::Sender<TaskMessage>,
) {
    spawn(async move {
        let work = spawn_blocking_detached(path.to_string_lossy().into_owned(), move || match content {
            None => claim(&path, has_handlers),
            Some(content) => write(&path, Past::Nothing, content, false),
        });
        let life = match timeout(PATIENCE, work).await {
            Ok(Ok(life)) => life,
            Ok(Err(error)) => unknown(Past::Unknown, describe(&error)),
            Err(_) => unknown(Past::Unknown, "the file system does not answer".to_owned()),
        };
        let _ = to_loop.send(TaskMessage::LifeBefore(Box::new(life))).await;
    });
}

fn unknown(past: Past, error: String) -> LifeBefore {
    LifeBefore { past, content: None, catches_up: false, error: Some(error) }
}

fn claim(path: &Path, has_handlers: bool) -> LifeBefore {
    let content = match read(path) {
        Ok(content) => content,
        Err(error) => return unknown(Past::Unknown, error.to_string()),
    };
    let past = Past::read(&content);
    if past == Past::Foreign {
        return LifeBefore { past, content: None, catches_up: false, error: None };
    }
    let catches_up = has_handlers && past.owes_post_stop();
    write(path, past, content, catches_up)
}

fn write(path: &Path, past: Past, mut content: Vec<u8>, catches_up: bool) -> LifeBefore {
    let stage = if catches_up { LifeStage::CatchingUp } else { LifeStage::Starting };
    match rewrite(path, &mut content, &stage.line(&Timestamp::now().to_string())) {
        Ok(true) => LifeBefore { past, content: Some(content), catches_up, error: None },
        // Handlers that are not claimed would run again at the next start.
        Ok(false) => unknown(past, "it changes while it is written".to_owned()),
        Err(error) => unknown(past, error.to_string()),
    }
}

/// The content of the file, which is created if it is missing. At most a page: ours is one line.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    let file = options.custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    read_beginning_of(file, 4096)
}

/// How long the start waits for the file.
const PATIENCE: Duration = Duration::from_secs(2);
