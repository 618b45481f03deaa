variable "project_id" {
  description = "The project, which exists."
  type        = string
}

variable "region" {
  description = "Where everything runs."
  type        = string
  default     = "us-central1"
}

variable "bigquery_location" {
  description = "Where the datasets and the buckets lie."
  type        = string
  default     = "US"
}

variable "image" {
  description = "Penstock's image, by digest (…/penstock@sha256:…), so that what runs is what was tested."
  type        = string
  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "The image must be named by its digest: …@sha256:…"
  }
}

variable "configuration" {
  description = "The file penstock.yaml that Cloud Run is given."
  type        = string
  default     = "penstock.yaml"
}

variable "shop_password" {
  description = "Of the role `penstock` in the database `shop`: letters and digits (openssl rand -hex 24)."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "state_password" {
  description = "Of the role `penstock_state` in the database `penstock`: letters and digits (openssl rand -hex 24)."
  type        = string
  sensitive   = true
  ephemeral   = true
}

variable "passwords_version" {
  description = "Raise it by one when a password has changed."
  type        = number
  default     = 1
}

variable "drain_pipeline" {
  description = "The pipeline that Cloud Scheduler has drained."
  type        = string
  default     = "shop_changes"
}

variable "drain_schedule" {
  description = "When."
  type        = string
  default     = "*/12 * * * *"
}

variable "events_topic" {
  description = "The topic with events of the three types."
  type        = string
  default     = "backend-events-topic"
}

variable "billing_account" {
  description = "The billing account (XXXXXX-XXXXXX-XXXXXX) of the project, for the budget."
  type        = string
}

variable "monthly_budget_usd" {
  description = "What the project may cost a month. It warns, it stops nothing; pipelines have a `budget` of their own that does."
  type        = number
  default     = 500
}

variable "alert_email" {
  description = "Who hears of alerts."
  type        = string
}
