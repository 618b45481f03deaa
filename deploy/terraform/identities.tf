# Four accounts, none with a key, none with a role on the whole project but those that BigQuery knows only there.
locals {
  runner         = "serviceAccount:${google_service_account.runner.email}"
  starter        = "serviceAccount:${google_service_account.starter.email}"
  pusher         = "serviceAccount:${google_service_account.pusher.email}"
  builder        = "serviceAccount:${google_service_account.builder.email}"
  pubsub_service = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_service_account" "runner" {
  account_id   = "penstock-runner"
  display_name = "Runs Penstock"
}

resource "google_service_account" "starter" {
  account_id   = "penstock-starter"
  display_name = "Begins Penstock's jobs, for Cloud Scheduler"
}

resource "google_service_account" "pusher" {
  account_id   = "penstock-pusher"
  display_name = "Whom Pub/Sub's pushes say they are from"
}

resource "google_service_account" "builder" {
  account_id   = "penstock-builder"
  display_name = "Pushes Penstock's image"
}

# Queries and load jobs, Storage Read sessions.
resource "google_project_iam_member" "runner" {
  for_each = toset(["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"])
  project  = var.project_id
  role     = each.value
  member   = local.runner
}

resource "google_bigquery_dataset_iam_member" "runner" {
  for_each   = google_bigquery_dataset.dataset
  dataset_id = each.value.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = local.runner
}

resource "google_pubsub_topic_iam_member" "runner_publishes" {
  for_each = toset(["roles/pubsub.publisher", "roles/pubsub.viewer"])
  topic    = google_pubsub_topic.topic["shop.public.customers"].id
  role     = each.value
  member   = local.runner
}

resource "google_pubsub_topic_iam_member" "runner_publishes_orders" {
  for_each = toset(["roles/pubsub.publisher", "roles/pubsub.viewer"])
  topic    = google_pubsub_topic.topic["shop.public.orders"].id
  role     = each.value
  member   = local.runner
}

resource "google_pubsub_subscription_iam_member" "runner_reads" {
  for_each     = toset(["roles/pubsub.subscriber", "roles/pubsub.viewer"])
  subscription = google_pubsub_subscription.pull[var.events_topic].name
  role         = each.value
  member       = local.runner
}

resource "google_storage_bucket_iam_member" "runner_archives" {
  bucket = google_storage_bucket.archive.name
  role   = "roles/storage.objectUser"
  member = local.runner
}

resource "google_secret_manager_secret_iam_member" "runner" {
  for_each  = google_secret_manager_secret.secret
  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.runner
}

resource "google_cloud_run_v2_job_iam_member" "starter" {
  name     = google_cloud_run_v2_job.drain.name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.starter
}

resource "google_cloud_run_v2_service_iam_member" "pusher" {
  name     = google_cloud_run_v2_service.serve.name
  location = var.region
  role     = "roles/run.invoker"
  member   = local.pusher
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  repository = google_artifact_registry_repository.penstock.name
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = local.builder
}
