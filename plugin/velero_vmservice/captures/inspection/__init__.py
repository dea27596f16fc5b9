"""What can be done with one capture beside a restore: verified, compared, exported."""
