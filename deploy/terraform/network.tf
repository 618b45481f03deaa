resource "google_compute_network" "penstock" {
  name                    = "penstock"
  auto_create_subnetworks = false
  depends_on              = [google_project_service.needed]
}

# Cloud Run's instances have their addresses here (direct VPC egress).
resource "google_compute_subnetwork" "run" {
  name                     = "penstock-run"
  network                  = google_compute_network.penstock.id
  region                   = var.region
  ip_cidr_range            = "10.10.0.0/24"
  private_ip_google_access = true
  log_config {
    aggregation_interval = "INTERVAL_5_SEC"
    flow_sampling        = 0.5
  }
}

# The one address of the database within our network.
resource "google_compute_subnetwork" "database" {
  name                     = "penstock-database"
  network                  = google_compute_network.penstock.id
  region                   = var.region
  ip_cidr_range            = "10.10.1.0/28"
  private_ip_google_access = true
}

# Nothing comes in, and out go only PostgreSQL to the database's address and HTTPS.
resource "google_compute_firewall" "no_ingress" {
  name      = "penstock-no-ingress"
  network   = google_compute_network.penstock.id
  direction = "INGRESS"
  priority  = 65000
  deny {
    protocol = "all"
  }
  source_ranges = ["0.0.0.0/0"]
}

resource "google_compute_firewall" "no_egress" {
  name      = "penstock-no-egress"
  network   = google_compute_network.penstock.id
  direction = "EGRESS"
  priority  = 65000
  deny {
    protocol = "all"
  }
  destination_ranges = ["0.0.0.0/0"]
}

resource "google_compute_firewall" "to_database" {
  name      = "penstock-to-database"
  network   = google_compute_network.penstock.id
  direction = "EGRESS"
  priority  = 1000
  allow {
    protocol = "tcp"
    ports    = ["5432"]
  }
  destination_ranges = ["${google_compute_address.shop.address}/32"]
}

resource "google_compute_firewall" "to_google" {
  name      = "penstock-to-google"
  network   = google_compute_network.penstock.id
  direction = "EGRESS"
  priority  = 1000
  allow {
    protocol = "tcp"
    ports    = ["443"]
  }
  # private.googleapis.com and restricted.googleapis.com
  destination_ranges = ["199.36.153.4/30", "199.36.153.8/30"]
}
