//! Whoever builds the wrapper from the same source gets the same bytes.

use akv2k8s_testbed::statics::{Architecture, Elsewhere, WRAPPER};

#[tokio::test]
async fn the_wrapper_of_two_folders_is_bit_identical_and_names_neither() {
    let built = tokio::task::spawn_blocking(|| Elsewhere::new()?.same(Architecture::X86_64, WRAPPER));
    let bytes = built.await.unwrap().unwrap();
    let home = std::env::var("HOME").unwrap();
    for folder in [home.as_str(), env!("CARGO_MANIFEST_DIR"), "another-folder"] {
        let is_in = bytes.windows(folder.len()).any(|it| it == folder.as_bytes());
        assert!(folder == "/" || !is_in, "it names {folder}");
    }
}
