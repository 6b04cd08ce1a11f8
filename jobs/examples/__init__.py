"""A sample campaign to try Pressrun with: `campaign.parquet`, and the script that made it."""
