//! For the fuzz target `image`.

use super::manifest::{LARGEST_CONFIG, Manifest, config};

/// A manifest or a configuration, as a registry that means ill may write it.
pub fn image(content: &[u8]) {
    match Manifest::parse(content) {
        Ok(Manifest::Image(descriptor)) => assert!(descriptor.size <= LARGEST_CONFIG),
        Ok(Manifest::Index(index)) => {
            let (all, one) = (index.fitting(&["amd64", "arm64"]), index.fitting(&["arm64"]));
            assert!(one.iter().all(|digest| all.contains(digest)));
            index.platforms();
        }
        Err(_) => {}
    }
    if let Ok(found) = config(content) {
        assert!(
            found
                .entrypoint
                .iter()
                .chain(&found.cmd)
                .all(|word| !word.contains('\0'))
        );
    }
}
