resource "google_artifact_registry_repository" "penstock" {
  repository_id = "penstock"
  location      = var.region
  format        = "DOCKER"
  description   = "Penstock's images"
  docker_config {
    immutable_tags = true
  }
  cleanup_policies {
    id     = "keep-the-newest"
    action = "KEEP"
    most_recent_versions {
      keep_count = 10
    }
  }
  cleanup_policies {
    id     = "drop-the-old"
    action = "DELETE"
    condition {
      older_than = "7776000s"
    }
  }
  depends_on = [google_project_service.needed]
}
