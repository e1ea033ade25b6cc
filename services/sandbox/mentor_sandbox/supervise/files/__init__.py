"""Server. The only code that goes where a child may write: no link is followed, no path is resolved by name twice."""
