//! Promises over random histories.
