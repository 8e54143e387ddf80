# The bucket of the archive. Landing objects have no rule: pipelines/compact.py deletes them, because only it
# knows that they were compacted and verified (docs/decisions/019-compaction.md). Rules: lifecycle.json.

variable "project" { type = string }
variable "bucket" { type = string }
variable "location" {
  type    = string
  default = "us-central1"
}

locals {
  lifecycle = jsondecode(file("${path.module}/lifecycle.json")).rule
}

resource "google_storage_bucket" "archive" {
  project                     = var.project
  name                        = var.bucket
  location                    = var.location
  storage_class               = "STANDARD"
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  # What was erased must be gone: no copy of a deleted object is kept.
  soft_delete_policy {
    retention_duration_seconds = 0
  }

  dynamic "lifecycle_rule" {
    for_each = local.lifecycle
    content {
      action {
        type          = lifecycle_rule.value.action.type
        storage_class = lookup(lifecycle_rule.value.action, "storageClass", null)
      }
      condition {
        age                   = lifecycle_rule.value.condition.age
        matches_prefix        = lookup(lifecycle_rule.value.condition, "matchesPrefix", null)
        matches_storage_class = lookup(lifecycle_rule.value.condition, "matchesStorageClass", null)
      }
    }
  }
}
