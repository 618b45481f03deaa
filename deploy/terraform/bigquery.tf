locals {
  datasets = {
    backend_events_data = "Events of the backend, by type"
    ecommerce           = "Facts and dimensions of the shop"
    shop                = "The shop's tables as they are"
    penstock            = "What Penstock writes beside the data: checkpoints, rejects, results of checks"
  }
  # Partition and cluster as in examples/ddl; the columns are in schemas/.
  event_tables = {
    order_events         = { day_of = "order_date", cluster = ["status", "customer_id"] }
    inventory_events     = { day_of = "timestamp", cluster = ["product_id", "warehouse_id"] }
    user_activity_events = { day_of = "timestamp", cluster = ["user_id", "activity_type"] }
  }
}

resource "google_bigquery_dataset" "dataset" {
  for_each                   = local.datasets
  dataset_id                 = each.key
  description                = each.value
  location                   = var.bigquery_location
  max_time_travel_hours      = "168"
  delete_contents_on_destroy = false
  depends_on                 = [google_project_service.needed]
}

resource "google_bigquery_table" "events" {
  for_each            = local.event_tables
  dataset_id          = google_bigquery_dataset.dataset["backend_events_data"].dataset_id
  table_id            = each.key
  schema              = file("${path.module}/schemas/${each.key}.json")
  clustering          = each.value.cluster
  deletion_protection = true
  time_partitioning {
    type  = "DAY"
    field = each.value.day_of
  }
  # Penstock adds columns that appear (schema_change: evolve).
  lifecycle {
    ignore_changes = [schema]
  }
}
