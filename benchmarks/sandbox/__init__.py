"""The sandbox beside its peers, its neighbours and itself after a million calls."""
