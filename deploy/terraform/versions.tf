# Terraform 1.11 and later, or OpenTofu 1.11 and later: passwords are write-only, so that none is in the state.
terraform {
  required_version = ">= 1.11"
  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 6.50"
    }
  }
  # terraform init -backend-config=bucket=my-terraform-state
  backend "gcs" {
    prefix = "penstock"
  }
}

provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
}

data "google_project" "this" {
  project_id = var.project_id
}
