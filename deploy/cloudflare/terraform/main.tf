# What README.md beside this folder does by commands, for whom Terraform describes the account: a namespace, the Worker, its
# versions and how visitors are shared out among them, and its routes. One state for each environment:
#
#     terraform workspace new staging && terraform apply -var-file=staging.tfvars
#
# What is in the namespace stays with Queue-it's push and `velvetrope publish`. Counting and the Worker that manages, which
# keep Durable Objects, are left to wrangler.

terraform {
  required_version = ">= 1.9"
  required_providers {
    cloudflare = {
      source  = "cloudflare/cloudflare"
      version = "5.14.0"
    }
  }
}

# The token comes from CLOUDFLARE_API_TOKEN: Workers Scripts, Workers KV Storage and Workers Routes, each to edit.
provider "cloudflare" {}

# Step 1: the namespace.
resource "cloudflare_workers_kv_namespace" "configuration" {
  account_id = var.account_id
  title      = "${var.name}-IntegrationConfigKV"
}

# Step 2: the Worker. Without a route it sees no visitors.
resource "cloudflare_worker" "rope" {
  account_id    = var.account_id
  name          = var.name
  observability = { enabled = true }
  subdomain     = { enabled = false, previews_enabled = false }
}

locals {
  secrets = { for name, text in {
    QUEUEIT_SECRETKEY          = var.secret_key
    QUEUEIT_SECRETKEY_PREVIOUS = var.secret_key_previous
  } : name => text if text != "" }
}

# Steps 2 and 3: the modules, and what they are bound to. A change makes another version; the one before goes on until
# the deployment below names it no longer.
resource "cloudflare_worker_version" "rope" {
  account_id         = var.account_id
  worker_id          = cloudflare_worker.rope.id
  compatibility_date = "2026-04-01"
  main_module        = "index.js"

  modules = [for file in fileset(var.modules, "*.{js,wasm}") : {
    name         = file
    content_file = "${var.modules}/${file}"
    content_type = endswith(file, ".wasm") ? "application/wasm" : "application/javascript+module"
  }]

  bindings = concat(
    [{
      type         = "kv_namespace"
      name         = "IntegrationConfigKV"
      namespace_id = cloudflare_workers_kv_namespace.configuration.id
    }],
    [for name, text in merge({ QUEUEIT_CUSTOMERID = var.customer_id }, var.variables) : {
      type = "plain_text"
      name = name
      text = text
    }],
    [for name, text in local.secrets : {
      type = "secret_text"
      name = name
      text = text
    }],
  )

  lifecycle {
    create_before_destroy = true
  }
}

# Gradual rollout: the new version takes `rollout.percentage`, the one that is named the rest.
resource "cloudflare_workers_deployment" "rope" {
  account_id  = var.account_id
  script_name = cloudflare_worker.rope.name
  strategy    = "percentage"

  versions = concat(
    [{
      version_id = cloudflare_worker_version.rope.id
      percentage = var.rollout == null ? 100 : var.rollout.percentage
    }],
    var.rollout == null ? [] : [{
      version_id = var.rollout.other_version
      percentage = 100 - var.rollout.percentage
    }],
  )
}

# Step 5: the route. The host needs a proxied DNS record.
resource "cloudflare_workers_route" "rope" {
  for_each = toset(var.hosts)

  zone_id = var.zone_id
  pattern = "${each.value}/*"
  script  = cloudflare_worker.rope.name

  # What a route leads to must be deployed.
  depends_on = [cloudflare_workers_deployment.rope]
}

# Routes that let assets past the Worker: without a script, and more specific than the ones above.
resource "cloudflare_workers_route" "past" {
  for_each = toset(var.past)

  zone_id = var.zone_id
  pattern = each.value
}
