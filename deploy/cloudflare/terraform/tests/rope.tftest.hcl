# What the files beside this folder plan, without an account: `terraform test`.

mock_provider "cloudflare" {}

variables {
  account_id  = "00000000000000000000000000000000"
  zone_id     = "00000000000000000000000000000000"
  customer_id = "acme"
  secret_key  = "not-a-secret"
}

run "the_worker_alone" {
  assert {
    condition     = length(cloudflare_workers_route.rope) == 0 && length(cloudflare_workers_route.past) == 0
    error_message = "Without a host there is no route."
  }
  assert {
    condition     = tolist([for version in cloudflare_workers_deployment.rope.versions : version.percentage]) == tolist([100])
    error_message = "The new version has all requests."
  }
  assert {
    condition     = contains([for module in cloudflare_worker_version.rope.modules : module.name], "index.js")
    error_message = "The main module is there: build the Worker first."
  }
  # In lists of objects, Terraform leaves out silently what a provider does not know.
  assert {
    condition     = alltrue([for module in cloudflare_worker_version.rope.modules : fileexists(module.content_file)])
    error_message = "Every module has its file."
  }
  assert {
    condition = toset([
      for bound in nonsensitive(cloudflare_worker_version.rope.bindings) :
      "${bound.type} ${bound.name} ${coalesce(bound.text, bound.namespace_id)}"
      ]) == toset([
      "kv_namespace IntegrationConfigKV ${cloudflare_workers_kv_namespace.configuration.id}",
      "plain_text QUEUEIT_CUSTOMERID acme",
      "secret_text QUEUEIT_SECRETKEY not-a-secret",
    ])
    error_message = "The namespace, the account and the key are bound, and a key that there is not is not."
  }
}

run "a_site" {
  variables {
    hosts               = ["www.example.com", "tickets.example.com"]
    past                = ["www.example.com/assets/*"]
    secret_key_previous = "not-a-secret-either"
    variables           = { VELVETROPE_ON_FAILURE = "closed" }
  }

  assert {
    condition = toset([for route in cloudflare_workers_route.rope : "${route.pattern} ${route.script}"]) == toset([
      "www.example.com/* velvetrope", "tickets.example.com/* velvetrope",
    ])
    error_message = "Every host has its route to the Worker."
  }
  assert {
    condition     = cloudflare_workers_route.past["www.example.com/assets/*"].script == null
    error_message = "Assets go past the Worker."
  }
  assert {
    condition     = length(nonsensitive(cloudflare_worker_version.rope.bindings)) == 5
    error_message = "Both keys are bound, and the variable."
  }
}

run "a_rollout" {
  variables {
    rollout = { percentage = 10, other_version = "bcf48806-b317-4351-9ee7-36e7d557d4de" }
  }

  assert {
    condition     = tolist([for version in cloudflare_workers_deployment.rope.versions : version.percentage]) == tolist([10, 90])
    error_message = "Both versions together have all requests."
  }
}

run "a_rollout_of_everything" {
  command = plan
  variables {
    rollout = { percentage = 100, other_version = "bcf48806-b317-4351-9ee7-36e7d557d4de" }
  }

  expect_failures = [var.rollout]
}
