use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn digit(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn read(document: &Value) -> Result<Manifest, Flaw> {
    Manifest::parse(document.to_string().as_bytes())
}

fn image_of(media_type: &str, config: &str) -> Value {
    json!({
        "schemaVersion": 2, "mediaType": media_type, "layers": [],
        "config": {"mediaType": config, "digest": digit('a'), "size": 7},
    })
}

fn entry(digest: char, os: &str, architecture: &str) -> Value {
    let platform = json!({"os": os, "architecture": architecture});
    json!({"mediaType": IMAGES[0], "digest": digit(digest), "size": 7, "platform": platform})
}

fn index_of(entries: &[Value]) -> Index {
    let document = json!({"schemaVersion": 2, "mediaType": INDEXES[0], "manifests": entries});
    let Manifest::Index(index) = read(&document).unwrap() else {
        unreachable!("a list was read as an image")
    };
    index
}

#[test]
fn images_of_both_kinds_name_their_configuration() {
    let expected = Manifest::Image(Descriptor {
        digest: Digest::parse(&digit('a')).unwrap(),
        size: 7,
    });
    for (media_type, config) in IMAGES.into_iter().zip(CONFIGS) {
        let document = image_of(media_type, config);
        assert_eq!(read(&document).as_ref(), Ok(&expected), "{media_type}");
        // OCI leaves its own media type to the one who writes it.
        let mut silent = document;
        silent.as_object_mut().unwrap().remove("mediaType");
        assert_eq!(read(&silent).as_ref(), Ok(&expected), "{media_type}");
    }
}

#[test]
fn of_a_list_only_images_for_the_pods_platforms_count() {
    let attestation = entry('f', "unknown", "unknown");
    let helm = json!({"mediaType": "application/vnd.cncf.helm.chart", "digest": digit('e'), "size": 1});
    let index = index_of(&[
        entry('a', "linux", "amd64"),
        entry('b', "linux", "arm64"),
        entry('b', "linux", "arm64"),
        entry('c', "windows", "amd64"),
        attestation,
        helm,
    ]);
    let fitting = |architectures: &[&str]| {
        index
            .fitting(architectures)
            .into_iter()
            .map(Digest::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(fitting(&["amd64", "arm64"]), [digit('a'), digit('b')]);
    assert_eq!(fitting(&["arm64"]), [digit('b')]);
    assert!(fitting(&["s390x"]).is_empty());
    assert_eq!(index.platforms(), "linux/amd64, linux/arm64, windows/amd64");
}

#[test]
fn an_image_of_a_list_that_says_nothing_of_its_platform_may_be_any() {
    let index = index_of(&[json!({"mediaType": IMAGES[1], "digest": digit('a'), "size": 1})]);
    assert_eq!(index.fitting(&["arm64"]).len(), 1);
}

#[test]
fn what_is_no_image_and_no_list_is_refused() {
    let both = json!({
        "schemaVersion": 2, "manifests": [],
        "config": {"mediaType": CONFIGS[0], "digest": digit('a'), "size": 1},
    });
    let list = json!({"schemaVersion": 2, "mediaType": IMAGES[0], "manifests": []});
    let layered = json!({"schemaVersion": 2, "layers": [], "manifests": []});
    let old = json!({"schemaVersion": 1, "fsLayers": [{"blobSum": "x"}], "history": []});
    let mut huge = image_of(IMAGES[0], CONFIGS[0]);
    huge["config"]["size"] = json!(u64::MAX);
    let mut negative = image_of(IMAGES[0], CONFIGS[0]);
    negative["config"]["size"] = json!(-1);
    let mut path = image_of(IMAGES[0], CONFIGS[0]);
    path["config"]["digest"] = json!("sha256:../../../../_catalog");
    let many = json!({"schemaVersion": 2, "manifests": vec![entry('a', "linux", "amd64"); MOST_IMAGES + 1]});
    let helm = image_of(IMAGES[0], "application/vnd.cncf.helm.config.v1+json");
    for document in [
        both,
        list,
        layered,
        old,
        huge,
        negative,
        path,
        many,
        helm,
        json!({}),
        json!([]),
        json!({"schemaVersion": 2}),
    ] {
        assert!(read(&document).is_err(), "{document}");
    }
}

#[test]
fn entrypoint_and_cmd_are_read_where_there_are_any() {
    let of = |document: Value| config(document.to_string().as_bytes()).map(|it| (it.entrypoint, it.cmd));
    let words = |words: &[&str]| words.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
    for (document, entrypoint, cmd) in [
        (
            json!({"config": {"Entrypoint": ["/app"], "Cmd": ["-x", ""]}}),
            &["/app"][..],
            &["-x", ""][..],
        ),
        (
            json!({"config": {"Entrypoint": null, "Cmd": ["sh"]}, "os": "linux"}),
            &[],
            &["sh"],
        ),
        (json!({"config": {"Env": ["A=b"]}}), &[], &[]),
        (json!({"config": null}), &[], &[]),
        (json!({}), &[], &[]),
    ] {
        assert_eq!(of(document.clone()), Ok((words(entrypoint), words(cmd))), "{document}");
    }
}

#[test]
fn hostile_configurations_are_refused() {
    let nested = format!("{{\"config\":{}", "{\"a\":".repeat(10_000));
    let hostile = [
        json!({"config": {"Entrypoint": ["/app", "a\0b"]}}).to_string(),
        json!({"config": {"Cmd": vec!["x"; MOST_WORDS + 1]}}).to_string(),
        json!({"config": {"Cmd": ["x".repeat(MOST_TEXT + 1)]}}).to_string(),
        json!({"config": {"Entrypoint": "/app"}}).to_string(),
        json!({"config": {"Entrypoint": [1]}}).to_string(),
        json!({"config": []}).to_string(),
        nested,
        String::new(),
    ];
    for text in hostile {
        assert!(
            config(text.as_bytes()).is_err(),
            "{}",
            text.chars().take(80).collect::<String>()
        );
    }
    assert!(config(b"{\"config\":{\"Cmd\":[\"\xff\"]}}").is_err());
    let most = json!({"config": {"Cmd": vec!["x"; MOST_WORDS]}}).to_string();
    assert_eq!(config(most.as_bytes()).map(|it| it.cmd.len()), Ok(MOST_WORDS));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Manifest::parse(&bytes);
        let _ = config(&bytes);
    }

    #[test]
    fn no_document_makes_the_readers_panic(
        version in 0..4_u64, kind in proptest::option::of(".{0,10}"), digest in ".{0,80}", size in any::<u64>(), os in ".{0,8}",
    ) {
        let descriptor = json!({"mediaType": IMAGES[0], "digest": digest, "size": size, "platform": {"os": os}});
        let document = json!({"schemaVersion": version, "mediaType": kind, "manifests": [descriptor]});
        if let Ok(Manifest::Index(index)) = read(&document) {
            let _ = (index.fitting(&["amd64"]).len(), index.platforms());
        }
    }
}
