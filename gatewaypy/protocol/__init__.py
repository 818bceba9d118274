"""The gateway's wire protocol as pure rules: no I/O, no clock, no randomness.

A request goes through ``requests`` → ``encode``; a reply through ``parse`` → ``judge`` → ``decode``. The tables are in
``operations``, ``checksum``, ``fields``, ``statuses`` and ``codes``, each row with its grade.
"""
