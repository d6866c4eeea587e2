//! The trace of a start and of a stop for OpenTelemetry. Pure: made from what the loop reports, with the times that it reports.
//!
//! | module     | contents                                                                     |
//! | ---------- | ---------------------------------------------------------------------------- |
//! | `recorder`   | the start and the stop so far, and the spans that show them                  |
//! | `open_trace` | one trace in the making: its stages, attempts and events                     |
//! | `otlp`     | a span and a request as OTLP/HTTP writes them in JSON                        |
//! | `exporter` | the variables `OTEL_...`: whether and to which collector a trace is sent     |

pub(crate) mod exporter;
mod open_trace;
pub(crate) mod otlp;
pub(crate) mod recorder;
