//! Values from the broker.

use akv2k8s_shared::diagnosis::Code;
use akv2k8s_shared::injection::names;

use crate::bed::{run, value};
use crate::stub::{Says, Stub, borrowed, refusal};

const DB: (&str, &str) = ("DB", "db@azurekeyvault");

fn db(value: &str) -> Says {
    Says::Values(vec![("db@azurekeyvault", value.as_bytes().to_vec())])
}

#[tokio::test]
async fn one_request_with_the_pods_token_brings_all_values_into_place() {
    let values = vec![
        ("db@azurekeyvault", b"s3cret".to_vec()),
        ("tls@azurekeyvault?tls.key", b"KEY\n".to_vec()),
        ("empty@azurekeyvault", vec![]),
    ];
    let stub = Stub::start([Says::Values(values)]).await;
    let variables = stub.variables(&[
        DB,
        ("PLAIN", "x"),
        ("AGAIN", "db@azurekeyvault?"),
        ("KEY", "tls@azurekeyvault?tls.key"),
        ("EMPTY", "empty@azurekeyvault"),
    ]);
    let ended = run(&borrowed(&variables), &["env"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""), "quiet on success");
    for (name, expected) in [
        ("DB", "s3cret"),
        ("AGAIN", "s3cret"),
        ("PLAIN", "x"),
        ("KEY", "KEY"),
        ("EMPTY", ""),
    ] {
        assert_eq!(value(&ended, name), Some(expected), "{name}");
    }
    assert!(!ended.out.contains("ENV_INJECTOR_"), "{}", ended.out);
    let asked = stub.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].path.as_str(), asked[0].authorization.as_str()),
        ("POST /v1/values", "Bearer the-token")
    );
    let body = r#"{"references":["db@azurekeyvault","empty@azurekeyvault","tls@azurekeyvault?tls.key"]}"#;
    assert_eq!(asked[0].body, body);
}

#[tokio::test]
async fn a_broker_that_is_not_ready_yet_is_waited_for() {
    let stub = Stub::start([
        Says::Status(503, "no healthy upstream".to_owned(), None),
        refusal(404, "AkvsNotFound", Some("db@azurekeyvault"), true),
        Says::Status(
            429,
            r#"{"code":"Throttled","message":"m","fix":"f","retry":true}"#.to_owned(),
            Some(1),
        ),
        db("late"),
    ])
    .await;
    let ended = run(&borrowed(&stub.variables(&[DB])), &["env"]).await;
    assert_eq!(
        (ended.code, value(&ended, "DB")),
        (Some(0), Some("late")),
        "{}",
        ended.err
    );
    assert_eq!(stub.asked().len(), 4);
}

#[tokio::test]
async fn a_refusal_that_stays_ends_it_at_once_and_names_variable_reference_code_and_fix() {
    let stub = Stub::start([refusal(403, "VaultNotGranted", Some("db@azurekeyvault"), false)]).await;
    let ended = run(
        &borrowed(&stub.variables(&[DB, ("SAME", "db@azurekeyvault")])),
        &["env"],
    )
    .await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert_eq!(stub.asked().len(), 1);
    let expected = "azure-keyvault-env: DB, SAME (db@azurekeyvault): VaultNotGranted: It is so.\n  Fix: Do this.\n";
    let unordered = expected.replace("DB, SAME", "SAME, DB");
    assert!([expected, &unordered].contains(&ended.err.as_str()), "{}", ended.err);
}

#[tokio::test]
async fn failures_are_told_in_three_lines_or_one_of_json() {
    // A port that nobody listens on.
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = format!("https://localhost:{free}");
    let (stub, stranger) = (Stub::start([db("v")]).await, Stub::start([db("v")]).await);
    let foreign = stranger.variables(&[]);
    let authority = &foreign
        .iter()
        .find(|(name, _)| name == names::AUTH_SERVICE_CA)
        .unwrap()
        .1;
    let once = (names::RETRIES, "0");
    for (code, variables) in [
        (
            Code::BrokerUnavailable,
            vec![DB, once, (names::AUTH_SERVICE, nobody.as_str())],
        ),
        (
            Code::BrokerNotTrusted,
            vec![DB, once, (names::AUTH_SERVICE_CA, authority)],
        ),
        (
            Code::InjectionMisconfigured,
            vec![DB, (names::AUTH_SERVICE_TOKEN_FILE, "/nowhere/token")],
        ),
        (
            Code::InjectionMisconfigured,
            vec![DB, (names::AUTH_SERVICE_CA, "no certificate")],
        ),
        (Code::ReferenceInvalid, vec![("DB", "azurekeyvault://kv1/secrets/db")]),
        (Code::ReferenceInvalid, vec![("DB", "azurekeyvault://kv1/secret/db")]),
    ] {
        let all = stub.variables(&variables);
        let ended = run(&borrowed(&all), &["env"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{code}");
        assert!(
            ended.err.contains(&format!("{code}: ")) && ended.err.contains("Fix: "),
            "{code}: {}",
            ended.err
        );
        assert!(ended.err.lines().count() <= 3, "{}", ended.err);
        let json = stub.variables(&[variables.as_slice(), &[(names::LOG_FORMAT, "json")]].concat());
        let ended = run(&borrowed(&json), &["env"]).await;
        let line: serde_json::Value = serde_json::from_str(ended.err.trim_end()).expect("one line of JSON");
        assert_eq!(line["code"], code.as_str());
    }
}

#[tokio::test]
async fn an_answer_without_all_values_starts_nothing() {
    let stub = Stub::start([Says::Values(vec![])]).await;
    let ended = run(&borrowed(&stub.variables(&[DB, (names::RETRIES, "0")])), &["env"]).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""));
    assert!(
        ended.err.contains("BrokerUnavailable") && ended.err.contains("DB (db@azurekeyvault)"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn values_that_no_environment_can_hold_are_errors_that_name_the_variable() {
    let too_long = vec![b'x'; 131_072];
    let whole: Vec<_> = ["a@azurekeyvault", "b@azurekeyvault", "c@azurekeyvault"]
        .into_iter()
        .map(|it| (it, vec![b'x'; 100_000]))
        .collect();
    let many: Vec<_> = (0..100)
        .map(|number| {
            (
                format!("V{number}"),
                ["a", "b", "c"][number % 3].to_owned() + "@azurekeyvault",
            )
        })
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    for (says, variables, code) in [
        (
            Says::Values(vec![("db@azurekeyvault", b"a\0b".to_vec())]),
            vec![DB],
            Code::ValueNotForEnvironment,
        ),
        (
            Says::Values(vec![("db@azurekeyvault", too_long)]),
            vec![DB],
            Code::EnvironmentTooLarge,
        ),
        // Each of them fits, and all together are more than the kernel ever takes (6 MiB).
        (Says::Values(whole), many, Code::EnvironmentTooLarge),
    ] {
        let stub = Stub::start([says]).await;
        let ended = run(&borrowed(&stub.variables(&variables)), &["env"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{code}: {}", ended.err);
        assert!(ended.err.contains(code.as_str()), "{code}: {}", ended.err);
        assert!(variables.len() > 1 || ended.err.contains("DB: "), "{}", ended.err);
    }
}

#[tokio::test]
async fn a_thousand_variables_of_a_mebibyte_arrive() {
    let names: Vec<_> = (0..1000).map(|number| format!("V{number}")).collect();
    let variables: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), "db@azurekeyvault"))
        .chain([("ONE", "big@azurekeyvault")])
        .collect();
    let stub = Stub::start([Says::Values(vec![
        ("db@azurekeyvault", vec![b'v'; 1024]),
        ("big@azurekeyvault", vec![b'w'; 25 * 1024]),
    ])])
    .await;
    let ended = run(&borrowed(&stub.variables(&variables)), &["env"]).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let arrived = names
        .iter()
        .filter(|name| value(&ended, name).is_some_and(|it| it.len() == 1024))
        .count();
    assert_eq!((arrived, value(&ended, "ONE").map(str::len)), (1000, Some(25 * 1024)));
}

#[tokio::test]
async fn check_prints_names_and_lengths_and_starts_nothing() {
    let stub = Stub::start([db("canary-value")]).await;
    let ended = run(&borrowed(&stub.variables(&[DB, ("PLAIN", "x")])), &["--check"]).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
    assert_eq!(ended.out, "DB\tdb@azurekeyvault\t12 bytes\n");
}

#[tokio::test]
async fn the_broker_is_never_asked_through_a_proxy() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let stub = Stub::start([db("v")]).await;
    // An address of this machine that is none of those which never go through a proxy.
    let variables = stub.variables(&[
        DB,
        (names::AUTH_SERVICE, &stub.address().replace("localhost", "0.0.0.0")),
        ("HTTPS_PROXY", &address),
        ("https_proxy", &address),
        ("ALL_PROXY", &address),
    ]);
    let ended = run(&borrowed(&variables), &["env"]).await;
    assert_eq!((ended.code, value(&ended, "DB")), (Some(0), Some("v")), "{}", ended.err);
    let nobody_came =
        std::future::poll_fn(|context| std::task::Poll::Ready(proxy.poll_accept(context).is_pending())).await;
    assert!(nobody_came);
}
