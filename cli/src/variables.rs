//! The variables of the CLI alone.

akv2k8s_shared::variables! {
    /// How it prints.
    pub(crate) TABLE:
    NO_COLOR, "", "anything: no colours on a terminal";
    TERM, "", "`dumb`: the same";
}
