"""GLaaS as both its ends know it: addresses, messages to sign, the Merkle log's hashing, checkpoints, and the client.

``docs/glaas-protocol.md`` is the contract. The server builds on what is here; nothing here knows the server.
"""
