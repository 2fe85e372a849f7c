"""Ways to a token: a service account's key, and the metadata server that each pod has."""
