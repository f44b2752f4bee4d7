//! The look-up that an installation's configuration asks for.

use std::sync::Arc;
use std::time::Duration;

use akv2k8s_shared::http::{HttpClient, Limits};
use akv2k8s_shared::identity::{AuthType, Provider};

use super::{Registries, Settings};
use crate::admission::{ImageLookup, LookUpsOff};
use crate::config::Config;

/// What a look-up may take of the ten seconds that the API server waits for the webhook.
const LONGEST: Duration = Duration::from_secs(8);

/// Whoever answers questions about images: registries, or nobody where the installation says so. `kube` reads pull secrets.
///
/// # Errors
/// A variable cannot be used; the message names it.
pub fn open(config: &Config, kube: kube::Client) -> anyhow::Result<Arc<dyn ImageLookup>> {
    if !config.look_ups {
        return Ok(Arc::new(LookUpsOff));
    }
    let environment = &config.environment;
    let settings = Settings::from_environment(environment, LONGEST)?;
    let identity = if settings.acr_identity {
        let http = HttpClient::from_environment(environment, Limits::default())?;
        let auth_type = AuthType::from_environment(environment)?;
        let cloud_config = config.args.cloudconfig.clone();
        Some(Provider::new(environment.clone(), auth_type, cloud_config, http))
    } else {
        None
    };
    Ok(Arc::new(Registries::new(environment, settings, kube, identity)?))
}
