//! Where the programs are.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{KUBERNETES_VERSION, Program};

/// The folders in which programs are looked for.
#[derive(Clone, Debug)]
pub struct Locations {
    /// `KUBEBUILDER_ASSETS`, when it is set.
    assets: Option<PathBuf>,
    /// Where `provision` puts what it builds.
    cache: PathBuf,
}

/// A program is in none of the folders.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "{program} is not in {searched}; run `cargo testbed provision{option}` (builds it once with Go, about 13 minutes), \
     or set KUBEBUILDER_ASSETS to a folder that holds it"
)]
pub struct NotProvisioned {
    program: &'static str,
    /// Which option of `provision` builds it.
    option: &'static str,
    searched: String,
}

impl Locations {
    /// The folders that this process's environment names: `KUBEBUILDER_ASSETS`, and
    /// `$XDG_CACHE_HOME` or `$HOME/.cache`, below which the cache is.
    pub fn from_env() -> Self {
        Self::new(
            env::var_os("KUBEBUILDER_ASSETS"),
            env::var_os("XDG_CACHE_HOME"),
            env::var_os("HOME"),
        )
    }

    fn new(assets: Option<OsString>, cache_home: Option<OsString>, home: Option<OsString>) -> Self {
        let set = |value: Option<OsString>| value.filter(|v| !v.is_empty()).map(PathBuf::from);
        let cache_home = set(cache_home)
            .or_else(|| set(home).map(|home| home.join(".cache")))
            .unwrap_or_else(env::temp_dir);
        let cache = cache_home
            .join("akv2k8s-rs")
            .join(format!("kube-{KUBERNETES_VERSION}"))
            .join("bin");
        Self {
            assets: set(assets),
            cache,
        }
    }

    /// Where `provision` puts what it builds.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The path of `program`, from the first folder that has it.
    pub fn find(&self, program: Program) -> Result<PathBuf, NotProvisioned> {
        let folders = || self.assets.iter().chain([&self.cache]);
        folders()
            .map(|folder| folder.join(program.name()))
            .find(|path| path.is_file())
            .ok_or_else(|| NotProvisioned {
                program: program.name(),
                option: if Program::NODE.contains(&program) {
                    " --node"
                } else {
                    ""
                },
                searched: folders()
                    .map(|folder| folder.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" nor in "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(programs: &[Program]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("temporary folder");
        for program in programs {
            std::fs::write(folder.path().join(program.name()), "").expect("write");
        }
        folder
    }

    #[test]
    fn assets_win_over_the_cache_which_fills_what_they_lack() {
        let assets = folder_with(&[Program::Etcd]);
        let cache = folder_with(&[Program::Etcd, Program::ControllerManager]);
        let locations = Locations {
            assets: Some(assets.path().into()),
            cache: cache.path().into(),
        };
        assert_eq!(locations.find(Program::Etcd).expect("etcd"), assets.path().join("etcd"));
        let manager = locations.find(Program::ControllerManager).expect("manager");
        assert_eq!(manager, cache.path().join("kube-controller-manager"));
    }

    #[test]
    fn an_absent_program_is_an_error_that_names_the_command_and_both_folders() {
        let locations = Locations::new(Some("/assets".into()), Some("/cache".into()), None);
        let message = locations.find(Program::Kubectl).expect_err("absent").to_string();
        for part in [
            "kubectl",
            "/assets",
            "/cache/akv2k8s-rs/kube-",
            "cargo testbed provision",
            "KUBEBUILDER_ASSETS",
        ] {
            assert!(message.contains(part), "{part} is not in: {message}");
        }
    }

    #[test]
    fn the_programs_of_a_node_have_a_command_of_their_own() {
        let locations = Locations::new(None, Some("/cache".into()), None);
        let message = locations.find(Program::Kubelet).expect_err("absent").to_string();
        assert!(message.contains("`cargo testbed provision --node`"), "{message}");
    }

    #[test]
    fn without_xdg_cache_home_the_cache_is_below_home() {
        let locations = Locations::new(None, Some(OsString::new()), Some("/home/me".into()));
        assert!(locations.cache().starts_with("/home/me/.cache/akv2k8s-rs"));
    }
}
