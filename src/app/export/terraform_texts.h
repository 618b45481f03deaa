#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace penstock::app {

/// Blocks of Terraform's language that stand as they are; what they go through are locals that terraform.cc writes.

inline constexpr std::string_view terraform_versions = R"(terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

data "google_project" "this" {
  project_id = var.project_id
}
)";

inline constexpr std::string_view terraform_region = R"(
variable "region" {
  description = "Where messages and secrets are kept."
  type        = string
  default     = "us-central1"
}
)";

/// With a place for the value.
inline constexpr fmt::format_string<std::string> terraform_location = R"(
variable "bigquery_location" {{
  description = "Where the datasets lie."
  type        = string
  default     = {}
}}
)";

inline constexpr fmt::format_string<int64_t> terraform_budget_variables = R"(
variable "billing_account" {{
  description = "The billing account (XXXXXX-XXXXXX-XXXXXX) of the project, for the budget."
  type        = string
}}

variable "monthly_budget_usd" {{
  description = "What the project may cost a month: 31 times what the pipelines' budgets allow a day. It warns, it stops nothing."
  type        = number
  default     = {}
}}

variable "alert_email" {{
  description = "Who hears of the budget."
  type        = string
}}
)";

inline constexpr std::string_view terraform_subscriptions = R"(
# What was delivered ten times in vain. Each has a subscription, or it would reach nobody.
resource "google_pubsub_topic" "dead" {
  for_each                   = local.subscriptions
  name                       = "${each.key}-dead"
  message_retention_duration = "604800s"
}

resource "google_pubsub_subscription" "dead" {
  for_each                   = local.subscriptions
  name                       = "${each.key}-dead-sub"
  topic                      = google_pubsub_topic.dead[each.key].id
  message_retention_duration = "604800s"
  expiration_policy {
    ttl = ""
  }
}

resource "google_pubsub_subscription" "read" {
  for_each                   = local.subscriptions
  name                       = each.key
  topic                      = google_pubsub_topic.topic[lookup(local.topic_of, each.key, "${each.key}-topic")].id
  ack_deadline_seconds       = 60
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

# Pub/Sub itself moves what is dead.
resource "google_pubsub_topic_iam_member" "service_buries" {
  for_each = local.subscriptions
  topic    = google_pubsub_topic.dead[each.key].id
  role     = "roles/pubsub.publisher"
  member   = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription_iam_member" "service_takes" {
  for_each     = local.subscriptions
  subscription = google_pubsub_subscription.read[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}
)";

inline constexpr std::string_view terraform_topics = R"(
resource "google_pubsub_topic" "topic" {
  for_each                   = local.all_topics
  name                       = each.key
  message_retention_duration = "604800s"
  message_storage_policy {
    allowed_persistence_regions = [var.region]
  }
}
)";

inline constexpr std::string_view terraform_datasets = R"(
resource "google_bigquery_dataset" "dataset" {
  for_each                   = local.datasets
  dataset_id                 = each.key
  location                   = var.bigquery_location
  max_time_travel_hours      = "168"
  delete_contents_on_destroy = false
}
)";

inline constexpr std::string_view terraform_account = R"(
# What runs Penstock. It has no key, and no role on the project but those that BigQuery knows only there.
resource "google_service_account" "runner" {
  account_id   = "penstock-runner"
  display_name = "Runs Penstock"
}
)";

inline constexpr std::string_view terraform_queries = R"(
# Queries and load jobs, Storage Read sessions.
resource "google_project_iam_member" "runner" {
  for_each = toset(["roles/bigquery.jobUser", "roles/bigquery.readSessionUser"])
  project  = var.project_id
  role     = each.value
  member   = local.runner
}
)";

inline constexpr std::string_view terraform_writes_datasets = R"(
resource "google_bigquery_dataset_iam_member" "runner_writes" {
  for_each   = google_bigquery_dataset.dataset
  dataset_id = each.value.dataset_id
  role       = "roles/bigquery.dataEditor"
  member     = local.runner
}
)";

inline constexpr std::string_view terraform_reads_datasets = R"(
resource "google_bigquery_dataset_iam_member" "runner_reads" {
  for_each   = local.read_datasets
  dataset_id = each.key
  role       = "roles/bigquery.dataViewer"
  member     = local.runner
}
)";

inline constexpr std::string_view terraform_reads_subscriptions = R"(
resource "google_pubsub_subscription_iam_member" "runner_reads" {
  for_each     = google_pubsub_subscription.read
  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.runner
}

# To look at them: `penstock doctor`, and the deadline that acknowledgements have.
resource "google_pubsub_subscription_iam_member" "runner_looks" {
  for_each     = google_pubsub_subscription.read
  subscription = each.value.name
  role         = "roles/pubsub.viewer"
  member       = local.runner
}
)";

inline constexpr std::string_view terraform_publishes = R"(
resource "google_pubsub_topic_iam_member" "runner_publishes" {
  for_each = local.topics
  topic    = google_pubsub_topic.topic[each.key].id
  role     = "roles/pubsub.publisher"
  member   = local.runner
}

resource "google_pubsub_topic_iam_member" "runner_looks" {
  for_each = local.topics
  topic    = google_pubsub_topic.topic[each.key].id
  role     = "roles/pubsub.viewer"
  member   = local.runner
}
)";

inline constexpr std::string_view terraform_uses_buckets = R"(
# The buckets are there already.
resource "google_storage_bucket_iam_member" "runner" {
  for_each = local.buckets
  bucket   = each.key
  role     = "roles/storage.objectUser"
  member   = local.runner
}
)";

inline constexpr std::string_view terraform_secrets = R"(
resource "google_secret_manager_secret" "secret" {
  for_each  = local.secrets
  secret_id = each.key
  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }
}

resource "google_secret_manager_secret_iam_member" "runner" {
  for_each  = google_secret_manager_secret.secret
  secret_id = each.value.id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.runner
}
)";

inline constexpr std::string_view terraform_budget = R"(
resource "google_monitoring_notification_channel" "email" {
  display_name = "Penstock's budget"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }
}

resource "google_billing_budget" "penstock" {
  billing_account = var.billing_account
  display_name    = "Penstock in ${var.project_id}"

  budget_filter {
    projects = ["projects/${data.google_project.this.number}"]
  }

  amount {
    specified_amount {
      currency_code = "USD"
      units         = tostring(var.monthly_budget_usd)
    }
  }

  threshold_rules {
    threshold_percent = 0.5
  }
  threshold_rules {
    threshold_percent = 1.0
  }
  threshold_rules {
    threshold_percent = 1.0
    spend_basis       = "FORECASTED_SPEND"
  }

  all_updates_rule {
    monitoring_notification_channels = [google_monitoring_notification_channel.email.id]
  }
}
)";

}  // namespace penstock::app
