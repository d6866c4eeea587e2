//! Exit codes: the convention of env(1), timeout(1) and `docker run`. This module depends on nothing.
//!
//! | code    | meaning                                                        |
//! | ------- | -------------------------------------------------------------- |
//! | 0-255   | the app's own                                                  |
//! | 1       | a subcommand (`hook`, `probe`, `wait`, `copy`, ...) did not succeed |
//! | 125     | bookend itself failed: usage, configuration, preStart, postStart |
//! | 126     | the app was found and could not be executed                    |
//! | 127     | the app was not found                                          |
//! | 128+n   | the app died of signal n, or a stop came before it was started |

/// A subcommand (`hook`, `probe`, `wait`, `copy`, ...) did not succeed.
pub(crate) const FAILURE: u8 = 1;
/// bookend itself failed: usage, configuration, preStart, postStart.
pub(crate) const BOOKEND_FAILED: u8 = 125;
/// The program was found and could not be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The program was not found.
pub(crate) const NOT_FOUND: u8 = 127;
