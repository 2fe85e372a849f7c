"""Cloud Storage: buckets, objects with generations, preconditions, uploads, IAM."""
