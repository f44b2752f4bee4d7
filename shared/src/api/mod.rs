//! The `AzureKeyVaultSecret` custom resource.
