//! Keeping values out of core dumps and away from other processes of the same user.

#[cfg(target_os = "linux")]
use nix::sys::prctl;

/// From here on this process leaves no core dump and cannot be traced by its own user (`PR_SET_DUMPABLE`, prctl(2)). The kernel ends
/// this by itself when another program takes the process over.
pub(crate) fn forbid_dumps() {
    // Refused at most by a seccomp filter; then the process is as open as the program that follows. Other systems have no such switch.
    #[cfg(target_os = "linux")]
    let _ = prctl::set_dumpable(false);
}
