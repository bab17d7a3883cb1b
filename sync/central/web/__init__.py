"""The centre's page: what came in, who decided what about it, and playback for a person who holds the evidence key.

Decided here: sessions, forms and headers (auth.py, shield.py), the words in both languages (language.py,
translations/), and how opened video leaves memory without touching a disk (playback.py). Not decided here: what is
stored and what verifies; that is asked of `sync.central.store` and of the verifiers in `vedette`. No page makes a
request to any other machine.
"""
