locals {
  # Both are needed; what a person may do in the cluster is decided by Kubernetes RBAC alone.
  roles = ["roles/gkehub.gatewayEditor", "roles/gkehub.viewer"]
}

resource "google_project_iam_member" "this" {
  for_each = {
    for pair in setproduct(var.members, local.roles) : "${pair[0]} ${pair[1]}" => { member = pair[0], role = pair[1] }
  }

  project = var.project
  member  = each.value.member
  role    = each.value.role
}
