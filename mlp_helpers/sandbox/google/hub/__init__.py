"""The fleet (GKE Hub): memberships, features, and the objects of team access that are kept but have no effect here."""
