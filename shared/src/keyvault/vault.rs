//! One vault: Microsoft's three clients over our policy and transport. The only place that calls them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::headers::Headers;
use azure_core::http::pager::PagerOptions;
use azure_core::http::{ClientMethodOptions, ClientOptions, Context, Response, RetryOptions, Transport};
use azure_security_keyvault_certificates::models::{
    CertificateClientGetCertificateOptions, CertificateClientListCertificatePropertiesOptions,
};
use azure_security_keyvault_certificates::{CertificateClient, CertificateClientOptions};
use azure_security_keyvault_keys::models::{KeyClientGetKeyOptions, KeyClientListKeyPropertiesOptions};
use azure_security_keyvault_keys::{KeyClient, KeyClientOptions};
use azure_security_keyvault_secrets::models::{SecretClientGetSecretOptions, SecretClientListSecretPropertiesOptions};
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use futures::TryStreamExt;
use tokio::time::Instant;

use super::coalesce::{Answer, Askers};
use super::convert::{self, Marked};
use super::model::{CertificateObject, Fingerprint, KeyObject, SecretObject, VaultObject};
use super::policy::{Call, Shared, VaultPolicy};
use super::{Collection, Fetched, Listed, Listing, Priority, Settings, VaultError, error};
use crate::http::HttpClient;
use crate::identity::{Cloud, Identity};
use crate::reference::{ObjectKind, ObjectName, ObjectRef, VaultName};

/// One vault of one cloud.
pub(super) struct Vault {
    pub(super) policy: Arc<VaultPolicy>,
    secrets: SecretClient,
    certificates: CertificateClient,
    keys: KeyClient,
}

impl Vault {
    /// Nothing is sent yet.
    pub(super) fn new(
        cloud: &Cloud,
        name: &VaultName,
        http: &HttpClient,
        settings: &Settings,
    ) -> azure_core::Result<Self> {
        let origin = cloud.vault_url(name);
        let policy = Arc::new(VaultPolicy::new(
            name.as_str().to_owned(),
            origin.clone(),
            cloud.clone(),
            settings.clone(),
        ));
        let client_options = ClientOptions {
            per_try_policies: vec![Arc::new(Shared(policy.clone()))],
            retry: RetryOptions::none(),
            transport: Some(Transport::new(Arc::new(http.clone()))),
            ..ClientOptions::default()
        };
        let endpoint = origin.as_str();
        let secrets = SecretClientOptions {
            client_options: client_options.clone(),
            ..SecretClientOptions::default()
        };
        let certificates = CertificateClientOptions {
            client_options: client_options.clone(),
            ..CertificateClientOptions::default()
        };
        let keys = KeyClientOptions {
            client_options,
            ..KeyClientOptions::default()
        };
        Ok(Self {
            secrets: SecretClient::new(endpoint, Arc::new(ByPolicy), Some(secrets))?,
            certificates: CertificateClient::new(endpoint, Arc::new(ByPolicy), Some(certificates))?,
            keys: KeyClient::new(endpoint, Arc::new(ByPolicy), Some(keys))?,
            policy,
        })
    }

    /// One object, with the secret behind it for [`ObjectKind::CertificateWithKey`].
    pub(super) async fn read(
        &self,
        identity: Identity,
        object: ObjectRef,
        priority: Priority,
        askers: Askers,
    ) -> Result<Answer<Fetched>, VaultError> {
        let reader = Reader {
            vault: self,
            identity,
            text: object.to_string(),
            priority,
            askers,
        };
        match object.kind {
            ObjectKind::Secret => reader
                .secret(&object, false)
                .await
                .map(|read| read.wrap(VaultObject::Secret)),
            ObjectKind::Certificate => {
                let read = reader.certificate(&object).await?;
                Ok(read.wrap(VaultObject::Certificate))
            }
            ObjectKind::CertificateWithKey => reader.certificate_with_key(object).await,
            ObjectKind::Key => reader.key(&object).await.map(|read| read.wrap(VaultObject::Key)),
        }
    }

    /// Every object of a collection.
    pub(super) async fn list(
        &self,
        identity: Identity,
        vault: &VaultName,
        collection: Collection,
        priority: Priority,
    ) -> Result<Listing, VaultError> {
        let text = format!("the list of {} in vault '{vault}'", collection.as_str());
        let call = Call {
            identity,
            priority,
            collection,
            list: true,
            behind_certificate: false,
            object: text.clone(),
            askers: None,
            asked: Mutex::default(),
        };
        let method_options = PagerOptions {
            context: Context::new().with_value(Arc::new(call)),
            ..PagerOptions::default()
        };
        self.pages(collection, method_options)
            .await
            .map_err(|error| error::of_client(&error, &text))
    }

    async fn pages(&self, collection: Collection, method_options: PagerOptions<'_>) -> azure_core::Result<Listing> {
        let mut listing = Listing {
            items: HashMap::new(),
            pages: 0,
        };
        match collection {
            Collection::Secrets => {
                let options = SecretClientListSecretPropertiesOptions {
                    method_options,
                    ..Default::default()
                };
                let mut pages = self.secrets.list_secret_properties(Some(options))?.into_pages();
                while let Some(page) = pages.try_next().await? {
                    let headers = page.headers().clone();
                    listing.add(page.into_model()?.value, |item| convert::listed_secret(item, &headers));
                }
            }
            Collection::Certificates => {
                let options = CertificateClientListCertificatePropertiesOptions {
                    method_options,
                    ..Default::default()
                };
                let mut pages = self
                    .certificates
                    .list_certificate_properties(Some(options))?
                    .into_pages();
                while let Some(page) = pages.try_next().await? {
                    let headers = page.headers().clone();
                    listing.add(page.into_model()?.value, |item| {
                        convert::listed_certificate(item, &headers)
                    });
                }
            }
            Collection::Keys => {
                let options = KeyClientListKeyPropertiesOptions {
                    method_options,
                    ..Default::default()
                };
                let mut pages = self.keys.list_key_properties(Some(options))?.into_pages();
                while let Some(page) = pages.try_next().await? {
                    let headers = page.headers().clone();
                    listing.add(page.into_model()?.value, |item| convert::listed_key(item, &headers));
                }
            }
        }
        Ok(listing)
    }
}

impl Listing {
    fn add<T>(&mut self, page: Vec<T>, convert: impl Fn(T) -> Option<(ObjectName, Listed)>) {
        self.pages += 1;
        self.items.extend(page.into_iter().filter_map(convert));
    }
}

/// A part that was read, and when it was asked for.
struct Read<T> {
    marked: Marked<T>,
    asked: Instant,
}

impl<T> Read<T> {
    fn wrap(self, into: impl FnOnce(T) -> VaultObject) -> Answer<Fetched> {
        Answer {
            value: Arc::new(Fetched {
                object: into(self.marked.object),
                fingerprint: self.marked.fingerprint,
                settled: self.marked.settled,
            }),
            asked: self.asked,
        }
    }
}

/// One read on somebody's behalf.
struct Reader<'v> {
    vault: &'v Vault,
    identity: Identity,
    text: String,
    priority: Priority,
    askers: Askers,
}

impl Reader<'_> {
    async fn secret(&self, object: &ObjectRef, behind_certificate: bool) -> Result<Read<SecretObject>, VaultError> {
        let call = self.call(Collection::Secrets, behind_certificate);
        let options = SecretClientGetSecretOptions {
            method_options: context(&call),
            secret_version: version(object),
            ..Default::default()
        };
        let answer = self.vault.secrets.get_secret(object.name.as_str(), Some(options)).await;
        self.finish(&call, answer, convert::secret)
    }

    async fn certificate(&self, object: &ObjectRef) -> Result<Read<CertificateObject>, VaultError> {
        let call = self.call(Collection::Certificates, false);
        let options = CertificateClientGetCertificateOptions {
            method_options: context(&call),
            certificate_version: version(object),
        };
        let name = object.name.as_str();
        let answer = self.vault.certificates.get_certificate(name, Some(options)).await;
        self.finish(&call, answer, convert::certificate)
    }

    async fn certificate_with_key(&self, mut object: ObjectRef) -> Result<Answer<Fetched>, VaultError> {
        let pinned = object.version.is_some();
        let mut certificate = self.certificate(&object).await?;
        if certificate.marked.object.exportable == Some(false) {
            return Err(error::not_exportable(&self.text));
        }
        // The versions of a certificate and of the secret behind it are the same: pinning keeps the pair together when a
        // new version appears between the two reads.
        object.version = Some(certificate.marked.object.version.clone());
        let secret = self.secret(&object, true).await?;
        let marks = [&certificate.marked.fingerprint, &secret.marked.fingerprint];
        certificate.marked.fingerprint = Fingerprint::combine(&marks);
        certificate.marked.settled &= secret.marked.settled || pinned;
        certificate.marked.object.secret = Some(secret.marked.object);
        Ok(certificate.wrap(VaultObject::Certificate))
    }

    async fn key(&self, object: &ObjectRef) -> Result<Read<KeyObject>, VaultError> {
        let call = self.call(Collection::Keys, false);
        let options = KeyClientGetKeyOptions {
            method_options: context(&call),
            key_version: version(object),
        };
        let answer = self.vault.keys.get_key(object.name.as_str(), Some(options)).await;
        self.finish(&call, answer, convert::key)
    }

    fn call(&self, collection: Collection, behind_certificate: bool) -> Arc<Call> {
        Arc::new(Call {
            identity: self.identity.clone(),
            priority: self.priority,
            collection,
            list: false,
            behind_certificate,
            object: self.text.clone(),
            askers: Some(self.askers.clone()),
            asked: Mutex::default(),
        })
    }

    fn finish<M, T>(
        &self,
        call: &Call,
        answer: azure_core::Result<Response<M>>,
        convert: impl FnOnce(M, &Headers) -> Result<Marked<T>, &'static str>,
    ) -> Result<Read<T>, VaultError>
    where
        M: serde::de::DeserializeOwned,
    {
        let answer = answer.map_err(|error| error::of_client(&error, &self.text))?;
        let headers = answer.headers().clone();
        let model = answer
            .into_model()
            .map_err(|error| error::of_client(&error, &self.text))?;
        let marked = convert(model, &headers)
            .map_err(|part| error::invalid(&self.text, &format!("there is no {part} in it")))?;
        let asked = call.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Read {
            marked,
            asked: asked.unwrap_or_else(Instant::now),
        })
    }
}

fn context(call: &Arc<Call>) -> ClientMethodOptions<'static> {
    ClientMethodOptions {
        context: Context::new().with_value(call.clone()),
    }
}

fn version(object: &ObjectRef) -> Option<String> {
    object.version.as_ref().map(|version| version.as_str().to_owned())
}

/// Tokens are put on requests by our policy, below Microsoft's, which therefore never sees a challenge.
struct ByPolicy;

impl fmt::Debug for ByPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ByPolicy")
    }
}

#[async_trait::async_trait]
impl TokenCredential for ByPolicy {
    async fn get_token(&self, _: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        Err(azure_core::Error::with_message(
            ErrorKind::Credential,
            "tokens are obtained by the vault policy",
        ))
    }
}
