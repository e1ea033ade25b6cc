"""What stands before every page: whose browser it is (``sessions``), and what a browser may do with it (``gate``)."""
