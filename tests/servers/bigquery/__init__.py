"""A stand-in for BigQuery, written from Google's reference pages; each rule names its page. See README.md."""
