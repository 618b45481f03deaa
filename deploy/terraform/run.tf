# The scheduler and the HTTP triggers.
resource "google_cloud_run_v2_service" "serve" {
  name                = "penstock"
  location            = var.region
  ingress             = "INGRESS_TRAFFIC_INTERNAL_ONLY"
  deletion_protection = true

  template {
    service_account                  = google_service_account.runner.email
    timeout                          = "600s"
    max_instance_request_concurrency = 40
    execution_environment            = "EXECUTION_ENVIRONMENT_GEN2"

    # The scheduler works between requests.
    scaling {
      min_instance_count = 1
      max_instance_count = 3
    }

    vpc_access {
      egress = "ALL_TRAFFIC"
      network_interfaces {
        network    = google_compute_network.penstock.name
        subnetwork = google_compute_subnetwork.run.name
      }
    }

    containers {
      image = var.image
      args  = ["serve", "--listen", "0.0.0.0:8080", "--workers", "2", "--grace-period", "8"]
      ports {
        container_port = 8080
      }
      resources {
        limits = {
          cpu    = "2"
          memory = "2Gi"
        }
        cpu_idle = false
      }
      startup_probe {
        period_seconds    = 2
        timeout_seconds   = 2
        failure_threshold = 30
        http_get {
          path = "/healthz"
        }
      }
      liveness_probe {
        period_seconds    = 30
        timeout_seconds   = 5
        failure_threshold = 4
        http_get {
          path = "/healthz"
        }
      }
      env {
        name  = "GOOGLE_CLOUD_PROJECT"
        value = var.project_id
      }
      dynamic "env" {
        for_each = local.secret_variables
        content {
          name = env.key
          value_source {
            secret_key_ref {
              secret  = env.value
              version = "latest"
            }
          }
        }
      }
      dynamic "volume_mounts" {
        for_each = local.secret_files
        content {
          name       = volume_mounts.key
          mount_path = volume_mounts.value.folder
        }
      }
    }

    dynamic "volumes" {
      for_each = local.secret_files
      content {
        name = volumes.key
        secret {
          secret = volumes.value.secret
          items {
            version = "latest"
            path    = volumes.value.file
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.runner,
    google_secret_manager_secret_version.config,
    google_secret_manager_secret_version.shop_tls,
    google_secret_manager_secret_version.shop_url,
    google_secret_manager_secret_version.state_url,
  ]
}

# A change stream, read up to what is there now.
resource "google_cloud_run_v2_job" "drain" {
  name                = "penstock-${replace(var.drain_pipeline, "_", "-")}"
  location            = var.region
  deletion_protection = true

  template {
    task_count  = 1
    parallelism = 1
    template {
      service_account       = google_service_account.runner.email
      timeout               = "3600s"
      max_retries           = 1
      execution_environment = "EXECUTION_ENVIRONMENT_GEN2"

      vpc_access {
        egress = "ALL_TRAFFIC"
        network_interfaces {
          network    = google_compute_network.penstock.name
          subnetwork = google_compute_subnetwork.run.name
        }
      }

      containers {
        image = var.image
        args  = ["run", var.drain_pipeline, "--drain"]
        resources {
          limits = {
            cpu    = "2"
            memory = "2Gi"
          }
        }
        env {
          name  = "GOOGLE_CLOUD_PROJECT"
          value = var.project_id
        }
        dynamic "env" {
          for_each = local.secret_variables
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = env.value
                version = "latest"
              }
            }
          }
        }
        dynamic "volume_mounts" {
          for_each = local.secret_files
          content {
            name       = volume_mounts.key
            mount_path = volume_mounts.value.folder
          }
        }
      }

      dynamic "volumes" {
        for_each = local.secret_files
        content {
          name = volumes.key
          secret {
            secret = volumes.value.secret
            items {
              version = "latest"
              path    = volumes.value.file
            }
          }
        }
      }
    }
  }

  depends_on = [
    google_secret_manager_secret_iam_member.runner,
    google_secret_manager_secret_version.config,
    google_secret_manager_secret_version.shop_tls,
    google_secret_manager_secret_version.shop_url,
    google_secret_manager_secret_version.state_url,
  ]
}

locals {
  secret_variables = {
    SHOP_URL  = google_secret_manager_secret.secret["penstock-shop-url"].secret_id
    STATE_URL = google_secret_manager_secret.secret["penstock-state-url"].secret_id
  }
  secret_files = {
    configuration = {
      secret = google_secret_manager_secret.secret["penstock-config"].secret_id
      folder = "/etc/penstock"
      file   = "penstock.yaml"
    }
    tls = {
      secret = google_secret_manager_secret.secret["penstock-shop-tls"].secret_id
      folder = "/etc/penstock-tls"
      file   = "server-ca.pem"
    }
  }
}
