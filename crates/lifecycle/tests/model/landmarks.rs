//! Parts of the machines that the histories must reach, or they prove nothing.

macro_rules! landmarks {
    ($($list:ident: $($name:ident),*;)*) => {
        /// A part of a machine.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Landmark { $($($name),*),* }

        impl Landmark {
            $(pub(crate) const $list: &[Landmark] = &[$(Landmark::$name),*];)*
        }
    };
}

landmarks! {
    OF_BOTH:
        Escalated, NoTimeLeft, Rearmed, StopSignalSent, AnswerNotTaken, Aborted, Retried, Lingered, PassedOver, Exited;
    OF_CONTAINER:
        Started, SecondSignalSent, Killed, LeftoversTerminated, LeftoversRefused, LeftoversKilled, LeftoversRemain, PassedOn, PostStartFailed, LivenessFailed,
        Held, CaughtUp;
    OF_SIDECAR:
        NextLifeByHook, NextLifeFound, StoppedWithoutHook, AppStays, NotSignalled;
}

impl Landmark {
    pub(crate) fn bit(self) -> u64 {
        1 << self as u32
    }
}
