//! The environment as bytes in their order: what is not ours to read passes through unchanged.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use akv2k8s_shared::injection::names;
use akv2k8s_shared::secret::SecretBytes;
use zeroize::Zeroizing;

/// One variable.
pub(crate) struct Variable {
    /// Its name; any bytes but `=` and NUL.
    pub(crate) name: Vec<u8>,
    /// Its value.
    pub(crate) value: SecretBytes,
}

impl Variable {
    /// The name, for people.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// Whether it is meant for the wrapper, and not for the program.
    pub(crate) fn is_own(&self) -> bool {
        self.name.starts_with(names::OWN_PREFIX.as_bytes())
            || self.name.eq_ignore_ascii_case(names::DISABLE_AUTH_SERVICE.as_bytes())
    }

    /// `NAME=VALUE` as the kernel takes it; `None`: there is a NUL in it.
    pub(crate) fn entry(&self) -> Option<CString> {
        let length = self.name.len() + self.value.len() + 2;
        let mut entry = Zeroizing::new(Vec::with_capacity(length));
        entry.extend_from_slice(&self.name);
        entry.push(b'=');
        entry.extend_from_slice(self.value.expose());
        if entry.contains(&0) {
            return None;
        }
        // With room for the NUL, so that it is not copied.
        entry.reserve_exact(1);
        CString::new(std::mem::take(&mut *entry)).ok()
    }
}

/// The variables in the order of the environment.
pub(crate) fn read(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<Variable> {
    let variable = |(name, value): (OsString, OsString)| Variable {
        name: name.into_vec(),
        value: SecretBytes::new(value.into_vec()),
    };
    variables.into_iter().map(variable).collect()
}
