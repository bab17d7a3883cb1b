"""The centre: takes sealed items in over MQTT, verifies and keeps them, signs receipts, and shows what arrived.

Decided here: what the centre believes (a certificate's name, an enrolled key, a hash) and what it keeps (one SQLite
file, one content-addressed folder, both under the folder named in central.toml). Not decided here: the wire
(docs/spec/wire.md), the sealed form (docs/spec/sealed-file.md), the log's form (docs/spec/log.md). The receipt is
docs/spec/receipt.md.
"""
