# Identities at Entra ID for controller, env injector and one team, by workload identity. Resources are those of the provider azurerm 5, as its pages
# describe them; NOT EXECUTED BY US: neither planned nor applied. A test compares names, subjects and audience with the chart, and no more.

terraform {
  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "~> 5.0"
    }
  }
}

provider "azurerm" {
  features {}
}

variable "resource_group" {
  description = "The group of cluster, vault and identities."
  type        = string
}

variable "cluster" {
  description = "The AKS cluster, with OIDC issuer and workload identity enabled."
  type        = string
}

variable "vault" {
  description = "The vault, with Azure role-based access control."
  type        = string
}

data "azurerm_kubernetes_cluster" "this" {
  name                = var.cluster
  resource_group_name = var.resource_group
}

data "azurerm_key_vault" "this" {
  name                = var.vault
  resource_group_name = var.resource_group
}

locals {
  # Entra ID exchanges tokens for this audience only.
  audience = ["api://AzureADTokenExchange"]
  # Who becomes which identity. Controller and env injector share one, as with the chart's workloadIdentity.clientId.
  subjects = {
    controller  = { identity = "akv2k8s", subject = "system:serviceaccount:akv2k8s:akv2k8s-controller" }
    envinjector = { identity = "akv2k8s", subject = "system:serviceaccount:akv2k8s:akv2k8s-envinjector" }
    shop        = { identity = "akv2k8s-shop", subject = "system:serviceaccount:shop:vault-reader" }
  }
}

resource "azurerm_user_assigned_identity" "this" {
  for_each            = toset(["akv2k8s", "akv2k8s-shop"])
  name                = each.key
  resource_group_name = var.resource_group
  location            = data.azurerm_kubernetes_cluster.this.location
}

# In azurerm 4 the identity is parent_id, and resource_group_name is given besides.
resource "azurerm_federated_identity_credential" "this" {
  for_each                  = local.subjects
  name                      = each.key
  user_assigned_identity_id = azurerm_user_assigned_identity.this[each.value.identity].id
  issuer                    = data.azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = each.value.subject
  audience                  = local.audience
}

# For secrets alone. What other objects need: docs/controller.md.
resource "azurerm_role_assignment" "this" {
  for_each             = azurerm_user_assigned_identity.this
  scope                = data.azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = each.value.principal_id
}

# Values of the chart: workloadIdentity.enabled=true and workloadIdentity.clientId=…
output "akv2k8s_client_id" {
  value = azurerm_user_assigned_identity.this["akv2k8s"].client_id
}

# Annotation azure.workload.identity/client-id of the ServiceAccount shop/vault-reader.
output "shop_client_id" {
  value = azurerm_user_assigned_identity.this["akv2k8s-shop"].client_id
}
