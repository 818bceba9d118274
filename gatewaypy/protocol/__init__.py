"""The gateway's wire protocol as pure rules: no I/O, no clock, no randomness.

A request goes through ``requests`` and ``encode``, a reply through ``parse``, ``classify`` and
``decode``. ``inquiry`` resolves a doubt. The tables are in ``operations``, ``checksum``,
``fields``, ``statuses`` and ``codes``, each row with its grade.
"""
