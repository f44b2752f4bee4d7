//! Keeps Kubernetes Secrets and ConfigMaps equal to objects in Azure Key Vault.

pub mod output;
