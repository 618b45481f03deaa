# The instance's own DNS name, which its certificate has, leads to our address of it.
resource "google_dns_managed_zone" "shop" {
  name       = "penstock-shop"
  dns_name   = google_sql_database_instance.shop.dns_name
  visibility = "private"
  private_visibility_config {
    networks {
      network_url = google_compute_network.penstock.id
    }
  }
}

resource "google_dns_record_set" "shop" {
  name         = google_sql_database_instance.shop.dns_name
  managed_zone = google_dns_managed_zone.shop.name
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_address.shop.address]
}

# Google's APIs by addresses that never leave Google's network.
resource "google_dns_managed_zone" "googleapis" {
  name       = "penstock-googleapis"
  dns_name   = "googleapis.com."
  visibility = "private"
  private_visibility_config {
    networks {
      network_url = google_compute_network.penstock.id
    }
  }
}

resource "google_dns_record_set" "googleapis" {
  name         = "private.googleapis.com."
  managed_zone = google_dns_managed_zone.googleapis.name
  type         = "A"
  ttl          = 300
  rrdatas      = ["199.36.153.8", "199.36.153.9", "199.36.153.10", "199.36.153.11"]
}

resource "google_dns_record_set" "googleapis_all" {
  name         = "*.googleapis.com."
  managed_zone = google_dns_managed_zone.googleapis.name
  type         = "CNAME"
  ttl          = 300
  rrdatas      = ["private.googleapis.com."]
}
