"""What the page of one trajectory shows: made from the trajectory and from what the library computes, without markup."""
