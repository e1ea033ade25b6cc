"""What a report holds (``models``), and how each part of it is measured. Every rate has an interval over questions."""
