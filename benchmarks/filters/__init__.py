"""What the teacher's filters find, and what they find wrongly, on a made set in which everything bad was planted."""
