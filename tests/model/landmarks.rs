//! Parts of the machine that the histories must reach, or they prove nothing.

macro_rules! landmarks {
    ($($name:ident),* $(,)?) => {
        /// A part of the machine.
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum Landmark { $($name),* }

        impl Landmark {
            pub(crate) const ALL: &[Landmark] = &[$(Landmark::$name),*];
        }
    };
}

landmarks! {
    Started,
    SteppedOn,
    NoTimeLeft,
    Rearmed,
    StopSignalSent,
    Hurried,
    Killed,
    LeftoversTerminated,
    LeftoversKilled,
    LeftoversRemain,
    AnswerNotTaken,
    Aborted,
    Retried,
    Lingered,
    PostStartFailed,
    LivenessFailed,
    PassedOver,
    Exited,
}

impl Landmark {
    pub(crate) fn bit(self) -> u64 {
        1 << self as u32
    }
}
