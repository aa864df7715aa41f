# velvetrope on Cloud Run as a traffic extension of a global external Application Load Balancer that exists already.

terraform {
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.41"
    }
  }
}

variable "project" { type = string }
variable "region" { type = string }
variable "image" {
  type        = string
  description = "What `docker push` has put into Artifact Registry."
}
variable "forwarding_rule" {
  type        = string
  description = "The load balancer's forwarding rule, by its self link."
}
variable "host" {
  type        = string
  description = "The site: www.example.com."
}
variable "secret" {
  type        = string
  description = "The secret of Secret Manager that holds Queue-it's secret key."
}

provider "google" {
  project = var.project
  region  = var.region
}

resource "google_service_account" "velvetrope" {
  account_id = "velvetrope"
}

resource "google_secret_manager_secret_iam_member" "velvetrope" {
  secret_id = var.secret
  role      = "roles/secretmanager.secretAccessor"
  member    = "serviceAccount:${google_service_account.velvetrope.email}"
}

resource "google_cloud_run_v2_service" "velvetrope" {
  name     = "velvetrope"
  location = var.region
  ingress  = "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"

  template {
    service_account                  = google_service_account.velvetrope.email
    timeout                          = "3600s"
    max_instance_request_concurrency = 1000

    scaling {
      min_instance_count = 2
    }

    containers {
      image = var.image
      ports {
        name           = "h2c"
        container_port = 8080
      }
      env {
        name = "VELVETROPE_SECRET"
        value_source {
          secret_key_ref {
            secret  = var.secret
            version = "latest"
          }
        }
      }
      # The policy is renewed between requests, too.
      resources {
        cpu_idle = false
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.velvetrope]
}

# The load balancer asks without credentials; from elsewhere nobody reaches it, see `ingress`.
resource "google_cloud_run_v2_service_iam_member" "load_balancer" {
  name     = google_cloud_run_v2_service.velvetrope.name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_compute_region_network_endpoint_group" "velvetrope" {
  name                  = "velvetrope"
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = google_cloud_run_v2_service.velvetrope.name
  }
}

resource "google_compute_backend_service" "velvetrope" {
  name                  = "velvetrope"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTP2"

  backend {
    group = google_compute_region_network_endpoint_group.velvetrope.id
  }
}

resource "google_network_services_lb_traffic_extension" "waiting_room" {
  name                  = "waiting-room"
  location              = "global"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  forwarding_rules      = [var.forwarding_rule]

  extension_chains {
    name = "pages"

    match_condition {
      cel_expression = "request.host == '${var.host}' && !request.path.startsWith('/static/')"
    }

    extensions {
      name               = "velvetrope"
      authority          = "callout.example"
      service            = google_compute_backend_service.velvetrope.self_link
      supported_events   = ["REQUEST_HEADERS", "RESPONSE_HEADERS"]
      forward_attributes = ["source.ip", "request.protocol"]
      timeout            = "0.5s"
      fail_open          = true
      metadata           = { velvetrope = var.host }
    }
  }
}
