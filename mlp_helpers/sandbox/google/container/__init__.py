"""Google Kubernetes Engine: one table of handlers, spoken to over gRPC and over REST."""
