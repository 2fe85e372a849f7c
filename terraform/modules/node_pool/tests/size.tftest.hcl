mock_provider "google" {}

variables {
  name                  = "general"
  project               = "my-mlp-project"
  region                = "us-central1"
  zones                 = ["us-central1-a", "us-central1-b", "us-central1-c"]
  cluster_name          = "mlp-dev"
  machine_type          = "n2-standard-8"
  nodes                 = { min = 4, max = 9 }
  service_account_email = "mlp-dev-general@my-mlp-project.iam.gserviceaccount.com"
}

run "the_first_nodes_are_counted_in_each_zone" {
  command = plan

  assert {
    condition     = google_container_node_pool.this.initial_node_count == 2
    error_message = "Four nodes over three zones begin with two in each."
  }
  assert {
    condition     = google_container_node_pool.this.autoscaling[0].total_max_node_count == 9
    error_message = "The limit is a total over all zones."
  }
}

run "spot_machines_are_taken_where_there_are_any" {
  command = plan

  variables {
    spot = true
  }

  assert {
    condition     = google_container_node_pool.this.autoscaling[0].location_policy == "ANY"
    error_message = "Balancing zones would refuse spare machines."
  }
}

run "a_pool_that_shrinks_below_itself_is_refused" {
  command = plan

  variables {
    nodes = { min = 3, max = 2 }
  }

  expect_failures = [var.nodes]
}
