locals {
  # What is published to, and whether order is kept by key.
  topics = {
    (var.events_topic)      = { ordered = false }
    "shop.public.customers" = { ordered = true }
    "shop.public.orders"    = { ordered = true }
    "billing"               = { ordered = false }
  }
  pull = { for name, topic in local.topics : name => topic if name != "billing" }
}

resource "google_pubsub_topic" "topic" {
  for_each                   = local.topics
  name                       = each.key
  message_retention_duration = "604800s"
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
  depends_on = [google_project_service.needed]
}

# What was delivered ten times in vain. Each has a subscription, or it would reach nobody, and an alert (alerts.tf).
resource "google_pubsub_topic" "dead" {
  for_each                   = local.topics
  name                       = "${each.key}-dead"
  message_retention_duration = "604800s"
  depends_on                 = [google_project_service.needed]
}

resource "google_pubsub_subscription" "dead" {
  for_each                   = local.topics
  name                       = "${each.key}-dead-sub"
  topic                      = google_pubsub_topic.dead[each.key].id
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "pull" {
  for_each                   = local.pull
  name                       = "${each.key}-sub"
  topic                      = google_pubsub_topic.topic[each.key].id
  ack_deadline_seconds       = 60
  enable_message_ordering    = each.value.ordered
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead[each.key].id
    max_delivery_attempts = 10
  }
}

# Messages that start a pipeline by its `trigger`.
resource "google_pubsub_subscription" "billing" {
  name                       = "billing-push"
  topic                      = google_pubsub_topic.topic["billing"].id
  ack_deadline_seconds       = 600
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }
  push_config {
    push_endpoint = "${google_cloud_run_v2_service.serve.uri}/billing"
    oidc_token {
      service_account_email = google_service_account.pusher.email
      audience              = google_cloud_run_v2_service.serve.uri
    }
  }
  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }
  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead["billing"].id
    max_delivery_attempts = 10
  }
}

# Pub/Sub itself moves what is dead.
resource "google_pubsub_topic_iam_member" "service_buries" {
  for_each = local.topics
  topic    = google_pubsub_topic.dead[each.key].id
  role     = "roles/pubsub.publisher"
  member   = local.pubsub_service
}

resource "google_pubsub_subscription_iam_member" "service_takes" {
  for_each     = local.pull
  subscription = google_pubsub_subscription.pull[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_service
}

resource "google_pubsub_subscription_iam_member" "service_takes_billing" {
  subscription = google_pubsub_subscription.billing.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_service
}
