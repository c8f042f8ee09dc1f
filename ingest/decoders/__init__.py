"""One module per foreign message format: bytes in, observations out. Each carries its sample messages and what they give."""
