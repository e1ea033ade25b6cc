"""Model servers that a job starts, watches, restarts and ends: ``ServeSpec`` beside a model's path asks for one."""
