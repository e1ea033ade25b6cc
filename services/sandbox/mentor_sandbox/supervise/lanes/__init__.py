"""How calls are run: registered tools in warm workers, untrusted code in a fork of its own."""
