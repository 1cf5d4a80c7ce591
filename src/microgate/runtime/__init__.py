"""The wing that serves: accepts, decides, forwards. Never imports the toolkit."""
