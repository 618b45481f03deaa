resource "google_project_service" "needed" {
  for_each = toset([
    "artifactregistry", "bigquery", "bigquerystorage", "billingbudgets", "cloudscheduler", "compute", "dns", "iam",
    "monitoring", "pubsub", "run", "secretmanager", "sqladmin", "storage",
  ])
  service            = "${each.value}.googleapis.com"
  disable_on_destroy = false
}
