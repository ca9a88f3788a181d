"""Files of bars: CSV and Parquet, as users have them and as `pq export` writes them."""
