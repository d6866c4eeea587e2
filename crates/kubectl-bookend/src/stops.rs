//! `kubectl bookend stops`: how the stops of a namespace, of a label or of named pods went. It reads what Kubernetes keeps of ended
//! containers: exit code, reason, and the termination message with bookend's report.
//!
//! ```text
//! kubectl or file ─► objects (one at a time) ─► ended ─► verdict ─► summary ─► print
//!                                                 └─ message
//! ```

mod ended;
mod message;
mod moment;
mod print;
mod summary;
mod verdict;

use std::path::PathBuf;

use bookend_lifecycle::printable::printable;

use crate::chosen_pods::PodArgs;
use crate::objects::each_object;
use crate::outcome::{Failure, Outcome, print};
use summary::Summary;

#[derive(Debug, clap::Args)]
pub(crate) struct StopsArgs {
    #[command(flatten)]
    pods: PodArgs,
    /// Read the output of `kubectl get pods -o json` from a file; `-`: stdin
    #[arg(short, long, value_name = "FILE", conflicts_with_all = ["pods", "selector", "all_namespaces"])]
    filename: Option<PathBuf>,
    /// Length of the lists: workloads, slow stops, stops that were not clean
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = clap::value_parser!(u16).range(..=1000))]
    list: u16,
    /// Exit with 1 if a stop was not clean
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl StopsArgs {
    pub(crate) fn run(&self) -> Outcome {
        let mut summary = Summary::new(self.list.into());
        match &self.filename {
            Some(file) => {
                let name = printable(&file.display().to_string());
                let fail = |error: &str| Failure::usage(format!("cannot read {name}: {}", printable(error)));
                let read = if file.as_os_str() == "-" {
                    each_object(std::io::stdin().lock(), &mut |object| summary.add(&object))
                } else {
                    let file = std::fs::File::open(file).map_err(|error| fail(&error.to_string()))?;
                    each_object(file, &mut |object| summary.add(&object))
                };
                read.map_err(|error| fail(&error))?;
            }
            None => self.pods.each(&mut |object| summary.add(&object))?,
        }
        match self.json {
            true => print(&format!("{:#}\n", print::to_json(&summary))),
            false => print(&print::table(&summary)),
        }
        match summary.stops - summary.clean {
            0 => Ok(()),
            _ if !self.strict => Ok(()),
            1 => Err(Failure::new("1 stop was not clean")),
            many => Err(Failure::new(format!("{many} stops were not clean"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random and are the same in each run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(self.0 >> 33).unwrap() % end
        }
    }

    #[test]
    fn changed_bytes_cause_no_panic_and_no_control_character() {
        let report = r#"stopping since 12:00:01Z (SIGTERM): app\n{\"format\":1,\"version\":\"0.1.0\",\"phase\":\"Stopping\",\"startedAt\":\"2026-11-29T11:20:00.000Z\",\"beganAt\":\"2026-11-29T12:00:01.000Z\",\"tookSeconds\":9.5,\"stoppedBy\":\"SIGTERM\",\"oom\":false,\"stageSeconds\":{\"preStop\":2.0},\"requestsCut\":1,\"terminationGracePeriodSeconds\":30.0}\n"#;
        let text = format!(
            r#"{{"kind":"List","items":[{{"kind":"Pod","metadata":{{"name":"p","namespace":"n"}},"spec":{{"terminationGracePeriodSeconds":9}},"status":{{"containerStatuses":[{{"name":"web","state":{{"terminated":{{"containerID":"a","exitCode":137,"reason":"Error","finishedAt":"2026-11-29T12:00:31Z","message":"{report}"}}}},"lastState":{{"terminated":{{"exitCode":1,"reason":"x"}}}}}}]}}}}]}}"#
        );
        let mut numbers = Numbers(7);
        let (mut read, mut stops) = (0, 0);
        for _ in 0..2000 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(bytes.len());
                let words: [&[u8]; 8] = [b"\"", b"\\u001b", b"-1e308", b"9e99", b"null", b"{}", b"\xe2\x80\xae", b"\n"];
                let word = words[numbers.below(words.len())];
                bytes.splice(at..(at + numbers.below(4)).min(bytes.len()), word.iter().copied());
            }
            let mut summary = Summary::new(5);
            read += usize::from(each_object(&bytes[..], &mut |object| summary.add(&object)).is_ok());
            stops += summary.stops;
            let shown = format!("{}{}", print::table(&summary), print::to_json(&summary));
            assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
        }
        assert!(read > 100 && stops > 100, "{read} {stops}");
    }
}
