//! The ServiceAccount token that is exchanged at Entra, read without verifying it.

use akv2k8s_shared::diagnosis::{AUDIENCE, AssertionClaims, Diagnosis, Explanation, case};
use akv2k8s_shared::doctor::Check;
use akv2k8s_shared::environment::Environment;
use akv2k8s_shared::environment::common::AZURE_FEDERATED_TOKEN_FILE;
use akv2k8s_shared::identity::Assertion;
use k8s_openapi::jiff::Timestamp;

const ID: &str = "token-file";
/// Where the kubelet keeps the pod's token for the API server.
const OWN_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Check `token-file`: it is there, is for Entra, is ours, and is valid now.
pub(super) async fn check(environment: &Environment) -> Check {
    let Some(path) = environment.path(AZURE_FEDERATED_TOKEN_FILE) else {
        return Check::not_made(ID, "The ServiceAccount token: no variable names its file.");
    };
    let claims = match claims(&path).await {
        Ok(claims) => claims,
        Err(why) => {
            let what = format!("The ServiceAccount token {} cannot be used.", path.display());
            return Check::failed(ID, Diagnosis::case(why, what));
        }
    };
    let own = claims_of_pod().await;
    verdict(&claims, own.as_ref(), Timestamp::now().as_second())
}

async fn claims(path: &std::path::Path) -> Result<AssertionClaims, Explanation> {
    Assertion::from_file(path).await.map(|it| it.claims().clone())
}

/// Who this pod is at the API server; `None` outside of a cluster.
async fn claims_of_pod() -> Option<AssertionClaims> {
    claims(OWN_TOKEN.as_ref()).await.ok()
}

fn verdict(claims: &AssertionClaims, own: Option<&AssertionClaims>, now: i64) -> Check {
    if !claims.audience.split(',').any(|audience| audience == AUDIENCE) {
        let audience = &claims.audience;
        let what = "The ServiceAccount token is for another audience.";
        return Check::failed(ID, Diagnosis::case(case::TokenForOthers { audience }, what));
    }
    if let Some(own) = own
        && own.subject != claims.subject
    {
        let of_another = case::TokenOfAnother {
            own: &own.subject,
            subject: &claims.subject,
        };
        let what = "The ServiceAccount token is another ServiceAccount's.";
        return Check::failed(ID, Diagnosis::case(of_another, what));
    }
    if claims.expires.is_some_and(|expires| expires <= now) {
        let what = "The ServiceAccount token has expired.";
        return Check::failed(ID, Diagnosis::case(case::TokenFileExpired, what));
    }
    Check::passed(
        ID,
        format!(
            "The ServiceAccount token says issuer {}, subject {}, audience {}.",
            claims.issuer, claims.subject, claims.audience
        ),
    )
}

#[cfg(test)]
mod tests {
    use akv2k8s_shared::diagnosis::Code;

    use super::*;

    fn claims(subject: &str, audience: &str, expires: i64) -> AssertionClaims {
        AssertionClaims {
            issuer: "https://oidc.example/".into(),
            subject: subject.into(),
            audience: audience.into(),
            expires: Some(expires),
            issued: Some(0),
        }
    }

    #[test]
    fn the_token_must_be_for_entra_be_ours_and_be_valid() {
        let own = claims("system:serviceaccount:a:b", "https://kubernetes.default.svc", 100);
        for (subject, audience, expires, code) in [
            ("system:serviceaccount:a:b", AUDIENCE, 100, None),
            ("system:serviceaccount:a:b", "x,api://AzureADTokenExchange", 100, None),
            (
                "system:serviceaccount:a:b",
                "x",
                100,
                Some(Code::FederatedAudienceWrong),
            ),
            (
                "system:serviceaccount:a:c",
                AUDIENCE,
                100,
                Some(Code::FederatedSubjectMismatch),
            ),
            (
                "system:serviceaccount:a:b",
                AUDIENCE,
                50,
                Some(Code::AssertionOutsideValidity),
            ),
        ] {
            let check = verdict(&claims(subject, audience, expires), Some(&own), 50);
            assert_eq!(
                check.failure().map(|it| it.code),
                code,
                "{subject} {audience} {expires}"
            );
        }
        assert!(verdict(&claims("anybody", AUDIENCE, 100), None, 50).failure().is_none());
    }

    #[tokio::test]
    async fn a_missing_file_is_said_with_its_name() {
        let environment = [("AZURE_FEDERATED_TOKEN_FILE", "/does/not/exist")]
            .into_iter()
            .collect();
        let check = check(&environment).await;
        let diagnosis = check.failure().unwrap();
        assert_eq!(diagnosis.code, Code::TokenFileUnreadable);
        assert!(diagnosis.what.contains("/does/not/exist"), "{diagnosis}");
    }
}
