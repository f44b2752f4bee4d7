//! Becoming the program.

use std::ffi::{CStr, CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use akv2k8s_shared::diagnosis::{Code, Diagnosis};
use nix::errno::Errno;
use nix::unistd::{SysconfVar, execve, sysconf};

use crate::environment::Variable;
use crate::failure::Failure;
use crate::lookup::{self, CannotStart, NOT_EXECUTABLE};

/// Pages that one variable may have, with its name and a NUL (`MAX_ARG_STRLEN`, execve(2)).
const PAGES: usize = 32;
/// The smallest page of any kernel, where it does not say.
const PAGE: usize = 4096;

/// Longest variable that this kernel takes: pages have 4 KiB on most, and up to 64 KiB on some.
fn longest_entry() -> usize {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    PAGES * page.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(PAGE)
}

/// Why the program did not start.
pub(crate) enum NotStarted {
    /// It cannot be; its own exit code.
    Program(CannotStart),
    /// Its environment cannot be made.
    Environment(Failure),
}

/// The environment of the program: all variables but the wrapper's own, in their order.
///
/// # Errors
/// A value that no environment can hold.
pub(crate) fn environment(variables: &[Variable]) -> Result<Vec<CString>, Failure> {
    let longest = longest_entry();
    variables
        .iter()
        .filter(|variable| !variable.is_own())
        .map(|variable| entry(variable, longest))
        .collect()
}

fn entry(variable: &Variable, longest: usize) -> Result<CString, Failure> {
    let failure = |code, what: String| Failure::of(Diagnosis::of(code, what, &[])).at(&[variable.shown()]);
    let entry = variable
        .entry()
        .ok_or_else(|| failure(Code::ValueNotForEnvironment, "The value has a NUL byte.".to_owned()))?;
    let length = entry.as_bytes_with_nul().len();
    if length > longest {
        let what = format!("Name and value are {length} bytes, and the kernel takes {longest} for one variable.");
        return Err(failure(Code::EnvironmentTooLarge, what));
    }
    Ok(entry)
}

/// Replaces this process by the program that `arguments` begins with; comes back only when that fails.
pub(crate) fn exec(arguments: Vec<OsString>, environment: &[CString]) -> NotStarted {
    let path = environment
        .iter()
        .find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
    let file = match arguments.first().map(|program| lookup::find(program, path)) {
        Some(Ok(file)) => file,
        Some(Err(absent)) => return NotStarted::Program(absent),
        None => {
            return NotStarted::Program(CannotStart {
                code: lookup::NOT_FOUND,
                why: "no program is given".to_owned(),
            });
        }
    };
    // What came from the kernel has no NUL in it.
    let arguments: Vec<CString> = arguments
        .into_iter()
        .filter_map(|it| CString::new(it.into_vec()).ok())
        .collect();
    let Ok(name) = CString::new(file.as_os_str().as_bytes()) else {
        return NotStarted::Program(lookup::explain_absence(&file));
    };
    let Err(errno) = execve::<&CStr, &CStr>(&name, &borrowed(&arguments), &borrowed(environment));
    explain(errno, &file, &arguments, environment)
}

fn borrowed(texts: &[CString]) -> Vec<&CStr> {
    texts.iter().map(CString::as_c_str).collect()
}

fn explain(errno: Errno, file: &Path, arguments: &[CString], environment: &[CString]) -> NotStarted {
    NotStarted::Program(match errno {
        Errno::ENOENT | Errno::ENOTDIR => lookup::explain_absence(file),
        Errno::EACCES => lookup::explain_denial(file),
        Errno::ENOEXEC => lookup::explain_format(file),
        Errno::E2BIG => return NotStarted::Environment(too_large(arguments, environment)),
        other => CannotStart {
            code: NOT_EXECUTABLE,
            why: format!("{}: {}", file.display(), other.desc()),
        },
    })
}

fn too_large(arguments: &[CString], environment: &[CString]) -> Failure {
    let size = |texts: &[CString]| texts.iter().map(|text| text.as_bytes_with_nul().len()).sum::<usize>();
    let what = format!(
        "The kernel refuses {} bytes of environment with {} bytes of arguments.",
        size(environment),
        size(arguments)
    );
    Failure::of(Diagnosis::of(Code::EnvironmentTooLarge, what, &[]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::environment::read;
    use crate::environment::tests::variable;

    #[test]
    fn the_wrappers_own_variables_go_and_all_others_stay_in_order_and_byte_for_byte() {
        let variables = [
            variable(b"Z", b"1"),
            variable(b"ENV_INJECTOR_SPECS", b"{}"),
            variable(b"AZURE_CLIENT_SECRET", b"s"),
            variable(b"Env_Injector_Disable_Auth_Service", b"true"),
            variable(b"A", b"\xff="),
            variable(b"A", b""),
            variable(b"\xfe", b"x\n"),
        ];
        let made = environment(&variables).ok().unwrap();
        let made: Vec<_> = made.iter().map(CString::as_bytes).collect();
        assert_eq!(
            made,
            [&b"Z=1"[..], b"AZURE_CLIENT_SECRET=s", b"A=\xff=", b"A=", b"\xfe=x\n"]
        );
    }

    #[test]
    fn a_value_that_no_environment_can_hold_is_an_error_that_names_the_variable_and_not_the_value() {
        let most = longest_entry() - "V=".len() - 1;
        assert!(environment(&[variable(b"V", &vec![b'x'; most])]).is_ok());
        let mut too_long = b"canary".to_vec();
        too_long.resize(most + 1, b'x');
        for (value, code) in [
            (b"canary\0".to_vec(), "ValueNotForEnvironment"),
            (too_long, "EnvironmentTooLarge"),
        ] {
            let text = environment(&[variable(b"V", &value)]).unwrap_err().text();
            assert!(
                text.starts_with(&format!("V: {code}: ")) && !text.contains("canary"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_kernel_with_larger_pages_takes_longer_variables() {
        let printed = std::process::Command::new("getconf").arg("PAGESIZE").output().unwrap();
        let page: usize = String::from_utf8(printed.stdout).unwrap().trim().parse().unwrap();
        assert_eq!(longest_entry(), 32 * page);
        let long = variable(b"V", &vec![b'x'; 200_000]);
        assert!(entry(&long, 32 * 4096).is_err() && entry(&long, 32 * 65_536).is_ok());
    }

    proptest! {
        #[test]
        fn an_environment_without_references_is_handed_over_as_it_is(
            entries in proptest::collection::vec(proptest::collection::vec(1_u8.., 1..32), 0..20)
        ) {
            let block: Vec<_> = entries.iter().flat_map(|entry| [entry, &[0][..]].concat()).collect();
            let made: Vec<_> = environment(&read(&block)).ok().unwrap().into_iter().map(CString::into_bytes).collect();
            prop_assert_eq!(made, entries);
        }
    }
}
