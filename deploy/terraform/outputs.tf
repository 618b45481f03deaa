output "service" {
  description = "Where serve is reached, from within."
  value       = google_cloud_run_v2_service.serve.uri
}

output "registry" {
  description = "Where the image is pushed to."
  value       = "${var.region}-docker.pkg.dev/${var.project_id}/${google_artifact_registry_repository.penstock.repository_id}"
}

output "database_host" {
  description = "The database's name within the network."
  value       = local.shop_host
}
