resource "google_monitoring_notification_channel" "email" {
  display_name = "Whoever looks after Penstock"
  type         = "email"
  labels = {
    email_address = var.alert_email
  }
  depends_on = [google_project_service.needed]
}

locals {
  # Each is a filter of a metric, what it is aligned by, over how long, and above which it is an alert.
  alerts = {
    "a drain has failed" = {
      filter    = "resource.type = \"cloud_run_job\" AND metric.type = \"run.googleapis.com/job/completed_execution_count\" AND metric.labels.result = \"failed\""
      aligner   = "ALIGN_DELTA"
      above     = 0
      duration  = "0s"
      what_next = "penstock runs, then penstock runs ID: the error says what to do. The next drain goes on where the last good one ended."
    }
    "dead letters are waiting" = {
      filter    = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/num_undelivered_messages\" AND resource.labels.subscription_id = monitoring.regex.full_match(\".*-dead-sub\")"
      aligner   = "ALIGN_MAX"
      above     = 0
      duration  = "0s"
      what_next = "Look at them with gcloud pubsub subscriptions pull, mend the cause, publish them again."
    }
    "events wait for too long" = {
      filter    = "resource.type = \"pubsub_subscription\" AND metric.type = \"pubsub.googleapis.com/subscription/oldest_unacked_message_age\""
      aligner   = "ALIGN_MAX"
      above     = 3600
      duration  = "300s"
      what_next = "penstock status: does the pipeline run, and how far behind is it?"
    }
    "the database's disk fills up" = {
      filter    = "resource.type = \"cloudsql_database\" AND metric.type = \"cloudsql.googleapis.com/database/disk/utilization\""
      aligner   = "ALIGN_MEAN"
      above     = 0.8
      duration  = "600s"
      what_next = "penstock slots list: a slot that nobody reads keeps the log."
    }
  }
}

resource "google_monitoring_alert_policy" "alert" {
  for_each              = local.alerts
  display_name          = "Penstock: ${each.key}"
  combiner              = "OR"
  notification_channels = [google_monitoring_notification_channel.email.id]

  conditions {
    display_name = each.key
    condition_threshold {
      filter          = each.value.filter
      comparison      = "COMPARISON_GT"
      threshold_value = each.value.above
      duration        = each.value.duration
      aggregations {
        alignment_period   = "300s"
        per_series_aligner = each.value.aligner
      }
    }
  }

  documentation {
    content   = each.value.what_next
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "86400s"
  }
}
