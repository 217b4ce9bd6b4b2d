"""What depends on the operating system: one module a facility, and no other room branches.

Readings that a system does not give, or that this user may not have, are None: no caller may take
a zero for a measurement. Imports nothing here, because the keeper and each import of the package
load single modules of this room, and both are waited for.
"""
