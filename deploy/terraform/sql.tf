# PostgreSQL: reached by Private Service Connect alone, over TLS alone, with logical decoding. Its certificate is of Google's authority
# and names the instance's DNS name, so that clients can ask for sslmode=verify-full.
resource "google_sql_database_instance" "shop" {
  name                = "penstock-shop"
  database_version    = "POSTGRES_17"
  region              = var.region
  deletion_protection = true
  depends_on          = [google_project_service.needed]

  settings {
    tier                        = "db-custom-2-7680"
    edition                     = "ENTERPRISE"
    availability_type           = "REGIONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = 50
    disk_autoresize             = true
    disk_autoresize_limit       = 500
    deletion_protection_enabled = true

    ip_configuration {
      ipv4_enabled   = false
      ssl_mode       = "ENCRYPTED_ONLY"
      server_ca_mode = "GOOGLE_MANAGED_CAS_CA"
      psc_config {
        psc_enabled               = true
        allowed_consumer_projects = [var.project_id]
      }
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      point_in_time_recovery_enabled = true
      transaction_log_retention_days = 7
      backup_retention_settings {
        retained_backups = 30
      }
    }

    database_flags {
      name  = "cloudsql.logical_decoding"
      value = "on"
    }
    # A slot that nobody reads is dropped before the disk is full.
    database_flags {
      name  = "max_slot_wal_keep_size"
      value = "20480"
    }
    database_flags {
      name  = "log_connections"
      value = "on"
    }
    database_flags {
      name  = "log_disconnections"
      value = "on"
    }

    insights_config {
      query_insights_enabled = true
    }

    maintenance_window {
      day          = 7
      hour         = 3
      update_track = "stable"
    }
  }
}

resource "google_sql_database" "shop" {
  name     = "shop"
  instance = google_sql_database_instance.shop.name
}

# Run history, locks, the scheduler's windows: what replicas of serve share.
resource "google_sql_database" "state" {
  name     = "penstock"
  instance = google_sql_database_instance.shop.name
}

resource "google_sql_user" "shop" {
  name                = "penstock"
  instance            = google_sql_database_instance.shop.name
  password_wo         = var.shop_password
  password_wo_version = var.passwords_version
}

resource "google_sql_user" "state" {
  name                = "penstock_state"
  instance            = google_sql_database_instance.shop.name
  password_wo         = var.state_password
  password_wo_version = var.passwords_version
}

resource "google_compute_address" "shop" {
  name         = "penstock-shop"
  region       = var.region
  address_type = "INTERNAL"
  subnetwork   = google_compute_subnetwork.database.id
}

resource "google_compute_forwarding_rule" "shop" {
  name                  = "penstock-shop"
  region                = var.region
  network               = google_compute_network.penstock.id
  ip_address            = google_compute_address.shop.id
  load_balancing_scheme = ""
  target                = google_sql_database_instance.shop.psc_service_attachment_link
}
