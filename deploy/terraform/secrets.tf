# What Cloud Run is given as variables and files. URLs with passwords are written and never read back: they are not in the state.
locals {
  shop_host = trimsuffix(google_sql_database_instance.shop.dns_name, ".")
  tls       = "sslmode=verify-full&sslrootcert=/etc/penstock-tls/server-ca.pem"
}

resource "google_secret_manager_secret" "secret" {
  for_each  = toset(["penstock-config", "penstock-shop-tls", "penstock-shop-url", "penstock-state-url"])
  secret_id = each.value
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
  depends_on = [google_project_service.needed]
}

resource "google_secret_manager_secret_version" "config" {
  secret      = google_secret_manager_secret.secret["penstock-config"].id
  secret_data = file(var.configuration)
}

# The authority that the database's certificate is of.
resource "google_secret_manager_secret_version" "shop_tls" {
  secret      = google_secret_manager_secret.secret["penstock-shop-tls"].id
  secret_data = google_sql_database_instance.shop.server_ca_cert[0].cert
}

resource "google_secret_manager_secret_version" "shop_url" {
  secret                 = google_secret_manager_secret.secret["penstock-shop-url"].id
  secret_data_wo         = "postgresql://penstock:${var.shop_password}@${local.shop_host}/shop?${local.tls}"
  secret_data_wo_version = var.passwords_version
}

resource "google_secret_manager_secret_version" "state_url" {
  secret                 = google_secret_manager_secret.secret["penstock-state-url"].id
  secret_data_wo         = "postgres://penstock_state:${var.state_password}@${local.shop_host}/penstock?${local.tls}"
  secret_data_wo_version = var.passwords_version
}
