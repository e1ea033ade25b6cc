"""Which service holds which GPU of one machine: presets (``N.env``), and a check that none is held twice for good."""
