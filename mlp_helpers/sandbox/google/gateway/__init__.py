"""The Connect Gateway: a way in to clusters that cannot be reached directly."""
