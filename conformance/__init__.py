"""The conformance kit: does a guard, in whatever language, keep the promise?

`cases` reads the suite of ``conformance/cases``, `game` plays a server to the guard
under test over a driver (`drivers`), `levels` says what was passed. The contract is
docs/writing-a-guard.md.
"""
