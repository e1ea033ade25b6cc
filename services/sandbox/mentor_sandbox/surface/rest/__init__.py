"""Server. REST: bodies into calls, results into answers; contents of files are base64."""
