//! Manifests and configurations of images, as a registry that means ill may write them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| akv2k8s_envinjector::fuzzing::image(content));
