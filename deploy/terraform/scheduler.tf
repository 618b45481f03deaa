resource "google_cloud_scheduler_job" "drain" {
  name             = google_cloud_run_v2_job.drain.name
  description      = "Begins a run of ${var.drain_pipeline}"
  region           = var.region
  schedule         = var.drain_schedule
  time_zone        = "Etc/UTC"
  attempt_deadline = "60s"

  retry_config {
    retry_count = 2
  }

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/${google_cloud_run_v2_job.drain.id}:run"
    oauth_token {
      service_account_email = google_service_account.starter.email
    }
  }
}
