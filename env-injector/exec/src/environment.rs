//! The environment as bytes in their order: what is not ours to read passes through unchanged.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;

use akv2k8s_shared::injection::names;
use akv2k8s_shared::secret::SecretBytes;
use zeroize::Zeroizing;

/// Where the kernel shows the environment that this process was started with.
const AS_STARTED: &str = "/proc/self/environ";

/// One variable.
pub(crate) struct Variable {
    /// Its name; any bytes but `=` and NUL.
    pub(crate) name: Vec<u8>,
    /// Its value; `None`: an entry without `=`, which some programs leave to others. It is handed on as it is.
    pub(crate) value: Option<SecretBytes>,
}

impl Variable {
    /// An entry as the kernel has it. A `=` in the first place is a part of the name, as for Rust's and C's libraries.
    fn of(entry: &[u8]) -> Self {
        let equals = entry.iter().skip(1).position(|byte| *byte == b'=');
        match equals.map(|at| entry.split_at(at + 1)) {
            Some((name, value)) => Self {
                name: name.to_vec(),
                value: Some(SecretBytes::new(value[1..].to_vec())),
            },
            None => Self {
                name: entry.to_vec(),
                value: None,
            },
        }
    }

    /// The name, for people.
    pub(crate) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }

    /// The value where it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        self.value.as_ref()?.expose_str()
    }

    /// Whether it is meant for the wrapper, and not for the program.
    pub(crate) fn is_own(&self) -> bool {
        self.name.starts_with(names::OWN_PREFIX.as_bytes())
            || self.name.eq_ignore_ascii_case(names::DISABLE_AUTH_SERVICE.as_bytes())
    }

    /// `NAME=VALUE` as the kernel takes it; `None`: there is a NUL in it.
    pub(crate) fn entry(&self) -> Option<CString> {
        let value = self.value.as_ref();
        let length = self.name.len() + value.map_or(0, SecretBytes::len) + 2;
        let mut entry = Zeroizing::new(Vec::with_capacity(length));
        entry.extend_from_slice(&self.name);
        if let Some(value) = value {
            entry.push(b'=');
            entry.extend_from_slice(value.expose());
        }
        if entry.contains(&0) {
            return None;
        }
        // With room for the NUL, so that it is not copied.
        entry.reserve_exact(1);
        CString::new(std::mem::take(&mut *entry)).ok()
    }
}

/// The variables of this process in the order of its environment. Where there is no `/proc`, entries without `=` are not seen: only the
/// kernel and C's library have them, and the latter gives them to unsafe code alone.
pub(crate) fn of_process() -> Vec<Variable> {
    match std::fs::read(AS_STARTED).map(Zeroizing::new) {
        Ok(block) => read(&block),
        Err(_) => std::env::vars_os()
            .map(|(name, value)| Variable {
                name: name.into_vec(),
                value: Some(SecretBytes::new(value.into_vec())),
            })
            .collect(),
    }
}

/// The variables in a block of entries, each of which ends with a NUL.
pub(crate) fn read(block: &[u8]) -> Vec<Variable> {
    let entries = block.split(|byte| *byte == 0);
    entries.filter(|entry| !entry.is_empty()).map(Variable::of).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A variable of a test.
    pub(crate) fn variable(name: &[u8], value: &[u8]) -> Variable {
        Variable {
            name: name.to_vec(),
            value: Some(SecretBytes::new(value.to_vec())),
        }
    }

    #[test]
    fn this_process_has_the_variables_that_the_standard_library_sees() {
        let of_kernel: Vec<_> = of_process().iter().map(|it| it.name.clone()).collect();
        let of_library: Vec<_> = std::env::vars_os().map(|(name, _)| name.into_vec()).collect();
        assert!(!of_library.is_empty());
        assert_eq!(of_kernel, of_library);
    }

    #[test]
    fn entries_without_equals_or_with_more_than_one_stay_as_they_are() {
        let block = b"A=1\0B=\0C=x=y\0=D\0=E=1\0F\0\xff=\xfe\0";
        let found: Vec<_> = read(block)
            .iter()
            .map(|it| (it.name.clone(), it.value.is_some()))
            .collect();
        let expected = [
            (&b"A"[..], true),
            (b"B", true),
            (b"C", true),
            (b"=D", false),
            (b"=E", true),
            (b"F", false),
            (b"\xff", true),
        ];
        assert_eq!(found, expected.map(|(name, has_value)| (name.to_vec(), has_value)));
    }

    proptest! {
        #[test]
        fn whatever_the_kernel_shows_becomes_the_same_entries_again(block in proptest::collection::vec(prop_oneof![Just(0_u8), Just(b'='), any::<u8>()], 0..200)) {
            let made: Vec<_> = read(&block).iter().map(|it| it.entry().map(CString::into_bytes)).collect();
            let expected: Vec<_> = block.split(|byte| *byte == 0).filter(|it| !it.is_empty()).map(|it| Some(it.to_vec())).collect();
            prop_assert_eq!(made, expected);
        }
    }
}
