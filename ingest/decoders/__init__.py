"""One module per foreign message format: bytes in, observations out, with sample messages and what they give."""
