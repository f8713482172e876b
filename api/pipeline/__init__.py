"""From a request to the rooms: fetch, decode, embed, detect; calls of the model services."""
