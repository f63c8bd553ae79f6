"""Several hosts on one database and one Redis."""
