"""Pure: the read model, what an event does to it, pages of it, sentences about it."""
