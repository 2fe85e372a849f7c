"""Cloud Billing: which account pays for a project. Nothing costs anything here."""
