mock_provider "google" {}

variables {
  name         = "mlp-dev"
  project      = "my-mlp-project"
  region       = "us-central1"
  nodes_needed = 9
  ranges = {
    nodes    = "10.10.0.0/20"
    pods     = "10.16.0.0/14"
    services = "10.20.0.0/20"
  }
}

run "the_usual_ranges_carry_a_thousand_nodes" {
  command = plan

  assert {
    condition     = output.max_nodes == 1024
    error_message = "A /14 holds 1024 times a /24; found ${output.max_nodes}."
  }
  assert {
    condition     = output.max_services == 4096
    error_message = "A /20 holds 4096 addresses; found ${output.max_services}."
  }
}

run "fewer_pods_on_a_node_need_fewer_addresses" {
  command = plan

  variables {
    max_pods_per_node = 32
  }

  assert {
    condition     = output.max_nodes == 4092
    error_message = "With a /26 for each node the node range is what ends first; found ${output.max_nodes}."
  }
}

run "too_many_nodes_are_refused" {
  command = plan

  variables {
    nodes_needed = 1025
  }

  expect_failures = [google_compute_subnetwork.this]
}

run "ranges_that_touch_do_not_overlap" {
  command = plan

  variables {
    ranges = {
      nodes    = "10.0.0.0/24"
      pods     = "10.0.16.0/20"
      services = "10.0.1.0/24"
    }
  }
}

run "a_range_inside_another_is_refused" {
  command = plan

  variables {
    ranges = {
      nodes    = "10.16.4.0/24"
      pods     = "10.16.0.0/14"
      services = "10.20.0.0/20"
    }
  }

  expect_failures = [google_compute_subnetwork.this]
}

run "host_bits_are_refused" {
  command = plan

  variables {
    ranges = {
      nodes    = "10.10.0.1/20"
      pods     = "10.16.0.0/14"
      services = "10.20.0.0/20"
    }
  }

  expect_failures = [var.ranges]
}
