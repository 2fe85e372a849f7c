output "id" {
  description = "Full name of the membership: projects/PROJECT/locations/LOCATION/memberships/NAME."
  value       = google_gke_hub_membership.this.id
}

output "location" {
  description = "Location of the membership."
  value       = google_gke_hub_membership.this.location
}

output "membership_id" {
  description = "ID of the membership."
  value       = google_gke_hub_membership.this.membership_id
}
