//! Whoever builds the wrapper from the same source gets the same bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use akv2k8s_testbed::statics::{self, Architecture, WRAPPER};
use tempfile::TempDir;

/// The source as it is here, somewhere else.
fn copy(to: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut git = Command::new("git");
    git.arg("-C").arg(&root);
    let files = git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let files = files.output().expect("git is there; install it: apt-get install git");
    assert!(files.status.success(), "{}", String::from_utf8_lossy(&files.stderr));
    for file in String::from_utf8(files.stdout).unwrap().split_terminator('\0') {
        // What was removed and is not committed yet is listed.
        let Ok(content) = fs::read(root.join(file)) else {
            continue;
        };
        let to = to.join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, content).unwrap();
    }
}

#[tokio::test]
async fn the_wrapper_of_two_folders_is_bit_identical_and_names_neither() {
    let builds = tokio::task::spawn_blocking(|| {
        let elsewhere = TempDir::with_prefix("another-folder-of-a-longer-name-").unwrap();
        copy(elsewhere.path());
        let other = statics::build_from(elsewhere.path(), Architecture::X86_64, WRAPPER).unwrap();
        let here = statics::program(Architecture::X86_64, WRAPPER).unwrap();
        (fs::read(here).unwrap(), fs::read(other).unwrap())
    });
    let (here, other) = builds.await.unwrap();
    assert!(
        here == other,
        "{} and {} bytes, and they differ",
        here.len(),
        other.len()
    );
    let home = std::env::var("HOME").unwrap();
    for folder in [home.as_str(), env!("CARGO_MANIFEST_DIR"), "another-folder"] {
        let is_in = here.windows(folder.len()).any(|it| it == folder.as_bytes());
        assert!(folder == "/" || !is_in, "it names {folder}");
    }
}
